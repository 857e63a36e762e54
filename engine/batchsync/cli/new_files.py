"""Writing of several files together: all are written, or no new file is left."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from batchsync.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def existing_paths(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that exist, dangling links included."""
    return tuple(path for path in paths if os.path.lexists(path))


def write_files(texts: Mapping[Path, str]) -> None:
    """Write each text to its path in order, creating folders and replacing existing files.

    All files are written beside their destinations before the first is renamed. If a file cannot be written, no new
    file or folder is left.

    Raises:
        UnavailableError: If a file or a folder cannot be written.
    """
    at = None
    with contextlib.ExitStack() as undone:
        try:
            for at, text in texts.items():
                if at.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "is a folder")
                _make_folder(at.parent, undone)
                undone.callback(_partial(at).unlink, missing_ok=True)
                _write(_partial(at), text)
            for at in texts:
                if not os.path.lexists(at):
                    undone.callback(at.unlink, missing_ok=True)
                _partial(at).replace(at)
        except OSError as error:
            raise UnavailableError(
                f"cannot write {at}: {(error.strerror or type(error).__name__).lower()}; no new file was left",
                hint="choose a writable folder on a disk with free space",
            ) from None
        undone.pop_all()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _make_folder(folder: Path, undone: contextlib.ExitStack) -> None:
    """Create a folder and its parents; `undone` removes them if a later step fails."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, undone)
    folder.mkdir()
    undone.callback(folder.rmdir)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
