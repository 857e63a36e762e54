"""Bodies: of responses, with a size limit after gunzip, integrity of gzip files and atomic writing; of requests."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import AmbiguousOutcomeError, PermanentError
from batchsync.util.files import fsync_and_rename, make_private
from batchsync.vendors.multipart import FramedFile

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator
    from typing import BinaryIO

    from batchsync.vendors.wire import Request

#: Maximum number of bytes read, or expanded, at a time.
CHUNK = 256 * 1024
GZIP = b"\x1f\x8b"


class GunzipMeter:
    """Integrity check and size limit of a body that may be a gzip file."""

    def __init__(self, max_bytes: int) -> None:
        """Create a meter that allows at most `max_bytes` expanded bytes."""
        self._max_bytes = max_bytes
        self._expanded_size = 0
        self._inflate: zlib._Decompress | None = None
        self._head = b""
        self._plain = False

    def feed(self, chunk: bytes) -> None:
        """Process the next bytes.

        Raises:
            PermanentError: If the expanded size exceeds the limit.
            AmbiguousOutcomeError: If the gzip file is damaged.
        """
        if self._plain:
            return
        if self._inflate is None:
            self._head += chunk
            if len(self._head) < len(GZIP):
                return
            self._plain = not self._head.startswith(GZIP)
            chunk = self._head
        if not self._plain:
            for _ in self.expand(chunk):
                pass

    def expand(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the expanded bytes of a chunk, across gzip members.

        Raises:
            PermanentError: If the expanded size exceeds the limit.
            AmbiguousOutcomeError: If the gzip file is damaged.
        """
        while chunk:
            if self._inflate is None or self._inflate.eof:
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                out = self._inflate.decompress(chunk, CHUNK)
            except zlib.error:
                out = None
            if out is None:
                raise AmbiguousOutcomeError("the response is a damaged gzip file")
            self._expanded_size += len(out)
            if self._expanded_size > self._max_bytes:
                raise PermanentError(f"the response expands to more than {self._max_bytes:,} bytes")
            yield out
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def close(self) -> None:
        """Check that the gzip file is complete.

        Raises:
            AmbiguousOutcomeError: If it is truncated.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise AmbiguousOutcomeError("the response is a truncated gzip file")


def gunzip(raw: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the expanded bytes of a gzip stream; raise beyond `max_bytes` expanded bytes."""
    meter = GunzipMeter(max_bytes)
    for chunk in raw:
        yield from meter.expand(chunk)
    meter.close()


def write_atomic(path: Path, chunks: Iterator[bytes]) -> None:
    """Write chunks to a file that appears complete or not at all; fsync the file and its folder."""
    make_private(path.parent)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                out.write(chunk)
        fsync_and_rename(part, path)
    finally:
        part.unlink(missing_ok=True)


def open_body(request: Request, stack: contextlib.ExitStack) -> FramedFile | BinaryIO | bytes | None:
    """Return the body. A batch file is opened, not read into memory; its size must be the one recorded for it.

    Args:
        request: The request.
        stack: Closes the file.

    Raises:
        PermanentError: If the file cannot be read, or has another size.
    """
    if request.file is None:
        return request.body
    try:
        file = stack.enter_context(Path(request.file).open("rb"))  # noqa: SIM115 - the stack closes it
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise PermanentError(f"the batch file cannot be read: {error.strerror}") from None
    if size != request.size or size == 0:
        raise PermanentError(f"the batch file has {size:,} bytes instead of {request.size:,}")
    return FramedFile(request.before, file, request.after, size) if request.after else file
