"""Writing of several files together: all are written, or no new file is left."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import UnavailableError
from batchsync.util.files import fsync_file, os_error_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Created next to the jobs file and not to be committed: the state folder and the results of vendors.
IGNORED = (".batchsync/", "out/")


def ignoring(path: Path) -> dict[Path, str]:
    """Return the .gitignore to write; nothing if there is one."""
    return {} if existing_paths([path]) else {path: "".join(f"{line}\n" for line in IGNORED)}


def cd_hint(folder: Path) -> str:
    """Return the `cd` command for a folder other than the current one, as the begin of a sentence."""
    return f"`cd {shlex.quote(str(folder))}`, then " if folder.resolve() != Path.cwd() else ""


def existing_paths(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that exist, dangling links included."""
    return tuple(path for path in paths if os.path.lexists(path))


def write_files(texts: Mapping[Path, str | bytes]) -> None:
    """Write each text, in UTF-8, or document to its path in order, creating folders and replacing existing files.

    All files are written next to their destinations before the first is renamed. If a file cannot be written, no new
    file or folder is left.

    Raises:
        UnavailableError: If a file or a folder cannot be written.
    """
    path = None
    with contextlib.ExitStack() as undone:
        try:
            for path, text in texts.items():
                _refuse_folder(path)
                _make_folder(path.parent, undone)
                undone.callback(_partial(path).unlink, missing_ok=True)
                _write(_partial(path), text)
            for path in texts:
                if not os.path.lexists(path):
                    undone.callback(path.unlink, missing_ok=True)
                _partial(path).replace(path)
        except OSError as error:
            raise UnavailableError(
                f"cannot write {path}: {os_error_reason(error).lower()}; no new file was left",
                hint="choose a writable folder on a disk with free space",
                name="environment.write",
            ) from None
        undone.pop_all()


def _refuse_folder(path: Path) -> None:
    """Raise IsADirectoryError if the path is a folder."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _make_folder(folder: Path, undone: contextlib.ExitStack) -> None:
    """Create a folder and its parents; `undone` removes them if a later step fails."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, undone)
    folder.mkdir()
    undone.callback(folder.rmdir)


def _write(path: Path, text: str | bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    fsync_file(path)
