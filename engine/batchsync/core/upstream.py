"""Whether a job that others depend on has come to its end, as its newest run and its open batches tell.

It does not know who depends on the job, nor whether anybody waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.run import Run, RunState

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a job is not at its end, with the command that helps. `passes` says that it may end without a person."""

    reason: str
    passes: bool = False


def obstacle(job: str, newest: Run | None, open_batches: Sequence[Batch], *, approved: bool = False) -> Obstacle | None:
    """Return what keeps the jobs that depend on this one waiting; None when it has settled.

    `newest` is its newest run, `approved` whether a person approved its plan; `open_batches` are those of all its runs.
    A settled run will do, whatever became of its rows: a rejected one is no reason to keep everything else waiting.
    """
    that = f'it depends on "{job}"'
    if newest is None:
        return Obstacle(reason=f"{that}, which never ran: `lading sync {job}` first")
    if any(one.phase is Phase.STUCK for one in open_batches):
        return Obstacle(reason=f"{that}, of which a batch waits for a person: `lading status {job}`")
    if newest.state is RunState.HELD:
        return Obstacle(reason=f"{that}, {_held(job, approved=approved)}")
    if open_batches or newest.state is not RunState.SETTLED:
        return Obstacle(
            reason=f"{that}, which has not settled: `lading resume {job}` follows it to its end", passes=True
        )
    if newest.tally.unsealed:
        return Obstacle(reason=f"{that}, of which a part was not sent yet: `lading sync {job}` sends it")
    return None


def _held(job: str, *, approved: bool) -> str:
    if approved:
        return f"whose plan was approved and not sent yet: `lading sync {job}` sends it"
    return f"which a guard holds: `lading approve {job}` when its plan is right, then `lading sync {job}`"
