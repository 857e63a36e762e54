"""A batch belongs to the account and the job that it was prepared for: this says whether it still does, and what else.

It does not know what makes an account; each has an identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.decide import may_be_there
from lading.errors import EnvironmentProblem, UsageError

if TYPE_CHECKING:
    from lading.core.batch import Batch
    from lading.reconcile.context import JobContext


def is_ours(batch: Batch, context: JobContext) -> bool:
    """Whether the batch belongs to the account that its job sends to now."""
    return batch.identity == context.identity


def another_account(batch: Batch, context: JobContext) -> EnvironmentProblem:
    """Return the error of a batch of which today's account cannot be asked, with the ways out."""
    end = in_words(batch, context) if may_be_there(batch) else f"`lading cancel {batch.id}`: nothing of it was sent"
    return EnvironmentProblem(
        f'batch {batch.id} belongs to another account than connection "{context.job.connection}" names now',
        hint=f"set base_url, credentials and target back and run `lading resume {batch.job}`, or end it with {end}",
    )


def undeclared(batch: Batch, what: str) -> UsageError:
    """Return the error of a batch whose job is needed for `what` and declared no more."""
    return UsageError(
        f'batch {batch.id} is of job "{batch.job}", which is not in the jobs file; {what}',
        hint=f'put job "{batch.job}" back into the jobs file, or end it with `lading resolve {batch.id} --resend`',
    )


def in_words(batch: Batch, context: JobContext) -> str:
    """Return how a person ends a batch on their word. The answers of a lookup come by no word."""
    return f"`lading resolve {batch.id} --resend`" + ("" if context.job.results else " (or `--delivered`)")
