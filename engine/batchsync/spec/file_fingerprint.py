"""Fingerprint of jobs.yaml and of the files of secrets and queries it refers to, to detect changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes that are read of each file. Larger jobs.yaml files are refused anyway.
_BYTES_MAX = 1 << 20


class FileFingerprint(NamedTuple):
    """SHA-256 digests of jobs.yaml and of the files of secrets and queries."""

    file: bytes
    secrets: bytes


def fingerprint_of(
    files: Iterable[Path], secrets: Iterable[str], relations: Iterable[str] = (), *, place: str = ""
) -> FileFingerprint:
    """Return the fingerprint of the current files. Unreadable files count as empty.

    Args:
        files: The jobs file, and the files that it includes.
        secrets: Files of secrets and queries.
        relations: What the manifests of dbt say about the relations in use; other changes of manifests do not count.
        place: Where the jobs file is, which changes with the revision that `serve` follows.
    """
    others = _digest([Path(secret) for secret in secrets]) + "\0".join(relations).encode(errors="surrogatepass")
    main = _digest(files) + place.encode(errors="surrogatepass")
    return FileFingerprint(hashlib.sha256(main).digest(), hashlib.sha256(others).digest())


def _digest(files: Iterable[Path]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(_read(file)).digest() for file in files)).digest()


def _read(file: Path) -> bytes:
    try:
        # Reading a pipe would consume it.
        if not file.is_file():
            return b""
        with file.open("rb") as opened:
            return opened.read(_BYTES_MAX)
    except OSError:
        return b""
