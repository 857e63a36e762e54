"""Sync jobs: resume open batches, plan new runs, send them, follow them to their end, and return how each job ended.

Jobs run level by level of their dependencies.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.guards import within_budget
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import Run, RunState, settlement_of
from batchsync.errors import BatchsyncError, ExitCode, LockedError, SourceError, StalePlanError, most_severe_exit_code
from batchsync.ports import JobFinished, RunFinished
from batchsync.reconcile.describe import describe
from batchsync.reconcile.erased_keys import forget_erased_keys
from batchsync.reconcile.loop import Loop, WaitPolicy
from batchsync.reconcile.new_run import NewRunRequest, begin_new_run
from batchsync.reconcile.open_work import blocker_at, needs_attention, open_runs
from batchsync.reconcile.prepare import abort_preparation
from batchsync.reconcile.renames import check_rename, take_over, under_former_names
from batchsync.reconcile.reopen import not_reopened, reopen
from batchsync.reconcile.retention import prune, prune_others
from batchsync.reconcile.services import JobContext, UnableJob
from batchsync.reconcile.sweep import sweep
from batchsync.reconcile.vendor_clock import note_clock_offset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchsync.core.accounting import Settlement
    from batchsync.core.batch import Batch
    from batchsync.ports import TargetFacts
    from batchsync.reconcile.services import SelectedJob, Services
#: Exit codes of jobs whose runs may be settled; unknown outcomes of delivered batches block no dependent job.
_MAY_HAVE_SETTLED = (ExitCode.DONE, ExitCode.REJECTS, ExitCode.NEEDS_ATTENTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """A run with its present settlement and batches."""

    run: Run
    settlement: Settlement
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """Outcome of a job: the resumed runs, then the new run. `skipped` is the reason if the job was not run.

    `unresolved` are its delivered batches, of any run, with rows of unknown outcome that only a person can resolve.
    """

    job: str
    runs: tuple[RunOutcome, ...]
    exit_code: ExitCode
    error: BatchsyncError | None = None
    skipped: str = ""
    unresolved: tuple[Batch, ...] = ()


def sync(
    contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy, new_runs: NewRunRequest | None = None
) -> tuple[JobOutcome, ...]:
    """Bring every job's target in line with its source. A job that cannot run stops only those that depend on it.

    Args:
        contexts: The jobs in dependency order.
        services: Where they run.
        wait_policy: How long to wait for batches in flight.
        new_runs: Tick of the new runs and other jobs of the process; None if the runs were started manually.

    Returns:
        The outcome of each job, in the order of `contexts`.
    """
    return _run_levels(contexts, services, wait_policy, new_runs or NewRunRequest())


def resume(contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy) -> tuple[JobOutcome, ...]:
    """Drive every open batch, including those that need attention, without planning new runs.

    Args:
        contexts: The jobs in dependency order.
        services: Where they run.
        wait_policy: How long to wait for batches in flight.

    Returns:
        The outcome of each job, in the order of `contexts`.
    """
    return _run_levels(contexts, services, wait_policy, None)


def _run_levels(
    contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy, new_runs: NewRunRequest | None
) -> tuple[JobOutcome, ...]:
    """Run the jobs level by level of their dependencies; jobs of one level run side by side."""
    outcomes: dict[str, JobOutcome] = {}
    for unable in (context for context in contexts if isinstance(context, UnableJob)):
        starts = new_runs is not None and not unable.job.suspend
        outcomes[unable.job.name] = _followed(unable, unable_outcome(unable, services, new_runs=starts), new_runs)
        emit_end(outcomes[unable.job.name], services)
    waiting = [context for context in contexts if isinstance(context, JobContext)]
    contexts_by_name = {context.job.name: context for context in contexts}
    names = set(contexts_by_name)
    while waiting:
        level = [context for context in waiting if not (set(context.job.depends_on) & names) - outcomes.keys()]
        waiting = [context for context in waiting if context not in level]
        ready = []
        for context in level:
            if new_runs and (end := _not_started(context, outcomes, services)):
                outcomes[context.job.name] = _followed(context, end, new_runs)
                emit_end(outcomes[context.job.name], services)
            else:
                ready.append(context)
        for name, outcome in _run_level(ready, services, wait_policy, new_runs).items():
            outcomes[name] = _followed(contexts_by_name[name], outcome, new_runs)
            emit_end(outcomes[name], services)
    prune_others(services, names)
    services.back_up()
    return tuple(outcomes[context.job.name] for context in contexts)


def _run_level(
    contexts: Sequence[JobContext], services: Services, wait_policy: WaitPolicy, new_runs: NewRunRequest | None
) -> dict[str, JobOutcome]:
    """Resume, prepare and settle these jobs under their leases."""
    failed: dict[str, BatchsyncError] = {}
    runs: dict[str, list[str]] = {context.job.name: [] for context in contexts}
    with ExitStack() as leases:
        ready_contexts: dict[str, JobContext] = {}
        formers: dict[str, JobContext] = {}
        facts: dict[str, TargetFacts | None] = {}
        for context in contexts:
            name = context.job.name
            try:
                leases.enter_context(services.lease(name))
                formers |= _begin_formers(context, services, leases, new_runs=new_runs is not None)
                names = [item for item in context.job.renamed_from or () if item in formers]
                runs[name] = [run for item in (*names, name) for run in open_runs(item, services)]
                facts[name] = _begin(context, services, wait_policy, new_runs=new_runs is not None)
                ready_contexts[name] = context
                if new_runs and new_runs.plan_file is None and not context.job.suspend:
                    # Batches of a job that does not match its source any more proceed: they were matched before.
                    services.check(context.job)
            except BatchsyncError as error:
                failed[name] = error
        peers = new_runs.peers if new_runs else ()
        loop = Loop(ready_contexts | formers, services, peers, quiet_until=wait_policy.quiet_until)
        loop.run(wait_policy)
        if new_runs is None:
            loop.failed |= not_reopened(ready_contexts | formers, services)
        loop.failed |= _failed_under_former_name(ready_contexts, loop.failed)
        forget_erased_keys(ready_contexts | formers, loop.failed, services)
        for name, context in ready_contexts.items():
            if new_runs and not context.job.suspend and name not in failed and name not in loop.failed:
                try:
                    take_over(context, services)
                    target = facts[name] or describe(context, services, wait_policy.until, wait=wait_policy.wait)
                    begin_new_run(context, services, target, new_runs, loop, runs[name])
                except BatchsyncError as error:
                    # With an error of the source, batches that were finalized before are valid and proceed.
                    (failed if isinstance(error, SourceError | StalePlanError) else loop.failed)[name] = error
        loop.run(wait_policy)
        forget_erased_keys(ready_contexts | formers, loop.failed, services)
        failed |= loop.failed
        failed = {name: cause(error, name, services) for name, error in failed.items()}
        for name in (*ready_contexts, *formers):
            # The new lease holder may be staging files that are not journaled yet; do not sweep.
            if not isinstance(failed.get(name), LockedError):
                sweep(name, services)
                prune(name, services)
        return {context.job.name: outcome_of(context, services, runs[context.job.name], failed) for context in contexts}


def _begin_formers(
    context: JobContext, services: Services, leases: ExitStack, *, new_runs: bool
) -> dict[str, JobContext]:
    """Take the leases of the job's former names that have state, and make these ready as `_begin` does."""
    found = {}
    for former in under_former_names(context, services):
        leases.enter_context(services.lease(former.job.name))
        abort_preparation(former.job.name, services)
        if not new_runs:
            reopen(former, services)
        found[former.job.name] = former
    return found


