"""Archive of files with a manifest that has the digest of each.

It is a ZIP file, uncompressed, whose comment has the digest of the manifest. Every change of the file is noticed, and
its parts take no more space on disk than it does. The digest is no signature: who can write the file can make another
one. It identifies the content, for approvals and people.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANIFEST = "manifest.json"
#: Limits on the manifest, in bytes, and on the number of parts.
_MANIFEST_MAX, _PARTS_MAX = 16 << 20, 10_000
_CHUNK = 1 << 20
#: First bytes of every ZIP file.
_ZIP_MARK = b"PK\x03\x04"
#: Names of parts: relative, without dots that lead elsewhere.
_PART = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*\.[a-z]+")
#: Time of all entries, so that equal content gives equal bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


class ArchiveError(ValueError):
    """A file is no archive of this kind, is incomplete, or was changed. The text completes `FILE ...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive whose manifest was verified; the parts are verified when they are extracted.

    Attributes:
        path: The file.
        digest: Hex SHA-256 of the manifest, hence of all content.
        content: What the manifest says besides the parts.
        parts: Size in bytes and hex SHA-256 of each part, by name.
    """

    path: Path
    digest: str
    content: Mapping[str, Any]
    parts: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def extract(self, into: Path) -> None:
        """Write all parts below a folder, each verified.

        Args:
            into: Existing private folder.

        Raises:
            ArchiveError: If a part is missing, or differs from the manifest.
            OSError: If the file cannot be read or a part cannot be written.
        """
        with _opened(self.path) as source:
            for name, (size, sha256) in self.parts.items():
                path = into / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                digest, written = hashlib.sha256(), 0
                try:
                    with source.open(name) as part, path.open("xb") as file:
                        while chunk := part.read(min(_CHUNK, size + 1 - written)):
                            written += len(chunk)
                            digest.update(chunk)
                            file.write(chunk)
                            if written > size:
                                break
                except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError):
                    message = "is damaged: a part of it cannot be read"
                    raise ArchiveError(message) from None
                if written != size or digest.hexdigest() != sha256:
                    message = "was changed after it was written, or is damaged: a part differs from its digest"
                    raise ArchiveError(message)


def write_archive(path: Path, kind: str, content: Mapping[str, Any], parts: Mapping[str, Path]) -> str:
    """Write an archive durably, with mode 0600, replacing an older one at once.

    Args:
        path: The file.
        kind: Word that identifies archives of this kind.
        content: JSON-compatible content of the manifest.
        parts: Files by name in the archive.

    Returns:
        The digest of the archive.

    Raises:
        OSError: If the file cannot be written.
    """
    digests = {}
    for name, part in parts.items():
        with part.open("rb") as stream:
            digests[name] = [part.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()]
    document = {"kind": kind, "content": dict(content), "parts": digests}
    manifest = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_entry(_MANIFEST), manifest)
                for part_name, part in parts.items():
                    with part.open("rb") as source, archive.open(_entry(part_name), "w", force_zip64=True) as target:
                        shutil.copyfileobj(source, target, _CHUNK)
                archive.comment = f"{kind} {digest}".encode()
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return digest


def read_archive(path: Path, kind: str) -> Archive:
    """Open an archive and verify its manifest.

    Args:
        path: The file.
        kind: Word that identifies archives of this kind.

    Returns:
        The archive.

    Raises:
        ArchiveError: If it is none, is incomplete or was changed.
        OSError: If it cannot be read.
    """
    with _opened(path) as archive:
        entries = archive.infolist()
        mark, _, digest = archive.comment.decode("ascii", "replace").partition(" ")
        if mark != kind or not entries or entries[0].filename != _MANIFEST:
            message = "is no such file: it is another ZIP archive"
            raise ArchiveError(message)
        document = _manifest(archive, entries[0], digest, kind)
        parts = {name: (int(size), str(sha256)) for name, (size, sha256) in document["parts"].items()}
        _check_entries(entries[1:], parts, path.stat().st_size)
    return Archive(path=path, digest=digest, content=document["content"], parts=parts)


def is_archive(path: Path, kind: str) -> bool:
    """Return whether a file is an archive of a kind, by its comment; it need not be intact."""
    with suppress(OSError, ArchiveError), _opened(path) as archive:
        return archive.comment.startswith(f"{kind} ".encode())
    return False


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.external_attr = 0o600 << 16
    return entry


def _opened(path: Path) -> zipfile.ZipFile:
    """Open a ZIP file to read."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, RuntimeError, ValueError):
        with path.open("rb") as stream:
            begins = stream.read(len(_ZIP_MARK)) == _ZIP_MARK
        message = "is incomplete or damaged" if begins else "is no such file"
        raise ArchiveError(message) from None


def _manifest(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, digest: str, kind: str) -> dict[str, Any]:
    """Return the verified manifest."""
    changed = "was changed after it was written, or is damaged: its manifest differs from its digest"
    if entry.file_size > _MANIFEST_MAX or entry.compress_type != zipfile.ZIP_STORED:
        message = f"has a manifest of more than {_MANIFEST_MAX >> 20} MiB, or a compressed one"
        raise ArchiveError(message)
    document = _verified(archive, entry, digest)
    if document is None or document.get("kind") != kind or not _is_complete(document):
        raise ArchiveError(changed)
    return document


def _verified(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, digest: str) -> dict[str, Any] | None:
    """Return the manifest as read; None if it differs from its digest or is no JSON object."""
    try:
        text = archive.read(entry)
        document = json.loads(text) if hashlib.sha256(text).hexdigest() == digest else None
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _is_complete(document: Mapping[str, Any]) -> bool:
    """Return whether a manifest has content, and size and digest of each part."""
    content, parts = document.get("content"), document.get("parts")
    if not isinstance(content, dict) or not isinstance(parts, dict):
        return False
    return all(
        isinstance(item, list) and [type(value) for value in item] == [int, str] and item[0] >= 0
        for item in parts.values()
    )


def _check_entries(entries: list[zipfile.ZipInfo], parts: Mapping[str, tuple[int, str]], size: int) -> None:
    """Refuse entries that the manifest does not have, and those that take more space than the file has."""
    names = [entry.filename for entry in entries]
    if sorted(names) != sorted(parts) or len(names) > _PARTS_MAX or not all(map(_PART.fullmatch, names)):
        message = "was changed after it was written: its parts are not those of its manifest"
        raise ArchiveError(message)
    wrong = any(
        entry.compress_type != zipfile.ZIP_STORED
        or entry.file_size != parts[entry.filename][0]
        or entry.compress_size != entry.file_size
        for entry in entries
    )
    if wrong or sum(entry.file_size for entry in entries) > size:
        message = "has parts that are compressed, or larger than the file"
        raise ArchiveError(message)
