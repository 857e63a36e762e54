"""Batches that were found at the vendor after a restored state was accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    is_lookup = context.job.results is not None
    return _MAY_BE_FOLLOWED if not is_lookup and services.store.may_be_followed(batch.id) else ""
