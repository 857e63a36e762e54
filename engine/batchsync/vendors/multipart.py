"""Bodies in multipart/form-data (RFC 7578): parts of JSON or text around the batch file, which is read in pieces."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.vendors.template import fill, fill_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from batchsync.core.batch import BatchFile
    from batchsync.core.vendor_calls import Part

_CHUNK = 64 * 1024
#: Beginning of the names of the fields of an allocation, among the values of placeholders.
FIELD = "allocation.fields/"


def frame(parts: Sequence[Part], known: Mapping[str, str | int | None], file: BatchFile) -> tuple[str, bytes, bytes]:
    """Return the content type of a body, and its bytes before and after the file.

    Args:
        parts: The parts in order, of which one is the file.
        known: Values of placeholders by their full name.
        file: The batch file. Its digest is part of the boundary, so that no content of a file can contain it.

    Raises:
        UnknownValueError: If a required placeholder has no value.
    """
    boundary = f"batchsync-{file.digest[:40]}"
    before, after, is_after = b"", b"", False
    for part in _expanded(parts, known):
        content = _content(part, known)
        text = _head(part, known, boundary) + (content or b"")
        if is_after:
            after += b"\r\n" + text
        else:
            before += (b"\r\n" if before else b"") + text
        is_after |= content is None
    return f"multipart/form-data; boundary={boundary}", before, after + f"\r\n--{boundary}--\r\n".encode()


def _expanded(parts: Sequence[Part], known: Mapping[str, str | int | None]) -> Iterator[Part]:
    """Yield the parts, with one of text for each field of the allocation in place of the part that stands for them.

    The text of such a part is a placeholder: what the vendor gave is no template.
    """
    for part in parts:
        if not part.fields:
            yield part
            continue
        for name in known:
            if name.startswith(FIELD):
                yield replace(part, name=name.removeprefix(FIELD), text=name, fields=True)


def _content(part: Part, known: Mapping[str, str | int | None]) -> bytes | None:
    """Return the content of a part; None for the file."""
    if part.json is not None:
        return json.dumps(fill_all(part.json, known), ensure_ascii=False, separators=(",", ":")).encode()
    if part.fields:
        return str(known[part.text or ""]).encode()
    return None if part.text is None else str(fill(part.text, known) or "").encode()


def _head(part: Part, known: Mapping[str, str | int | None], boundary: str) -> bytes:
    """Return the lines before the content of a part."""
    name = f'; filename="{_quoted(str(fill(part.filename, known) or ""))}"' if part.filename else ""
    kind = part.type or ("application/json" if part.json is not None else "")
    lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{_quoted(part.name)}"{name}']
    return "\r\n".join([*lines, *([f"Content-Type: {kind}"] if kind else []), "", ""]).encode()


def _quoted(text: str) -> str:
    """Return a name as in a header of a part, with quotes and line ends escaped as browsers do."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class FramedFile:
    """A file between two byte strings, as a body that is read in pieces."""

    def __init__(self, before: bytes, file: BinaryIO, after: bytes, size: int) -> None:
        """Create a body.

        Args:
            before: Bytes before the file.
            file: The open file.
            after: Bytes after it.
            size: Size of the file in bytes.
        """
        self._before, self._file, self._after = before, file, after
        self._size = len(before) + size + len(after)

    def __len__(self) -> int:
        """Return the number of bytes, which becomes the Content-Length."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in pieces."""
        while chunk := self.read(_CHUNK):
            yield chunk

    def read(self, size: int = _CHUNK) -> bytes:
        """Return at most so many of the next bytes; empty at the end."""
        if self._before:
            found, self._before = self._before[:size], self._before[size:]
            return found
        if found := self._file.read(size):
            return found
        found, self._after = self._after[:size], self._after[size:]
        return found
