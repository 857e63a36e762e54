"""The equation of a run from sums over its batches, as of all its batches one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, BatchFile, BatchId, Phase
from batchsync.core.guards import Budget, within_budget
from batchsync.core.run import RunState, settlement_of
from batchsync.report.settlement import equation
from batchsync.web.bars import Part, stacked

if TYPE_CHECKING:
    from batchsync.core.accounting import Settlement
    from batchsync.core.run import Run
    from batchsync.ports.overview import BatchSum, RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run as pages show it.

    Attributes:
        run: The run.
        settlement: Its settlement equation.
        sent: Records in its batch files.
        failing: Number of its batches whose last call failed.
        budget: Budget of the job; None if it is no longer in jobs.yaml.
    """

    run: Run
    settlement: Settlement
    sent: int
    failing: int
    budget: Budget | None = None

    @property
    def state(self) -> str:
        """State of the run in words."""
        if self.run.state is RunState.AWAITING_APPROVAL:
            return "awaiting approval"
        if self.settlement.needs_attention:
            return "needs attention"
        return {RunState.PREPARED: "in flight"}.get(self.run.state, str(self.run.state))

    @property
    def equation(self) -> str:
        """The settlement equation as text."""
        return equation(self.settlement)

    @property
    def bar(self) -> tuple[Part, ...]:
        """The settlement as parts of a bar; records in flight are apart from other deferred ones."""
        outcomes = self.settlement.outcomes
        counts = {outcome.value: outcomes[outcome] for outcome in outcomes.shown()}
        in_flight = min(self.settlement.in_flight, counts.get("deferred", 0))
        counts["deferred"] = counts.get("deferred", 0) - in_flight
        return stacked(counts | {"in flight": in_flight})

    @property
    def over_budget(self) -> bool:
        """Whether more records failed than the job allows."""
        counts = self.settlement
        return self.budget is not None and not within_budget(counts.outcomes, self.budget, selected=counts.selected)


def view_of(summary: RunSummary, budget: Budget | None = None) -> RunView:
    """Return a run as pages show it.

    Args:
        summary: The run with sums over its batches.
        budget: Budget of its job.
    """
    sums, run = summary.batches, summary.run
    # Rows add up in groups of batches as they do one by one; only the numbers of batches differ.
    settlement = replace(
        settlement_of(run, (_as_batch(item, run, number) for number, item in enumerate(sums, 1))),
        batches=sum(item.batches for item in sums),
        needs_attention=sum(item.batches for item in sums if item.phase is Phase.NEEDS_ATTENTION),
    )
    return RunView(
        run=run,
        settlement=settlement,
        sent=sum(item.rows for item in sums),
        failing=sum(item.failing for item in sums),
        budget=budget,
    )


def _as_batch(item: BatchSum, run: Run, number: int) -> Batch:
    """Return a batch with the rows of a group of batches."""
    return Batch(
        id=BatchId(f"{run.id}:{number}"),
        run=run.id,
        job=run.job,
        seq=number,
        file=BatchFile(path="", row_manifest="", digest="", md5="", size=item.size, rows=item.rows),
        phase=item.phase,
        parked_from=item.parked_from,
        pending_intent=item.pending_intent,
        prepared_at=run.created_at,
        counts=item.counts,
    )
