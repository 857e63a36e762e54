"""Account checks: whether a batch belongs to the account of its job, and the errors raised when it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.lifecycle import possibly_delivered
from batchsync.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext


def same_account(batch: Batch, context: JobContext) -> bool:
    """Return whether the batch was prepared for the account that its job sends to now."""
    return batch.account_id == context.account_id


def account_changed_error(batch: Batch, context: JobContext) -> UnavailableError:
    """Return the error for a batch whose vendor cannot be queried because the account of its job changed."""
    command = (
        manual_resolution_hint(batch, context)
        if possibly_delivered(batch)
        else f"`batchsync cancel {batch.id}` (nothing was sent)"
    )
    return UnavailableError(
        f'batch {batch.id} was prepared for an account that connection "{context.job.connection}" no longer uses',
        hint=f"restore base_url, credentials and target and run `batchsync resume {batch.job}`, or use {command}",
        name="environment.account",
    )


def undeclared_error(batch: Batch, purpose: str) -> UsageError:
    """Return the error for a batch whose job is no longer in jobs.yaml.

    Args:
        batch: The batch.
        purpose: Why the job is needed, as the end of a sentence.
    """
    return UsageError(
        f'batch {batch.id} belongs to job "{batch.job}", which is not in the jobs file; {purpose}',
        hint=f'restore job "{batch.job}" in the jobs file, or run `batchsync resolve {batch.id} --resend`',
    )


def manual_resolution_hint(batch: Batch, context: JobContext) -> str:
    """Return the command that resolves the batch manually. Lookups cannot be resolved as delivered."""
    return f"`batchsync resolve {batch.id} --resend`" + ("" if context.job.results else " (or `--delivered`)")
