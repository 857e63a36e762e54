"""Run due jobs in the foreground, once for each schedule tick, and follow batches in flight when they are due.

Ticks are in the journal, so that a crash between two ticks loses none.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from batchsync.core.batch import Phase
from batchsync.core.decide import decide
from batchsync.core.run import RunState
from batchsync.core.steps import NoOp, Wait
from batchsync.errors import BatchsyncError, LockedError, SourceError, SpecError
from batchsync.ports import Waiting
from batchsync.reconcile.due_jobs import due_jobs
from batchsync.reconcile.erased_keys import forget_erased_keys
from batchsync.reconcile.loop import WaitPolicy, admit_by_connection, drive_to_completion
from batchsync.reconcile.new_run import NewRunRequest
from batchsync.reconcile.open_work import open_runs
from batchsync.reconcile.prepare import abort_preparation
from batchsync.reconcile.renames import under_former_names
from batchsync.reconcile.send_gate import permitted
from batchsync.reconcile.services import JobContext, UnableJob
from batchsync.reconcile.sync import (
    JobOutcome,
    cause,
    emit_end,
    outcome_of,
    sync,
    unable_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from batchsync.core.batch import Batch
    from batchsync.reconcile.due_jobs import Ticks
    from batchsync.reconcile.services import SelectedJob, Services

#: Longest sleep: a changed jobs file or a clock that jumped is noticed within it.
_MAX_SLEEP = timedelta(minutes=5)
#: What a person starts is sent in quiet hours, too.
_AT_ONCE = WaitPolicy(wait=False)


class Controls(Protocol):
    """What the process asks of the loop while it runs, such as by the page."""

    def take(self, contexts: Sequence[SelectedJob]) -> Collection[str]:
        """Perform what was asked for since the last pass; called at the beginning of each.

        Args:
            contexts: The active jobs.

        Returns:
            Names of jobs that are to run now, whatever their schedule says.
        """
        ...

    def rest(self, duration: timedelta) -> None:
        """Wait; the wait ends early if something is asked for."""
        ...


def serve(
    load_contexts: Callable[[], Sequence[SelectedJob]],
    services: Services,
    ticks: Ticks,
    *,
    on_outcome: Callable[[JobOutcome], None],
    once: bool = False,
    controls: Controls | None = None,
) -> None:
    """Run until interrupted; with `once`, do what is due now and return.

    A failed job stops no other. It is tried again in every pass, and a repeated failure is reported once.

    Args:
        load_contexts: Returns the jobs as jobs.yaml declares them now; called before each run.
        services: Where the jobs run.
        ticks: Source of schedule ticks.
        on_outcome: Called with the outcome of each run.
        once: Whether to return after one pass.
        controls: What the process asks of the loop; None for nothing.

    Raises:
        BatchsyncError: If the journal fails.
    """
    reporter, served_since = _OutcomeReporter(on_outcome), services.clock.now()
    at_once = WaitPolicy(wait=False, quiet_until=ticks.quiet_until)
    while True:
        contexts, attempted, began = load_contexts(), dict[str, datetime](), services.clock.now()
        if controls is not None:
            _run_asked(controls.take(contexts), contexts, services, reporter)
        while due := next(
            (pair for pair in due_jobs(contexts, services, ticks, served_since) if _is_next(pair, attempted, began)),
            None,
        ):
            context, tick = due
            attempted[context.job.name] = tick
            for outcome in sync([context], services, at_once, NewRunRequest(tick=tick, peers=_able(contexts))):
                reporter.report(outcome)
                if isinstance(outcome.error, SourceError | SpecError):
                    # An error of the source is final for this tick; an unavailable vendor is tried again.
                    services.store.claim_tick(context.job.name, tick)
            contexts = load_contexts()
        failed = set()
        contexts = _with_former_names(contexts, services)
        for outcome in _follow(contexts, services, at_once):
            reporter.report(outcome)
            if outcome.error:
                failed.add(outcome.job)
        if once:
            return
        until = _wake(_able(contexts), services, ticks, failed)
        services.events.emit(Waiting(until=until))
        rest = services.clock.sleep if controls is None else controls.rest
        rest(until - services.clock.now())


def _run_asked(
    asked: Collection[str], contexts: Sequence[SelectedJob], services: Services, reporter: _OutcomeReporter
) -> None:
    """Run jobs now that were asked for, and report their outcomes."""
    for context in contexts:
        if context.job.name in asked:
            for outcome in sync([context], services, _AT_ONCE, NewRunRequest(peers=_able(contexts))):
                reporter.report(outcome)


def _is_next(due: tuple[SelectedJob, datetime], attempted: Mapping[str, datetime], began: datetime) -> bool:
    """Return whether a due tick is run in this pass: the first of its job, or one more that was missed before it."""
    last = attempted.get(due[0].job.name)
    return last is None or last < due[1] <= began


def _able(contexts: Sequence[SelectedJob]) -> list[JobContext]:
    """Return the jobs that can reach their vendors."""
    return [context for context in contexts if isinstance(context, JobContext)]


def _with_former_names(contexts: Sequence[SelectedJob], services: Services) -> list[SelectedJob]:
    """Return the jobs, then their former names that have open batches and are not among the jobs."""
    names = {context.job.name for context in contexts}
    formers = [former for context in _able(contexts) for former in under_former_names(context, services)]
    return [*contexts, *(former for former in formers if former.job.name not in names)]


class _OutcomeReporter:
    """Report outcomes of jobs, a failure or blocker that persists only once."""

    def __init__(self, on_outcome: Callable[[JobOutcome], None]) -> None:
        self._on_outcome = on_outcome
        self._last: dict[str, JobOutcome] = {}

    def report(self, outcome: JobOutcome) -> None:
        """Report the outcome, unless it repeats the last reported failure or blocker of the job."""
        last = self._last.get(outcome.job)
        if last is None or not _is_repeated(outcome, last):
            self._on_outcome(outcome)
            self._last[outcome.job] = outcome


def _is_repeated(outcome: JobOutcome, last: JobOutcome) -> bool:
    """Return whether the outcome has the same failure as the last one and contains no other run."""
    if not (failure := _failure_text(outcome)) or failure != _failure_text(last):
        return False
    return {run.run.id for run in outcome.runs} <= {run.run.id for run in last.runs}


def _failure_text(outcome: JobOutcome) -> str:
    return outcome.error.message if outcome.error else outcome.skipped


def _follow(contexts: Sequence[SelectedJob], services: Services, at_once: WaitPolicy) -> list[JobOutcome]:
    """Drive batches in flight as far as possible now, all jobs side by side, and return the outcomes to report.

    These are runs that were settled, batches that need attention, and errors of jobs that had to stop.
    """
    failed: dict[str, BatchsyncError] = {}
    able: dict[str, JobContext] = {}
    with ExitStack() as leases:
        for item in _able(contexts):
            name = item.job.name
            if not open_runs(name, services):
                continue
            try:
                leases.enter_context(services.lease(name))
                abort_preparation(name, services)
                able[name] = item
            except BatchsyncError as error:
                failed[name] = error
        runs = {name: open_runs(name, services) for name in able}
        attention_before = {name: {batch.id for batch in _needing_attention(name, services)} for name in able}
        failed |= drive_to_completion(able, services, at_once, _able(contexts))
        forget_erased_keys(able, failed, services)
        causes = {name: cause(error, name, services) for name, error in failed.items()}
    # A job that another process runs is left to it.
    failed = {name: error for name, error in causes.items() if not isinstance(error, LockedError)}
    outcomes: list[JobOutcome] = []
    for context in contexts:
        name = context.job.name
        if isinstance(context, UnableJob):
            if open_runs(name, services):
                outcomes.append(unable_outcome(context, services, new_runs=False))
                emit_end(outcomes[-1], services)
            continue
        parked_runs = {
            batch.run for batch in _needing_attention(name, services) if batch.id not in attention_before.get(name, ())
        }
        ended = [run for run in runs.get(name, ()) if run in parked_runs or _is_settled(run, services)]
        if ended or name in failed:
            outcomes.append(outcome_of(context, services, ended, failed))
            emit_end(outcomes[-1], services)
    return outcomes


def _needing_attention(job: str, services: Services) -> list[Batch]:
    """Return the batches of a job that need attention."""
    return [batch for batch in services.store.open_batches(job) if batch.phase is Phase.NEEDS_ATTENTION]


def _is_settled(run: str, services: Services) -> bool:
    return services.store.run(run).state is RunState.SETTLED


def _wake(contexts: Sequence[JobContext], services: Services, ticks: Ticks, failed: Collection[str]) -> datetime:
    """Return when something is due next. Batches in flight of jobs that had to stop do not count."""
    now = services.clock.now()
    wake_times = [now + _MAX_SLEEP, *(at for context in contexts if (at := ticks.upcoming(context.job, now)))]
    known = {context.job.name: context for context in contexts}
    for batch in admit_by_connection(
        (batch for job in known for batch in services.store.open_batches(job)), known, failed
    ):
        context = known[batch.job]
        step = decide(batch, context.policy, now)
        match permitted(step, batch, context, services, ticks.quiet_until):
            case Wait(until=until):
                wake_times.append(until)
            case NoOp():
                pass
            case _:
                wake_times.append(now + timedelta(seconds=1))
    return max(min(wake_times), now + timedelta(seconds=1))
