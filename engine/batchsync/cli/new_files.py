"""Several new files appear together, or none of them does, as far as a disk can promise that.

It does not know what stands in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def already_there(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the paths that something stands at, a dangling link too."""
    return tuple(path for path in paths if os.path.lexists(path))


def write_all(texts: Mapping[Path, str]) -> None:
    """Write each text to its path, in their order, and make the folders; what stands there is replaced.

    All files are whole on the disk beside their places before the first takes its place. When one cannot be written,
    nothing that was new is left.

    Raises:
        EnvironmentProblem: when a file or a folder cannot be written.
    """
    at = None
    with contextlib.ExitStack() as undone:
        try:
            for at, text in texts.items():
                if at.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "a folder stands there")
                _make_folder(at.parent, undone)
                undone.callback(_partial(at).unlink, missing_ok=True)
                _write(_partial(at), text)
            for at in texts:
                if not os.path.lexists(at):
                    undone.callback(at.unlink, missing_ok=True)
                _partial(at).replace(at)
        except OSError as error:
            raise EnvironmentProblem(
                f"{at} cannot be written: {(error.strerror or type(error).__name__).lower()}; nothing new was left",
                hint="name a folder that you may write to, on a disk with free space",
            ) from None
        undone.pop_all()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _make_folder(folder: Path, undone: contextlib.ExitStack) -> None:
    """Make a folder and those above it; made ones are removed again when the rest fails."""
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
