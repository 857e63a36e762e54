"""Which paths of jobs.yaml may be used: none of the kernel, and only those below the roots that the operator allows."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Folders of files that are made while they are read, and of devices.
_KERNEL_FOLDERS = ("/proc", "/sys", "/dev")
#: A folder below them that is a file system in memory.
_MEMORY = str(Path("/dev", "shm"))
_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class PathFence:
    """The folders that paths may lead to.

    Attributes:
        roots: Absolute folders without links; empty allows every folder on a disk.
    """

    roots: tuple[str, ...] = ()

    @classmethod
    def below(cls, folders: Iterable[str | Path]) -> PathFence:
        """Return the fence around some folders, whose links are resolved now."""
        return cls(tuple(os.path.realpath(folder) for folder in folders))

    def within(self, folder: str | Path) -> PathFence:
        """Return the fence around what this one allows of a folder."""
        inner = os.path.realpath(folder)
        if not self.roots or any(_is_below(inner, root) for root in self.roots):
            return PathFence((inner,))
        return PathFence(tuple(root for root in self.roots if _is_below(root, inner)) or ("",))

    def objection(self, path: str | Path) -> str:
        """Return why a path may not be used, to follow its name; empty if it may. Opens nothing, resolves links.

        Neither the path nor the target of a link is shown, and nothing shows whether there is such a file.
        """
        try:
            written, real = os.path.normpath(Path(path).absolute()), os.path.realpath(path)
        except (OSError, ValueError):
            return "is no path"
        for item in (written, real):
            if found := kernel_folder(item):
                return f"is below {found}, whose files are not on a disk"
        if not self.roots or any(_is_below(real, root) for root in self.roots):
            return ""
        leads = (
            "leads through a link out of" if any(_is_below(written, root) for root in self.roots) else "is outside of"
        )
        return f"{leads} the folders that paths may lead to"

    def file_objection(self, path: str | Path) -> str:
        """Return why a file may not be opened: as `objection`, or because it is there and no regular file."""
        if objection := self.objection(path):
            return objection
        try:
            kind = Path(path).stat().st_mode
        except (OSError, ValueError):
            return ""
        return "" if stat.S_ISREG(kind) else "is no regular file"

    @property
    def advice(self) -> str:
        """What would be right instead of a path outside."""
        return f"a path below {' or '.join(self.roots)}" if any(self.roots) else "a file on a disk"


def kernel_folder(path: str) -> str:
    """Return the folder of the kernel that an absolute path is below; empty for others."""
    if _is_below(path, _MEMORY):
        return ""
    return next((folder for folder in _KERNEL_FOLDERS if _is_below(path, folder)), "")


def is_utf8(path: str | Path) -> bool:
    """Return whether a path is UTF-8; Python has lone surrogates for other bytes, which most libraries refuse."""
    return not any("\ud800" <= char <= "\udfff" for char in str(path))


def fixed_part(path: str) -> str:
    """Return the folder below which a glob matches; a path without magic characters is returned as it is."""
    parts = Path(path).parts
    magic = next((index for index, part in enumerate(parts) if _MAGIC.intersection(part)), None)
    return path if magic is None else str(Path(*parts[:magic])) if magic else "."


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and (path == folder or path.startswith(folder.rstrip("/") + "/"))
