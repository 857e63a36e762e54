"""Suppression lists of jobs: read when a job is planned, and again right before each upload.

What was prepared before a person came onto the list is not uploaded: the batch is withheld, that is, cancelled. Its
other rows are sent by the next run. A list that cannot be read stops the job.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.batch import WITHHELD
from batchsync.errors import BatchsyncError, SourceError
from batchsync.reconcile.cancel import cancel
from batchsync.util.files import make_private
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.reconcile.services import JobContext, Services


def read_list(job: Job, into: Path, services: Services) -> Path | None:
    """Return the digests of the suppression list of a job; None if it has none.

    Args:
        job: The job.
        into: Folder for the digests and for landed rows; created if it is missing.
        services: Fetcher and data engine to use.

    Raises:
        SourceError: If the list cannot be read: nothing may be sent then.
    """
    suppress = job.suppress
    if suppress is None:
        return None
    make_private(into)
    try:
        source = services.fetch(suppress.source, into / "list")
        return services.lists.read_list(replace(suppress, source=source), into)
    except BatchsyncError as error:
        reason = f"{job.name}: the suppression list cannot be read: {error.message}"
        raise SourceError(reason, hint=f"nothing was sent; {error.hint or 'check suppress in jobs.yaml'}") from None


def withhold(batch: Batch, context: JobContext, services: Services) -> Batch | None:
    """Cancel a batch that is about to be uploaded, if a person in it is on the suppression list of its job now.

    Args:
        batch: The batch; its file was not sent.
        context: Its job.
        services: Where the cancellation is journaled.

    Returns:
        The cancelled batch; None if it may be uploaded.

    Raises:
        SourceError: If the list cannot be read.
        BatchsyncError: If the batch cannot be cancelled, because its vendor does not answer, or has its file.
    """
    suppress = context.job.suppress
    if suppress is None:
        return None
    with scratch_folder() as folder:
        listed = read_list(context.job, folder, services)
        count = 0 if listed is None else services.lists.listed_rows(batch, suppress, listed)
    if count == 0:
        return None
    found = "it was prepared without the suppression list of its job"
    if count is not None:
        found = f"{count:,} of its {batch.file.rows:,} records came onto the suppression list since it was prepared"
    return cancel(batch, context, services, reason=f"{WITHHELD}: {found}")
