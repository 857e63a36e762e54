"""Check whether a job has settled, for the jobs that depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.core.run import Run, RunState

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """Reason why a job has not settled, with the next command. `temporary`: it may settle without a person."""

    reason: str
    temporary: bool = False


def dependency_blocker(
    job: str, newest: Run | None, open_batches: Sequence[Batch], *, approved: bool = False
) -> Blocker | None:
    """Return the reason why jobs that depend on this job must wait.

    Rejected rows are no reason to wait: a settled run suffices.

    Args:
        job: Name of the job that others depend on.
        newest: Its newest run.
        open_batches: The open batches of all its runs.
        approved: Whether the plan of the newest run was approved.

    Returns:
        The reason, or None if the job has settled.
    """
    waiting = f'waiting for "{job}"'
    if newest is None:
        return Blocker(reason=f"{waiting}, which has never run: run `batchsync sync {job}` first")
    if any(batch.phase is Phase.NEEDS_ATTENTION for batch in open_batches):
        return Blocker(reason=f"{waiting}, which has a batch that needs attention: see `batchsync status {job}`")
    if newest.state is RunState.AWAITING_APPROVAL:
        return Blocker(reason=f"{waiting}, {_approval_state(job, approved=approved)}")
    if open_batches or newest.state is not RunState.SETTLED:
        return Blocker(reason=f"{waiting}, which has not settled: run `batchsync resume {job}`", temporary=True)
    if newest.counts.unstaged:
        return Blocker(reason=f"{waiting}, whose records are not all sent: run `batchsync sync {job}`")
    return None


def _approval_state(job: str, *, approved: bool) -> str:
    if approved:
        return f"whose approved plan is not sent yet: run `batchsync sync {job}`"
    return f"whose plan awaits approval: run `batchsync approve {job}` if it is right, then `batchsync sync {job}`"
