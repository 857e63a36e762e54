"""Batches that were found at the vendor after a restored state was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext, Services

_MAY_BE_FOLLOWED = "the state was restored: a later batch that it lacks may have replaced what this batch delivered"


def doubt_of(batch: Batch, context: JobContext, services: Services) -> str:
    """Return why the vendor's answer about a batch does not tell what the target holds; empty if it does.

    The answers of a lookup are those of the rows that were sent, whatever was sent later.

    Args:
        batch: A batch that the vendor has processed.
        context: The batch's job.
        services: The journal.
    """
    names = context.job.all_names | context.other_names
    is_lookup = context.job.results is not None
    return _MAY_BE_FOLLOWED if not is_lookup and services.store.may_be_followed(batch.id, names) else ""


def doubt_of_accepted(batch: Batch, context: JobContext, services: Services) -> str:
    """Return `doubt_of` for a collected batch, or an empty string if the vendor accepted none of its rows."""
    accepted = batch.counts[RowOutcome.ACCEPTED] if batch.counts else 0
    return doubt_of(batch, context, services) if accepted else ""
