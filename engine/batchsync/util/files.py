"""Private folders, SHA-256 digests, durable renames and the translation of operating system errors."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batchsync.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Longest secret, in characters; a longer file is not a secret.
_SECRET_MAX = 100_000
#: Errors of file systems that do not support fsync of a folder; the order of renames is kept there anyway.
_NO_FOLDER_FSYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700, whatever the umask; existing ones do not change.

    Raises:
        FileExistsError: If the path exists and is not a folder.
        FileNotFoundError: If there is no folder that could contain it.
        OSError: If it cannot be created.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        # `parents=True` would apply the mode to the last folder only.
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sha256_of(data: bytes) -> str:
    """Return the hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_secret(path: str) -> str:
    """Return the text of a secret file.

    Raises:
        OSError: If it cannot be read, is no regular file, or is too large to be a secret.
        UnicodeError: If it is not UTF-8 text.
    """
    # Without the flag, a pipe would block.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="utf-8") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        text = file.read(_SECRET_MAX + 1)
    if len(text) > _SECRET_MAX:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text


def fsync_file(path: Path) -> None:
    """Flush a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_folder(folder: Path) -> None:
    """Flush the directory entries of a folder to disk, where its file system supports that.

    Raises:
        OSError: If the folder cannot be opened or flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FSYNC:
            raise
    finally:
        os.close(descriptor)


def fsync_and_rename(path: Path, final: Path) -> None:
    """Flush a file to disk, rename it within its file system, and flush the folder of its new name."""
    fsync_file(path)
    path.replace(final)
    fsync_folder(final.parent)


def create_private(path: Path, text: str) -> None:
    """Create a file of mode 0600 with a text, durably, unless it exists. Of concurrent creators, one succeeds."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    new = path.with_name(name.rpartition(os.sep)[2])
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fsync_file(new)
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    fsync_folder(path.parent)


def os_error_reason(error: OSError) -> str:
    """Return the description of an operating system error, without its path."""
    return error.strerror or type(error).__name__


@contextmanager
def translate_os_errors(problem: str, *, hint: str) -> Iterator[None]:
    """Raise operating system errors of a block as UnavailableError.

    Args:
        problem: The failed operation, such as `out.csv: cannot write the results`; the reason is added.
        hint: The next command or remedy.

    Yields:
        Nothing; the block accesses files.

    Raises:
        UnavailableError: If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"{problem}: {os_error_reason(error)}", hint=hint) from error
