"""Deliveries of one key, and its record as the source has it now, for `batchsync why`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError
from batchsync.report.deliveries import KeyDelivery, RecordNow
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.app import App
    from batchsync.core.batch import Batch, BatchId
    from batchsync.core.job import Job
    from batchsync.journal import Journal
    from batchsync.ports import KnownKey, ManifestRow, Reject
    from batchsync.report.masks import Mask
    from batchsync.report.why import KeyInFlight

#: Newest batches of a job whose row manifests are searched, if they are kept.
_SEARCHED = 500


def deliveries(
    key: str,
    names: frozenset[str],
    known: KnownKey | None,
    in_flight: Sequence[KeyInFlight],
    journal: Journal,
    app: App,
) -> tuple[KeyDelivery, ...]:
    """Return the deliveries of a key that are known, oldest first.

    Known are batches in flight, batches that rejected the key or whose answer is unknown, batches of accepted versions
    that the baseline names, and each batch whose row manifest is kept (`retention.batch_files`).

    Args:
        key: The key.
        names: Name of the job and its former names.
        known: What the baseline has of the key; None if it could not be read.
        in_flight: Open batches that contain the key.
        journal: The journal.
        app: The application.
    """
    rejects: dict[str, Reject] = {}
    for name in names:
        rejects |= {row.batch: row.reject for row in journal.why(name, key) if row.batch is not None}
    batches: dict[str, Batch] = {item.batch.id: item.batch for item in in_flight}
    rows: dict[str, ManifestRow] = {}
    for batch in [*batches.values(), *journal.delivered_batches(names, _SEARCHED)]:
        row = app.data.sent_row(batch, key)
        if row is not None:
            rows[batch.id] = row
        if row is not None or batch.id in rejects:
            batches[batch.id] = batch
    versions: dict[BatchId, str] = {}
    for digest, version in known.delivered if known is not None else ():
        held = journal.batch_of_file(names, digest)
        if held is not None:
            batches.setdefault(held.id, held)
            versions[held.id] = version
    ordered = sorted(batches.values(), key=lambda batch: (batch.prepared_at, batch.seq))
    return tuple(_delivery(batch, rows.get(batch.id), rejects, versions) for batch in ordered)


def _delivery(
    batch: Batch, row: ManifestRow | None, rejects: Mapping[str, Reject], versions: Mapping[BatchId, str]
) -> KeyDelivery:
    """Return how a batch delivered the key."""
    reject = rejects.get(batch.id)
    version = row.version if row is not None else versions.get(batch.id, "")
    return KeyDelivery(
        batch=batch,
        op=row.op if row is not None else "",
        version=version,
        line=row.line if row is not None else 0,
        reject=reject,
    )


def record_now(key: str, job: Job, mask: Mask, known: KnownKey | None, app: App) -> RecordNow:
    """Return the record of a key as the source has it now.

    Args:
        key: The key.
        job: The job.
        mask: What of keys and values is shown.
        known: What the baseline has of the key; None if it could not be read.
        app: The application.
    """
    held, before = (known.version, known.record) if known is not None else ("", None)
    if not job.source.is_local:
        note = f"the source is elsewhere and is not read here: `batchsync preview {job.name} KEY` reads it"
        return RecordNow(job=job.name, mask=mask, held=held, before=before, note=note)
    try:
        with scratch_folder() as folder:
            found = app.data.sample(job, app.rules_of(job), folder, app.clock.now(), [key], 1)
    except BatchsyncError as error:
        return RecordNow(job=job.name, mask=mask, held=held, before=before, note=error.message)
    return RecordNow(job=job.name, mask=mask, held=held, before=before, sample=found)
