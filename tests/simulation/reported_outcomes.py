"""Checks of the outcomes that a process reports for its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.errors import ExitCode, LockedError, SpecError, UnavailableError
from batchsync.reconcile.renames import FormerNameOpenError
from simulation import reached_states
from simulation.deployment import logical

if TYPE_CHECKING:
    from batchsync.reconcile.sync import JobOutcome
    from simulation.seed_run import SeedRun

#: exit codes of a job of which nothing is open and no outcome is unknown
_SETTLED = (ExitCode.DONE, ExitCode.REJECTS)


def check(run: SeedRun, outcomes: tuple[JobOutcome, ...], *, trusted: bool, locked: bool) -> None:
    """Check the outcomes that a process reported for its jobs."""
    for outcome in outcomes:
        run.log(f"{outcome.job}: exit {int(outcome.exit_code)} {outcome.error.message if outcome.error else ''}")
        if logical(outcome.job) == run.sources.renamed and isinstance(outcome.error, SpecError):
            run.reached("a job with a renamed column stopped, and no other")
            continue
        expected = (UnavailableError, LockedError) if locked else UnavailableError
        undisturbed = trusted or not (locked or run.damage.done or run.armed.any_hit())
        # A renamed job waits for its open batches; whether these ever end, the last passes show.
        waits = isinstance(outcome.error, FormerNameOpenError)
        if outcome.error is not None and not waits and (undisturbed or not isinstance(outcome.error, expected)):
            run.violated(f"{outcome.job}: {type(outcome.error).__name__}: {outcome.error.message}")
        if outcome.exit_code in _SETTLED:
            _check_nothing_open(run, outcome)
        _check_not_given_up(run, outcome, trusted=trusted)
        run.reached(*reached_states.of_runs(outcome))


def _check_nothing_open(run: SeedRun, outcome: JobOutcome) -> None:
    """Check that a job reported as settled has no open batch."""
    for batch in run.batches(lambda batch: batch.phase is not Phase.DELIVERED):
        if logical(batch.job) == logical(outcome.job):
            run.violated(f"{outcome.job}: exit {int(outcome.exit_code)}, and {batch.id} is {batch.phase}")


def _check_not_given_up(run: SeedRun, outcome: JobOutcome, *, trusted: bool) -> None:
    """Check that no batch waits for a person because of an outage, or without a fault because of lost allocations.

    No outage lasts as long as a deadline.
    """
    for batch in run.batches(lambda batch: batch.job == outcome.job and batch.phase is Phase.NEEDS_ATTENTION):
        if batch.reason.startswith("failed "):
            run.violated(f"{outcome.job}: an outage stopped {batch.id}: {batch.reason}")
        if trusted and batch.id not in run.parked and batch.reason.startswith("lost "):
            run.violated(f"{outcome.job}: allocations were lost without a fault: {batch.reason}")
