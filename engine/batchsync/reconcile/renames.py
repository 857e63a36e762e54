"""Renamed jobs: open batches are finished under their former name, then the baseline is taken over.

Idempotency keys and file names contain the name of the job, so a batch keeps the name under which it was prepared. A
job that sends to the target of a job that was taken out, and does not say whether it was renamed, is refused.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.naming import baseline_prefix, segment_key
from batchsync.errors import BatchsyncError, ExitCode, UsageError
from batchsync.ports import BaselineEntry, ObjectFolder
from batchsync.util.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batchsync.core.batch import Batch
    from batchsync.core.run import Run
    from batchsync.reconcile.services import JobContext, Services


class FormerNameOpenError(BatchsyncError):
    """A former name of the job has open batches, so that its baseline cannot be taken over yet."""

    exit_code = ExitCode.UNSETTLED

    def __init__(self, job: str, former: str, batches: Sequence[Batch]) -> None:
        """Create the error, with the exit code of a job that needs attention if one of the batches does."""
        parked = [batch.id for batch in batches if batch.phase is Phase.NEEDS_ATTENTION]
        number = f"{len(batches)} open batch{'es' if len(batches) != 1 else ''}"
        hint = f"`batchsync resume {job}` follows them, then `batchsync sync {job}`"
        if parked:
            self.exit_code = ExitCode.NEEDS_ATTENTION
            hint = f"`batchsync status {former}` shows why {parked[0]} needs attention, and what ends it"
        super().__init__(
            f'job "{job}" waits for {number} of its former name "{former}", whose baseline it takes over', hint=hint
        )


def under_former_names(context: JobContext, services: Services) -> tuple[JobContext, ...]:
    """Return the contexts of the job's former names that have open batches, an unfinished preparation or a baseline."""
    store = services.store
    return tuple(
        as_former(context, name)
        for name in context.job.renamed_from or ()
        if store.open_batches(name) or store.preparing_runs(name) or store.baselines(name)
    )


def as_former(context: JobContext, name: str) -> JobContext:
    """Return the context of a job under a former name: it delivers what is open, and plans nothing."""
    job = replace(context.job, name=name, schedule=None, depends_on=(), renamed_from=None)
    return replace(context, job=job, other_names=context.job.all_names)


def take_over(context: JobContext, services: Services) -> None:
    """Give the job the baselines of its former names, of accounts where it has none. The caller holds all leases.

    Args:
        context: The job.
        services: Object store and journal. Segments are copied below the present name before they are journaled.

    Raises:
        FormerNameOpenError: If a former name has open batches.
        UnavailableError: If a segment cannot be copied.
    """
    name, store = context.job.name, services.store
    for former in context.job.renamed_from or ():
        if open_batches := store.open_batches(former):
            raise FormerNameOpenError(name, former, open_batches)
        entries = [entry for entry in store.baselines(former) if store.baseline(name, entry.account_id) is None]
        if not entries:
            continue
        copy_segments(entries, name, services)
        with services.shield():
            store.take_over(former, name, [replace(entry, job=name) for entry in entries], services.clock.now())


def copy_segments(entries: Iterable[BaselineEntry], job: str, services: Services) -> None:
    """Copy the segments of baselines to the keys of another job. A repeated copy has no effect."""
    folder = ObjectFolder(services.objects, baseline_prefix(job))
    with (
        translate_os_errors(f'the baseline of job "{job}" cannot be copied', hint="batchsync doctor"),
        folder.workspace() as workspace,
    ):
        for entry in entries:
            for segment in entry.segments:
                if services.objects.head(segment_key(job, segment.file)) is None:
                    with services.objects.get(segment_key(entry.job, segment.file)) as path:
                        shutil.copyfile(path, workspace / segment.file)
                    folder.put(workspace / segment.file, segment.file)


def baseline_before(context: JobContext, services: Services) -> BaselineEntry:
    """Return the baseline that the job has, or takes over from a former name; empty if there is neither."""
    store, account_id = services.store, context.account_id
    names = (context.job.name, *(context.job.renamed_from or ()))
    entries = (store.baseline(name, account_id) for name in names)
    return next(filter(None, entries), BaselineEntry(job=context.job.name, account_id=account_id))


def last_planned(context: JobContext, services: Services) -> Run | None:
    """Return the newest run of the job that sent its removals, or that of the first former name that has one."""
    names = (context.job.name, *(context.job.renamed_from or ()))
    return next(filter(None, (services.store.last_planned(name, context.account_id) for name in names)), None)


def check_rename(context: JobContext, services: Services) -> None:
    """Refuse a new job whose target is that of a job that was taken out, unless it says whether it was renamed.

    Raises:
        UsageError: If it does not say so: every row would be sent again, and rows in flight might be sent twice.
    """
    job, store = context.job, services.store
    if context.declared is None or job.renamed_from is not None or store.is_known_at(job.name, context.account_id):
        return
    gone = [name for name in store.holders(context.account_id) if name not in context.declared]
    if not gone:
        return
    names = ", ".join(f'"{name}"' for name in gone)
    raise UsageError(
        f'{job.place}: job "{job.name}" is new, and sends to the target of {names}, which the jobs file no longer has: '
        "if it was renamed, every row would be sent again",
        hint=f"add `renamed_from: {gone[0]}` to job {job.name} if it was renamed, "
        "or `renamed_from: []` if it is another job",
    )
