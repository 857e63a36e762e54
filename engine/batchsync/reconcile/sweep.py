"""Removal of files below the state folder that no open batch and no baseline refers to."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsync.reconcile.services import Services


def sweep(job: str, services: Services) -> None:
    """Remove the job's unused batch files, results, scratch files and segments. The caller holds the job's lease."""
    batches = services.store.open_batches(job)
    files = {Path(path).name for batch in batches for path in (batch.file.path, batch.file.row_manifest)}
    paths = services.paths
    _remove_others(paths.staging(job), files)
    _remove_others(paths.baselines(job), set(services.store.baseline_files(job)))
    shutil.rmtree(paths.work(job), ignore_errors=True)
    open_ids = {str(batch.id) for batch in batches}
    if paths.collected_of(job).is_dir():
        for folder in paths.collected_of(job).iterdir():
            if folder.name not in open_ids:
                shutil.rmtree(folder, ignore_errors=True)


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove entries of a folder that are not in the set. Failed removals are retried by the next sweep."""
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.name in kept:
                continue
            if path.is_dir() and not path.is_symlink():
                # A process was killed while it wrote a batch file here.
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()
