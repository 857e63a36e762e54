"""State of a source file as the operating system reports it: whether it can be read twice, and was changed."""

from __future__ import annotations

import os
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from batchsync.errors import SourceError
from batchsync.util.path_fence import is_utf8
from batchsync.util.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.util.path_fence import PathFence

#: Maximum number of file names of a folder that are compared with a missing name.
_NAMES_MAX = 1000
#: Folders whose files the kernel makes while they are read; their size is unknown or wrong.
_KERNEL_FOLDERS = ("/proc", "/sys")
_KINDS = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class FileState(NamedTuple):
    """A file, its inode, size in bytes, and times of the last change of its content and of its metadata (ns)."""

    path: Path
    inode: int
    size: int
    modified: int
    changed: int


def state_of(path: Path, fence: PathFence | None = None) -> FileState:
    """Return what changes when a file changes. Opens nothing.

    Args:
        path: The file.
        fence: Where its path may lead, with all links; None allows every folder on a disk.

    Returns:
        The state.

    Raises:
        SourceError: If the path leads elsewhere, or the file is missing, or no regular file: it is read more than once.
    """
    if fence is not None and fence.roots and (objection := fence.objection(path)):
        raise SourceError(f"{path} {objection}", hint=f"Name {fence.advice}.")
    if not is_utf8(path):
        raise SourceError(f"{path} has a name that is not UTF-8", hint="Rename the file or folder.")
    try:
        status = path.stat()
    except OSError as error:
        missing = access_error(path, error, fence)
        raise missing from None
    if stat.S_ISDIR(status.st_mode):
        hint = f"Name a file in it, or a glob such as {path.name}/*.csv."
        raise SourceError(f"{path} is a folder, not a file", hint=hint)
    hint = "Copy it to a file first: a source is read more than once."
    if kind := next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), None):
        raise SourceError(f"{path} is {kind}, not a file", hint=hint)
    if _is_of_kernel(path, status.st_dev):
        raise SourceError(f"{path} is made by the kernel while it is read, and no file on a disk", hint=hint)
    return FileState(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def require_opened(state: FileState, fence: PathFence) -> None:
    """Open a file, and refuse it if that is another one than the state is of: a link or file was replaced meanwhile.

    Args:
        state: State of the file, whose path was inside of the fence.
        fence: Where the path of the opened file may lead.

    Raises:
        SourceError: If the file cannot be opened, or is another one.
    """
    try:
        # A pipe that has taken the place of the file must not block.
        descriptor = os.open(state.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        unopened = access_error(state.path, error, fence)
        raise unopened from None
    try:
        is_same = os.fstat(descriptor).st_ino == state.inode
        if is_same and fence.roots and Path("/proc/self/fd").is_dir():
            is_same = not fence.objection(Path(f"/proc/self/fd/{descriptor}").readlink())
    finally:
        os.close(descriptor)
    if not is_same:
        hint = "Run the command again when no other process replaces the file."
        raise SourceError(f"{state.path} was replaced while it was opened", hint=hint, name="source.changed")


def _is_of_kernel(path: Path, device: int) -> bool:
    """Return whether a file is in a file system of the kernel."""
    real = os.path.realpath(path)
    if any(real.startswith(f"{folder}/") for folder in _KERNEL_FOLDERS):
        return True
    return device in {folder.stat().st_dev for folder in map(Path, _KERNEL_FOLDERS) if folder.is_mount()}


def require_unchanged(states: Iterable[FileState]) -> None:
    """Refuse files that were written to or replaced since their states were taken.

    Raises:
        SourceError: If a file was, or is missing; the message names the first.
    """
    for before in states:
        now = state_of(before.path)
        if (now.inode, now.size, now.modified) != (before.inode, before.size, before.modified):
            hint = "Run the command again when no other process writes the file; replace it by a rename."
            raise SourceError(f"{before.path} was changed while it was read", hint=hint, name="source.changed")


def access_error(path: Path, error: OSError, fence: PathFence | None = None) -> SourceError:
    """Return the error for a file that cannot be opened; the hint names no file outside of a fence."""
    if isinstance(error, FileNotFoundError):
        if (link := _dangling_link(path)) is not None:
            hint = "Restore the file that it points to, or point it to another file."
            return SourceError(
                f"{link} is a link to {link.readlink()}, which does not exist", hint=hint, name="source.missing"
            )
        return SourceError(f"{path} does not exist", hint=_missing_file_hint(path, fence), name="source.missing")
    if isinstance(error, PermissionError):
        return SourceError(
            f"{path}: permission denied", hint="Give this user permission to read it.", name="source.permission"
        )
    return SourceError(f"{path} cannot be read: {error.strerror}", hint="Check source.path.")


def _dangling_link(path: Path) -> Path | None:
    """Return the link, of a path and its folders, that points to nothing; None if there is none."""
    return next((item for item in (path, *path.parents) if item.is_symlink() and not item.exists()), None)


def _missing_file_hint(path: Path, fence: PathFence | None) -> str:
    """Return a hint at an existing file or folder with a similar name."""
    missing = next(item for item in (path, *path.parents) if item.parent.exists())
    if fence is not None and fence.objection(missing.parent):
        return "Check source.path; it is relative to jobs.yaml."
    names = (
        tuple(islice((item.name for item in missing.parent.iterdir()), _NAMES_MAX)) if missing.parent.is_dir() else ()
    )
    if found := nearest(missing.name, tuple(sorted(names))):
        return f"Did you mean {Path(found) / path.relative_to(missing)}?"
    alike = sorted(name for name in names if path.suffix and missing == path and name.endswith(path.suffix))[:5]
    return f"The folder contains: {', '.join(alike)}." if alike else "Check source.path; it is relative to jobs.yaml."