def _failed_under_former_name(
    contexts: Mapping[str, JobContext], failed: Mapping[str, BatchsyncError]
) -> dict[str, BatchsyncError]:
    """Return the error of each job that failed under a former name only."""
    return {
        name: failed[former]
        for name, context in contexts.items()
        for former in context.job.renamed_from or ()
        if former in failed and name not in failed
    }


def cause(error: BatchsyncError, job: str, services: Services) -> BatchsyncError:
    """Return why a job failed: LockedError if its lease was lost, whatever the reported error.

    The new lease holder moves batches and sweeps files, so that this process finds expected files missing.
    """
    try:
        services.store.check_lease(job)
    except BatchsyncError as lease_error:
        return lease_error if isinstance(lease_error, LockedError) else error
    return error


def _begin(context: JobContext, services: Services, wait_policy: WaitPolicy, *, new_runs: bool) -> TargetFacts | None:
    """Abort unfinished preparations, sweep, reopen batches on `resume`, and check that the vendor can be reached."""
    name = context.job.name
    starts = new_runs and not context.job.suspend
    if starts:
        check_rename(context, services)
    abort_preparation(name, services)
    sweep(name, services)
    if not new_runs:
        reopen(context, services)
    if not (starts or open_runs(name, services)):
        return None
    facts = describe(context, services, wait_policy.until, wait=wait_policy.wait)
    note_clock_offset(facts.clock_offset, context, services)
    return facts


def unable_outcome(unable: UnableJob, services: Services, *, new_runs: bool) -> JobOutcome:
    """Return the outcome of a job that cannot reach its vendor, with its open runs; no error if it has nothing to do.

    Args:
        unable: The job.
        services: The journal to read.
        new_runs: Whether a new run is wanted; else only open runs matter.
    """
    name = unable.job.name
    runs = open_runs(name, services)
    return outcome_of(unable, services, runs, {name: unable.error} if new_runs or runs else {})


