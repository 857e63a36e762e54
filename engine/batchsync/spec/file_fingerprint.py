"""What tells one state of jobs.yaml and of the secret files it names from another. It does not know what they say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Nobody reads more bytes than this of such a file: one that is larger is refused.
_READ = 1 << 20


class Stamp(NamedTuple):
    """Two digests: of jobs.yaml, and of the secret files."""

    file: bytes
    secrets: bytes


def stamp_of(file: Path, secrets: Iterable[str]) -> Stamp:
    """Return the stamp of the files as they are now. One that cannot be read counts as one with nothing in it."""
    return Stamp(_digest([file]), _digest([Path(one) for one in secrets]))


def _digest(files: Iterable[Path]) -> bytes:
    return hashlib.sha256(b"".join(hashlib.sha256(_beginning(one)).digest() for one in files)).digest()


def _beginning(file: Path) -> bytes:
    try:
        # A pipe gives its text once, and not to us.
        if not file.is_file():
            return b""
        with file.open("rb") as opened:
            return opened.read(_READ)
    except OSError:
        return b""
