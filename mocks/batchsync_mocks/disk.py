"""File access of the mocks: atomic replacement that survives a kill, and streaming of large files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import stat
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
RESERVED = 64 * CHUNK
#: Permission bits of the group and of others.
OTHERS = 0o077


class ByteReader(Protocol):
    """Source of bytes, such as a request body."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


class LineReader(Protocol):
    """Source of bytes that is read line by line."""

    def readline(self, limit: int = -1, /) -> bytes:
        """Return at most `limit` bytes, up to the end of a line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Size of a received body in bytes, and its MD5 in lower-case hex; the MD5 is empty if it was not requested."""

    size: int
    md5: str


class TooLargeError(Exception):
    """Error for a body with more bytes than the limit."""


def read_json(file: Path) -> Any:
    """Return the content of a JSON file; None if it does not exist.

    Raises:
        ValueError: If the file is not JSON.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        msg = f"{file} is not a state file of the mocks: {error}. Use an empty state directory."
        raise ValueError(msg) from error


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700, whatever the umask; an existing one does not change.

    Raises:
        FileExistsError: If the path exists and is not a folder.
        FileNotFoundError: If there is no folder that could contain it.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_private(folder.parent)
        folder.mkdir(mode=0o700)
    folder.chmod(0o700)


def narrow(folder: Path) -> None:
    """Remove the access of other users from a folder and everything below it; links are left as they are."""
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)


def open_private(file: Path) -> BinaryIO:
    """Create a file that only its owner may read and write, whatever the umask.

    Returns:
        The file, open for writing.

    Raises:
        FileExistsError: If the path exists.
    """
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def write_json(file: Path, content: object) -> None:
    """Write a JSON file atomically."""
    with atomic_write(file) as stream:
        stream.write(json.dumps(content, separators=(",", ":")).encode())


@contextmanager
def atomic_write(file: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `file` when the block succeeds, and is removed otherwise.

    The file has mode 0600, whatever the umask.
    Nothing is fsynced: the state must survive a killed process, not a machine crash.

    Yields:
        The temporary file, open for writing.
    """
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        with open_private(temporary) as stream:
            yield stream
        os.replace(temporary, file)  # noqa: PTH105 - its atomicity matters
    finally:
        temporary.unlink(missing_ok=True)


def receive(stream: ByteReader, into: IO[bytes], *, limit: int, hashed: bool = True) -> Received:
    """Copy a body to disk in chunks.

    Args:
        stream: The body.
        into: File to write to.
        limit: Maximum number of bytes.
        hashed: Whether to compute the MD5.

    Returns:
        Size and MD5 of the body.

    Raises:
        TooLargeError: If the body has more than `limit` bytes.
    """
    size = reserved = 0
    with _Digest() as digest:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise TooLargeError
            if hashed:
                digest.update(chunk)
            if size > reserved and len(chunk) == CHUNK:
                _reserve(into, reserved)
                reserved += RESERVED
            into.write(chunk)
    if reserved > size:
        into.truncate()
    return Received(size=size, md5=digest.md5.hexdigest() if hashed else "")


def _reserve(into: IO[bytes], start: int) -> None:
    """Preallocate disk space from a position on."""
    # Preallocated space is written several times as fast; where preallocation fails, writing still works.
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fallocate(into.fileno(), start, RESERVED)


class _Digest:
    """MD5 computed in a background thread, because it takes longer than reading and writing together."""

    def __init__(self) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._chunks: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._worker: threading.Thread | None = None

    def update(self, chunk: bytes) -> None:
        """Add a chunk; a body of a single chunk is hashed without a thread."""
        if self._worker is None and len(chunk) < CHUNK:
            self.md5.update(chunk)
            return
        if self._worker is None:
            self._worker = threading.Thread(target=self._hash_chunks, daemon=True)
            self._worker.start()
        self._chunks.put(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._chunks.put(None)
            self._worker.join()

    def _hash_chunks(self) -> None:
        """Hash the queued chunks until the end marker."""
        while (chunk := self._chunks.get()) is not None:
            self.md5.update(chunk)


def read_lines(stream: LineReader, *, limit: int) -> Iterator[bytes | None]:
    """Yield a stream's lines; a line of more than `limit` bytes is skipped and yielded as None.

    Yields:
        Each line with its line end, or None.
    """
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(limit + 1)) and not rest.endswith(b"\n"):
            pass
        yield None
