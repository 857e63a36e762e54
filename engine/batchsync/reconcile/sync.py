"""A whole sync: resume what is open, plan anew, send, follow to the end, and say how each job came out.

It knows no vendor and prints nothing. Jobs that depend on others wait for these to settle.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.events import Reopened
from lading.core.guards import within_budget
from lading.core.run import Run, RunState, settlement_of
from lading.core.upstream import Obstacle, obstacle
from lading.errors import ExitCode, LadingError, LockedError, SourceError
from lading.reconcile.accounts import another_account, is_ours
from lading.reconcile.loop import Loop, Patience
from lading.reconcile.preparation import Preparation, cut_short
from lading.reconcile.prepare import describe, prepare
from lading.reconcile.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from lading.core.accounting import Settlement
    from lading.ports import TargetFacts
    from lading.reconcile.context import JobContext, World

#: When several jobs end differently, the process ends with the first of these that occurs.
_GRAVEST_FIRST = (
    ExitCode.UNEXPECTED,
    ExitCode.INVALID,
    ExitCode.ENVIRONMENT,
    ExitCode.LOCKED,
    ExitCode.HELD,
    ExitCode.UNSETTLED,
    ExitCode.REJECTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """One run and its equation as they stand now."""

    run: Run
    settlement: Settlement
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a job came out: the runs that were resumed, then the new one. `skipped` says why it was not tried.

    `unresolved` are its delivered batches, of whatever run, with rows whose outcome only a person can find out.
    """

    job: str
    runs: tuple[RunOutcome, ...]
    exit_code: ExitCode
    error: LadingError | None = None
    skipped: str = ""
    unresolved: tuple[Batch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """That new runs are wanted, not only the end of open ones: for which schedule slot, and beside which jobs."""

    slot: datetime | None = None
    beside: Sequence[JobContext] = ()


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code of a process whose jobs ended with these."""
    present = set(codes)
    return next((code for code in _GRAVEST_FIRST if code in present), ExitCode.DONE)


def sync(
    contexts: Sequence[JobContext], world: World, patience: Patience, anew: Anew | None = None
) -> tuple[JobOutcome, ...]:
    """Bring every job's target in line with its source. `contexts` are in the order of dependency.

    `anew` names the schedule slot that the new runs are for, if a schedule and not a person asked, and the jobs that
    are followed beside these: what is in flight of them takes places that a vendor grants.
    """
    return _each_level(contexts, world, patience, anew or Anew())


def resume(contexts: Sequence[JobContext], world: World, patience: Patience) -> tuple[JobOutcome, ...]:
    """Go on with every open batch, the stuck ones included, without planning anything new."""
    return _each_level(contexts, world, patience, None)


def _each_level(
    contexts: Sequence[JobContext], world: World, patience: Patience, anew: Anew | None
) -> tuple[JobOutcome, ...]:
    """Run the jobs level by level of their dependencies; jobs of one level go side by side."""
    outcomes: dict[str, JobOutcome] = {}
    waiting = list(contexts)
    names = {context.job.name for context in contexts}
    while waiting:
        level = [one for one in waiting if not (set(one.job.depends_on) & names) - outcomes.keys()]
        waiting = [one for one in waiting if one not in level]
        ready = []
        for context in level:
            if anew and (reason := _blocked(context, outcomes, world)):
                outcomes[context.job.name] = _skipped(context, reason)
            else:
                ready.append(context)
        outcomes.update(_one_level(ready, world, patience, anew))
    return tuple(outcomes[context.job.name] for context in contexts)


def _one_level(
    contexts: Sequence[JobContext], world: World, patience: Patience, anew: Anew | None
) -> dict[str, JobOutcome]:
    """Resume, prepare and settle these jobs under their leases."""
    failed: dict[str, LadingError] = {}
    runs: dict[str, list[str]] = {context.job.name: [] for context in contexts}
    with ExitStack() as leases:
        able: dict[str, JobContext] = {}
        facts: dict[str, TargetFacts | None] = {}
        for context in contexts:
            name = context.job.name
            try:
                leases.enter_context(world.lease(name))
                runs[name] = open_runs(name, world)
                facts[name] = _begin(context, world, anew=anew is not None)
                able[name] = context
            except LadingError as error:
                failed[name] = error
        loop = Loop(able, world, anew.beside if anew else ())
        loop.settle(patience)
        if anew is None:
            loop.failed |= _not_reopened(able, world)
        for name, context in able.items():
            if anew and name not in loop.failed:
                try:
                    with prepare(context, world, facts[name] or describe(context, world), anew.slot) as preparation:
                        _sent_while_prepared(preparation, loop, runs[name])
                except SourceError as error:
                    # What was sealed before is sound, and goes on.
                    failed[name] = error
                except LadingError as error:
                    loop.failed[name] = error
        loop.settle(patience)
        failed |= loop.failed
        failed = {name: cause(error, name, world) for name, error in failed.items()}
        for name in able:
            # Whoever took a job over may be staging files that its journal does not name yet.
            if not isinstance(failed.get(name), LockedError):
                sweep(name, world)
        return {one.job.name: outcome_of(one, world, runs[one.job.name], failed) for one in contexts}


def cause(error: LadingError, job: str, world: World) -> LadingError:
    """Return why a job failed: when it was taken over, whatever else is wrong comes of that.

    The new holder moves batches and sweeps files, so that this process misses what it knew to be there.
    """
    try:
        world.memory.check_lease(job)
    except LadingError as lost:
        return lost if isinstance(lost, LockedError) else error
    return error


def _sent_while_prepared(preparation: Preparation, loop: Loop, runs: list[str]) -> None:
    """Let the batches of a run go on while others are prepared; the run is told of as soon as it is remembered."""
    try:
        loop.take_in(preparation)
    finally:
        if preparation.remembered:
            runs.append(preparation.run.id)


def _begin(context: JobContext, world: World, *, anew: bool) -> TargetFacts | None:
    """Clean up, let a person's `resume` reopen what is stuck, and make sure that the vendor can be talked to."""
    name = context.job.name
    cut_short(name, world)
    sweep(name, world)
    if not anew:
        _reopen(context, world)
    return describe(context, world) if anew or open_runs(name, world) else None


def outcome_of(context: JobContext, world: World, runs: Sequence[str], failed: Mapping[str, LadingError]) -> JobOutcome:
    """Say how a job stands after everything that could be done."""
    name = context.job.name
    results = tuple(run_outcome(run, world) for run in runs)
    error = failed.get(name)
    codes = [_code(one, context) for one in results]
    if any(one.run.tally.unsealed and one.run.serial + 1 == world.memory.next_serial(name) for one in results):
        # No run after it has sent what it left.
        codes.append(ExitCode.UNSETTLED)
    code = error.exit_code if error else gravest(codes)
    if error is None and any(one.phase is Phase.STUCK for one in world.memory.open_batches(name)):
        code = gravest((code, ExitCode.ENVIRONMENT))
    unresolved = tuple(world.memory.unresolved(name))
    return JobOutcome(job=name, runs=results, exit_code=code, error=error, unresolved=unresolved)


def run_outcome(run_id: str, world: World) -> RunOutcome:
    """Return a run with its equation, which holds at every moment."""
    run = world.memory.run(run_id)
    batches = tuple(world.memory.batches(run_id))
    return RunOutcome(run=run, settlement=settlement_of(run, batches), batches=batches)


def _code(outcome: RunOutcome, context: JobContext) -> ExitCode:
    """Return how the process would end if this were the only run."""
    settlement = outcome.settlement
    if outcome.run.state is RunState.HELD:
        return ExitCode.HELD
    if settlement.stuck:
        return ExitCode.ENVIRONMENT
    if settlement.in_flight:
        return ExitCode.UNSETTLED
    kept = within_budget(
        invalid=settlement.invalid,
        rejected=settlement.rejected,
        selected=settlement.selected,
        budget=context.job.budget,
    )
    return ExitCode.DONE if kept and not settlement.unknown else ExitCode.REJECTS


def _blocked(context: JobContext, outcomes: dict[str, JobOutcome], world: World) -> str:
    """Return which job that this one depends on did not come to a good end, here or when it last ran, or nothing."""
    for name in context.job.depends_on:
        if name in outcomes and outcomes[name].exit_code not in (ExitCode.DONE, ExitCode.REJECTS):
            return f'it depends on "{name}", which has not settled'
        if name not in outcomes and (found := obstacle_at(name, world)):
            return found.reason
    return ""


def obstacle_at(job: str, world: World) -> Obstacle | None:
    """Return what keeps those that depend on the job waiting, as the journal tells; None when it has settled."""
    newest = world.memory.last_run(job)
    approved = newest is not None and world.memory.approved(job, newest.plan)
    return obstacle(job, newest, world.memory.open_batches(job), approved=approved)


def _skipped(context: JobContext, reason: str) -> JobOutcome:
    return JobOutcome(job=context.job.name, runs=(), exit_code=ExitCode.UNSETTLED, skipped=reason)


def open_runs(job: str, world: World) -> list[str]:
    """Return the runs that still have open batches or are still preparing, oldest first, each once."""
    with_batches = [one.run for one in world.memory.open_batches(job)]
    return list(dict.fromkeys(map(str, [*with_batches, *(one.id for one in world.memory.preparing_runs(job))])))


def _reopen(context: JobContext, world: World) -> None:
    """Somebody typed `resume`: let every stuck batch go on where it stood, doubt and all.

    One of another account could go nowhere.
    """
    for one in world.memory.open_batches(context.job.name):
        if one.phase is Phase.STUCK and is_ours(one, context):
            world.memory.record(one, Reopened(at=world.clock.now(), reason="resumed by hand"))


def _not_reopened(contexts: Mapping[str, JobContext], world: World) -> dict[str, LadingError]:
    """Return why `resume` left batches stuck: they are of another account than their jobs have now."""
    left = ((name, one) for name in contexts for one in world.memory.open_batches(name) if one.phase is Phase.STUCK)
    return {name: another_account(one, contexts[name]) for name, one in left if not is_ours(one, contexts[name])}
