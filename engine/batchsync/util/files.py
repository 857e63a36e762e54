"""Folders of the state are for whoever runs lading alone, whatever the umask says.

It does not know what is kept in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and all above it that are missing, each with mode 0700; what is there stays as it is.

    Raises:
        OSError: when it cannot be made, or something else stands there.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        # `parents=True` would give the mode to the last of them only.
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
