"""A package as pip would install it: one module, and entry points that name its parts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


#: Folder below that of a test that has the package.
_SITE = "site"


def has_installed(folder: Path) -> bool:
    """Return whether a test that works in a folder installed the package."""
    return (folder / _SITE).is_dir()


def install(folder: Path, patch: pytest.MonkeyPatch, code: str, entry_points: str) -> Path:
    """Install the module `acme_batchsync` for the commands that a test starts.

    Args:
        folder: Folder of the test.
        patch: Receives the import path of the commands.
        code: Source text of the module.
        entry_points: Content of `entry_points.txt`.

    Returns:
        Path of the module.
    """
    site = folder / _SITE
    about = site / "acme_batchsync-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-batchsync\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    module = site / "acme_batchsync.py"
    module.write_text(code, encoding="utf-8")
    patch.setenv("PYTHONPATH", os.pathsep.join([str(site), *sys.path]))
    return module
