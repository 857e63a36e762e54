"""Removal of objects and local files that no open batch and no baseline refers to."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchsync.core import naming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.batch import Batch
    from batchsync.ports import ObjectStore, StateStore
    from batchsync.reconcile.services import Services


def sweep(job: str, services: Services) -> None:
    """Remove the job's unused batch files, results, scratch files and segments. The caller holds the job's lease."""
    batches = services.store.open_batches(job)
    files = files_in_use(job, services.store)
    files |= {key for batch in kept_batches(job, services) for key in _files_of(batch)}
    segments = segments_in_use(job, services.store)
    _delete_others(services.objects, naming.staging_prefix(job), files)
    _delete_others(services.objects, naming.baseline_prefix(job), segments)
    sweep_rejects(job, services)
    paths = services.paths
    shutil.rmtree(paths.work(job), ignore_errors=True)
    open_ids = {str(batch.id) for batch in batches}
    if paths.collected_of(job).is_dir():
        for folder in paths.collected_of(job).iterdir():
            if folder.name not in open_ids:
                shutil.rmtree(folder, ignore_errors=True)


def sweep_rejects(job: str, services: Services) -> None:
    """Remove the objects with rejects of a job that the journal does not name. The caller holds the job's lease."""
    _delete_others(services.objects, naming.rejects_prefix(job), rejects_in_use(job, services.store))


def rejects_in_use(job: str, store: StateStore) -> set[str]:
    """Return the keys of the objects with rejects of a job."""
    return {naming.reject_object_key(job, name) for name in store.reject_files(job)}


def files_in_use(job: str, store: StateStore) -> set[str]:
    """Return the keys of the batch files and row manifests of a job that later commands need."""
    files = {key for batch in store.open_batches(job) for key in _files_of(batch)}
    # A later collection joins the row log to these, also after the job was renamed.
    files |= {naming.row_manifest_key(job, batch.file) for batch in store.with_unknown_rows(job)}
    return files | {naming.row_manifest_key(job, batch.file) for batch, _ in store.pending_erasures(job)}


def segments_in_use(job: str, store: StateStore) -> set[str]:
    """Return the keys of the segments of the baselines of a job."""
    return {naming.segment_key(job, name) for name in store.baseline_files(job)}


def kept_batches(job: str, services: Services) -> Sequence[Batch]:
    """Return the delivered batches of a job whose files are kept by `retention.batch_files`."""
    period = services.retention.batch_files
    if period is not None and not period:
        return ()
    since = datetime.min.replace(tzinfo=UTC) if period is None else services.clock.now() - period
    return services.store.kept_files(job, since)


def _files_of(batch: Batch) -> tuple[str, str]:
    """Return the keys of a batch file and its row manifest."""
    return naming.batch_file_key(batch.job, batch.file), naming.row_manifest_key(batch.job, batch.file)


def _delete_others(objects: ObjectStore, prefix: str, kept: set[str]) -> None:
    """Delete the objects below a prefix that are not in the set. Failed deletions are retried by the next sweep."""
    for item in objects.list(prefix):
        if item.key not in kept:
            with suppress(OSError):
                objects.delete(item.key)
    objects.discard_unfinished(prefix)
