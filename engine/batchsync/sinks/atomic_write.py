"""A file is replaced whole or not at all, whatever happens in between, and whoever else writes beside it.

It does not know what is in the file.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_FILE_MODE = 0o666  # less the umask of whoever runs us, as for any file a program writes for its user


@contextmanager
def spoken(file: Path) -> Iterator[None]:
    """Turn a failure of the operating system into an EnvironmentProblem that names the file."""
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"the results cannot be written to {file}: {error.strerror or type(error).__name__}",
            hint="make room or give write access there, or change `results: path:`, then run `lading resume`; "
            "the answers are kept",
        ) from error


def real_file(file: Path) -> Path:
    """Return the file that a path leads to, through symbolic links, and make its folder.

    A link stays a link: what it points to is replaced. What is neither a file nor absent is refused.

    Raises:
        EnvironmentProblem: the path leads to a folder, a device, a pipe, or in a circle.
    """
    with spoken(file):
        real = Path(os.path.realpath(file))
        _make_folder(real.parent)
        try:
            kind = real.lstat().st_mode
        except FileNotFoundError:
            return real
    if not stat.S_ISREG(kind):
        raise EnvironmentProblem(
            f"the results cannot be written to {file}: it is not a regular file",
            hint="name a file in `results: path:`, then run `lading resume`; the answers are kept",
        )
    return real


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other ladings from replacing files in the folder meanwhile; the kernel lets go when we die."""
    with spoken(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with spoken(folder):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary file to write to; when the block ends well, it takes the place of `file`, durably.

    The caller holds `alone_in` the folder, so the temporary name is fixed and what a crash left is overwritten.
    """
    temporary = file.with_name(f".{file.name}.lading")
    temporary.unlink(missing_ok=True)
    # O_EXCL: never write through a link that somebody put there.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, NEW_FILE_MODE))
    try:
        yield temporary
        if file.exists():
            temporary.chmod(stat.S_IMODE(file.stat().st_mode))
        _sync(temporary)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    # What is made in a folder of one person alone is theirs alone, too: the answers of mocks lie in the state folder.
    private = not folder.parent.stat().st_mode & 0o077
    folder.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
