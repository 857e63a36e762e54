"""Remove files that no open batch and no baseline names: personal data stays no longer than it is needed.

It removes only below lading's own folders, and it does not judge what is open: the journal does.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.reconcile.context import World


def sweep(job: str, world: World) -> None:
    """Remove the job's staged files, collected answers, scratch and superseded baselines. Needs the job's lease."""
    batches = world.memory.open_batches(job)
    files = {Path(path).name for one in batches for path in (one.file.path, one.file.evidence)}
    folders = world.folders
    _remove_others(folders.staging(job), files)
    _remove_others(folders.baselines(job), set(world.memory.baseline_files(job)))
    shutil.rmtree(folders.work(job), ignore_errors=True)
    open_ids = {str(one.id) for one in batches}
    if folders.collected_of(job).is_dir():
        for answers in folders.collected_of(job).iterdir():
            if answers.name not in open_ids:
                shutil.rmtree(answers, ignore_errors=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove what is in a folder and not in the set. What cannot be removed now, the next sweep removes."""
    with suppress(FileNotFoundError):
        for one in folder.iterdir():
            if one.name in kept:
                continue
            if one.is_dir() and not one.is_symlink():
                # Where a process was sealing when it was killed: half of a file of rows.
                shutil.rmtree(one, ignore_errors=True)
            else:
                with suppress(OSError):
                    one.unlink()