def outcomes_so_far(
    contexts: Sequence[SelectedJob], services: Services, last_runs: Mapping[str, str]
) -> tuple[JobOutcome, ...]:
    """Return how far each job got when the time limit ended the command, according to the journal.

    Args:
        contexts: The jobs.
        services: The journal to read.
        last_runs: Id of the last run of each job before the command, if any.
    """
    outcomes = []
    for context in contexts:
        name = context.job.name
        last, open_ids = services.store.last_run(name), open_runs(name, services)
        begun = [str(last.id)] if last is not None and last.id != last_runs.get(name) else []
        if isinstance(context, UnableJob):
            outcomes.append(unable_outcome(context, services, new_runs=True))
        elif open_ids or begun:
            outcome = outcome_of(context, services, list(dict.fromkeys([*open_ids, *begun])), {})
            code = most_severe_exit_code([outcome.exit_code, *([ExitCode.UNSETTLED] if open_ids else [])])
            outcomes.append(replace(outcome, exit_code=code))
        else:
            outcomes.append(_skipped(context, "the time limit ended the command before a run of it began"))
    return tuple(outcomes)


def outcome_of(
    context: SelectedJob, services: Services, runs: Sequence[str], failed: Mapping[str, BatchsyncError]
) -> JobOutcome:
    """Return the present outcome of a job.

    Args:
        context: The job.
        services: The journal to read.
        runs: Ids of the runs to report.
        failed: Errors of jobs that had to stop, by job name.
    """
    name = context.job.name
    results = tuple(run_outcome(run, services) for run in runs)
    error = failed.get(name)
    codes = [error.exit_code] if error else [code for result in results for code in _exit_codes(result, context)]
    if any(
        result.run.counts.unstaged and result.run.serial + 1 == services.store.next_serial(result.run.job)
        for result in results
    ):
        # No later run has sent its deferred rows.
        codes.append(ExitCode.UNSETTLED)
    if any(needs_attention(item, services) for item in context.job.all_names):
        codes.append(ExitCode.NEEDS_ATTENTION)
    return JobOutcome(
        job=name,
        runs=results,
        exit_code=most_severe_exit_code(codes),
        error=error,
        unresolved=tuple(services.store.unresolved(name)),
    )


def emit_end(outcome: JobOutcome, services: Services) -> None:
    """Emit the events of a job's outcome: each of its runs, then the job."""
    for item in outcome.runs:
        run = item.run
        services.events.emit(RunFinished(job=run.job, run=run.id, state=run.state, settlement=item.settlement))
    message = outcome.error.message if outcome.error else outcome.skipped
    error = outcome.error.name if outcome.error else ""
    services.events.emit(JobFinished(job=outcome.job, exit_code=outcome.exit_code, message=message, error=error))


def run_outcome(run_id: str, services: Services) -> RunOutcome:
    """Return a run with its settlement and batches."""
    run = services.store.run(run_id)
    batches = tuple(services.store.batches(run_id))
    return RunOutcome(run=run, settlement=settlement_of(run, batches), batches=batches)


def _exit_codes(outcome: RunOutcome, context: SelectedJob) -> Iterator[ExitCode]:
    """Yield the exit code of each reason why the run is not settled within its budget."""
    settlement = outcome.settlement
    if settlement.needs_attention or settlement.outcomes[RowOutcome.UNKNOWN]:
        yield ExitCode.NEEDS_ATTENTION
    if outcome.run.state is RunState.AWAITING_APPROVAL:
        yield ExitCode.AWAITING_APPROVAL
    if settlement.in_flight:
        yield ExitCode.UNSETTLED
    if not within_budget(settlement.outcomes, context.job.budget, selected=settlement.selected):
        yield ExitCode.REJECTS


def _blocked(context: JobContext, outcomes: dict[str, JobOutcome], services: Services) -> str:
    """Return why the job must wait for a job that it depends on, by its outcome here or its last run; empty if not."""
    for name in context.job.depends_on:
        if name in outcomes and outcomes[name].exit_code not in _MAY_HAVE_SETTLED:
            return f'waiting for "{name}", which has not settled'
        if blocker := blocker_at(name, services):
            return blocker.reason
    return ""


def _not_started(context: JobContext, outcomes: dict[str, JobOutcome], services: Services) -> JobOutcome | None:
    """Return the outcome of a job that waits for another job, or is suspended and has nothing to follow, else None."""
    if not context.job.suspend:
        reason = _blocked(context, outcomes, services)
        return _skipped(context, reason) if reason else None
    if any(open_runs(name, services) for name in context.job.all_names):
        return None
    return outcome_of(context, services, (), {})


def _followed(context: SelectedJob, outcome: JobOutcome, new_runs: NewRunRequest | None) -> JobOutcome:
    """Return the outcome of a job with the reason why no run of it began, if it is suspended."""
    if new_runs is None or not context.job.suspend or outcome.error is not None:
        return outcome
    return replace(outcome, skipped=f"suspended; `batchsync sync {outcome.job}` runs it nevertheless")


def _skipped(context: JobContext, reason: str) -> JobOutcome:
    return JobOutcome(job=context.job.name, runs=(), exit_code=ExitCode.UNSETTLED, skipped=reason)
