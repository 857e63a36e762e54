"""Atomic replacement of files, safe against crashes and concurrent batchsync processes."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import UnavailableError
from batchsync.util import files
from batchsync.util.files import fsync_and_rename, fsync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

NEW_FILE_MODE = 0o666  # minus the umask, as for any file that a program writes for its user


def translate_os_errors(file: Path) -> AbstractContextManager[None]:
    """Return a context that raises operating system errors as UnavailableError with the file and the next command."""
    return files.translate_os_errors(
        f"{file}: cannot write the results",
        hint="free space, grant write access or change `results: path:`, then run `batchsync resume`; "
        "the collected answers are kept",
    )


def real_file(file: Path) -> Path:
    """Return the path with symbolic links resolved, and create its folder. A link stays a link: its target is replaced.

    Raises:
        UnavailableError: If the path leads to a folder, a device or a pipe, or its links form a cycle.
    """
    with translate_os_errors(file):
        real = Path(os.path.realpath(file))
        _make_folder(real.parent)
        try:
            kind = real.lstat().st_mode
        except FileNotFoundError:
            return real
    if not stat.S_ISREG(kind):
        raise UnavailableError(
            f"{file}: cannot write the results: not a regular file",
            hint="set `results: path:` to a file, then run `batchsync resume`; the collected answers are kept",
        )
    return real


@contextmanager
def exclusive_dir_lock(folder: Path) -> Iterator[None]:
    """Lock the folder against other batchsync processes; the kernel releases the lock when the process dies."""
    with translate_os_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with translate_os_errors(folder):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Yield a temporary file, which replaces `file` durably when the block ends without an error.

    The caller holds `exclusive_dir_lock` of the folder, so the temporary name is fixed and leftovers of a crash are
    replaced.
    """
    temporary = file.with_name(f".{file.name}.batchsync")
    temporary.unlink(missing_ok=True)
    # O_EXCL: never write through an existing link.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, NEW_FILE_MODE))
    try:
        yield temporary
        if file.exists():
            temporary.chmod(stat.S_IMODE(file.stat().st_mode))
        fsync_and_rename(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    # Folders below a private folder are private too: answers of mocks are in the state folder.
    private = not folder.parent.stat().st_mode & 0o077
    folder.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    fsync_folder(folder.parent)
