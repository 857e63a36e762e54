"""Plan a job: describe its target, compare its source with the baseline, check guards, and begin a run.

A crash leaves nothing but scratch files; the next run empties their folder.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync.core.contract import OnBreach
from batchsync.core.naming import row_manifest_key
from batchsync.core.plan import (
    begin_run,
    broken_contract,
    lifted_guards,
    with_broken_contract,
    with_guards,
    with_removed_answers,
)
from batchsync.core.run import RunState
from batchsync.core.since import lower_bound, next_full_read
from batchsync.errors import SourceError
from batchsync.ports import (
    CompareContext,
    Comparison,
    GuardTripped,
    PartialRead,
    Progress,
    RunStarted,
    TargetFacts,
)
from batchsync.reconcile.forgotten_keys import suppression_of
from batchsync.reconcile.prepare import Preparation, renewed_baseline
from batchsync.reconcile.removed_answers import answers_to_remove, remove_or_mark
from batchsync.reconcile.renames import baseline_before, last_planned
from batchsync.reconcile.suppressed import read_list
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.guards import AbsentAnswers, Breach
    from batchsync.core.job import Job, Source
    from batchsync.core.plan import Plan
    from batchsync.core.run import Run
    from batchsync.ports import BaselineEntry
    from batchsync.reconcile.services import JobContext, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Comparison of a job, with the guards that its plan exceeds. `approved`: a person approved that plan.

    `answers` are those that the plan removes from the results of the job; None if it removes none there. `context` is
    the job with its source as fetched, which staging reads again. `partial_read` says which rows of its query were
    read; None if all were. `unguarded` is the plan before guards and contract were judged, `baseline` what it was
    compared with.
    """

    context: JobContext
    comparison: Comparison
    approved: bool
    unguarded: Plan
    baseline: BaselineEntry
    answers: AbsentAnswers | None = None
    partial_read: PartialRead | None = None

    @property
    def awaiting_approval(self) -> bool:
        """Whether a guard stops this plan until it is approved."""
        return bool(self.comparison.plan.breaches) and not self.approved


def plan(context: JobContext, services: Services, facts: TargetFacts | None = None, *, eager: bool = False) -> JobPlan:
    """Fetch the job's source and compare it with its baseline and the rows in flight. Nothing is sent or journaled.

    Args:
        context: The job.
        services: Data engine, journal and paths to use.
        facts: The vendor's description of the target; None when planning offline.
        eager: Staging follows, so that the comparison may encode records while it reads.

    Returns:
        The changes with the guards that they exceed.

    Raises:
        BatchsyncError: If the source cannot be fetched or read as declared, it breaks its contract and the job says
            `on_breach: fail`, or the state folder is damaged or full.
    """
    folder = _empty_private_dir(services.paths.work(context.job.name))
    context = _bounded(context, services)
    part = _partial_read(context, services)
    if part is not None:
        services.events.emit(part)
    context = _with_local_source(context, services, folder / "source")
    job = context.job
    compare_context = CompareContext(
        folder=folder,
        now=services.clock.now(),
        in_flight=in_flight_manifests(context, services),
        watermark=_watermark(context, services),
        template=facts.columns if facts else None,
        events=services.events,
        eager=eager,
        account_id=context.account_id,
        suppression=suppression_of(job, services),
        listed=read_list(job, folder / "suppress", services),
    )
    baseline = baseline_before(context, services)
    comparison = services.data.compare(job, context.rules, baseline, compare_context)
    comparison.plan.counts.assert_balanced()
    answers = answers_to_remove(job, comparison, services)
    found = comparison.plan if answers is None else with_removed_answers(comparison.plan, answers)
    guarded = judged(context, found, answers, services)
    return JobPlan(
        context=context,
        comparison=replace(comparison, plan=guarded),
        approved=is_approved(guarded, services),
        unguarded=found,
        baseline=baseline,
        answers=answers,
        partial_read=part,
    )


def judged(context: JobContext, found: Plan, answers: AbsentAnswers | None, services: Services) -> Plan:
    """Return a plan with the guards that it exceeds, and what its source does not meet of its contract.

    Args:
        context: The job.
        found: The plan of a comparison.
        answers: Answers that the plan removes from the results of the job; None if it removes none there.
        services: Journal and clock to use.

    Raises:
        SourceError: If the source breaks its contract and the job says `on_breach: fail`.
    """
    job, last = context.job, last_planned(context, services)
    broken = broken_contract(found, job, services.clock.now())
    if job.source.contract is not None and job.source.contract.on_breach is OnBreach.FAIL:
        _require_contract(job, broken)
    return with_broken_contract(with_guards(found, job, last, answers), broken, last)


def is_approved(plan: Plan, services: Services) -> bool:
    """Return whether a person approved a plan that exceeds guards."""
    return bool(plan.breaches) and services.store.approved(plan.job, plan.changes_digest)


def _require_contract(job: Job, broken: tuple[Breach, ...]) -> None:
    """Raise SourceError if the source of a job does not meet its contract."""
    if broken:
        reasons = "; ".join(breach.message for breach in broken)
        raise SourceError(
            f"{job.name}: the source does not meet its contract: {reasons}",
            hint=f"nothing was sent; after the next export, `batchsync sync {job.name}`. With `on_breach: hold` in "
            "source the run would await approval instead",
            name="source.contract",
        )


def prepare(context: JobContext, services: Services, facts: TargetFacts, tick: datetime | None = None) -> Preparation:
    """Plan the job and begin its run. Answers of keys that left the source are removed or marked, as the job says.

    The run is AWAITING_APPROVAL if a guard stops it, SETTLED if there is nothing to send, and PREPARING otherwise. The
    first two are journaled here, with the tick; the third is journaled with its first batch file.

    Args:
        context: The job. The caller holds its lease.
        services: Data engine, journal and paths to use.
        facts: The vendor's description of the target.
        tick: The schedule tick that the run is for; None if it was started manually.

    Returns:
        The preparation of the run, a context manager.

    Raises:
        BatchsyncError: If the source cannot be read as declared, it breaks its contract and the job says
            `on_breach: fail`, or the state folder is damaged or full.
    """
    job_plan = plan(context, services, facts, eager=True)
    run = begin_run(
        job_plan.comparison.plan,
        serial=services.store.next_serial(context.job.name),
        at=services.clock.now(),
        awaiting_approval=job_plan.awaiting_approval,
    )
    run = with_permission(run, job_plan.context, job_plan.unguarded, job_plan.answers, services)
    if run.state is not RunState.PREPARING:
        settled = run.state is RunState.SETTLED
        baseline = renewed_baseline(job_plan.context, job_plan.comparison, services) if settled else None
        with services.shield():
            services.store.start_run(run, (), services.data.invalid(job_plan.comparison), tick=tick, baseline=baseline)
        services.events.emit(RunStarted(job=run.job, run=run.id, counts=run.counts))
    if run.state is RunState.AWAITING_APPROVAL:
        tell_breaches(run, job_plan.comparison.plan, services)
    else:
        remove_or_mark(job_plan.context, job_plan.comparison, job_plan.answers, services)
    return Preparation(
        run=run, context=job_plan.context, services=services, comparison=job_plan.comparison, facts=facts, tick=tick
    )


def with_permission(
    run: Run, context: JobContext, found: Plan, answers: AbsentAnswers | None, services: Services
) -> Run:
    """Return a run whose reason says which guards a person allowed it to exceed, if it needed that.

    Args:
        run: The run.
        context: The job.
        found: The plan before guards were judged.
        answers: Answers that the plan removes from the results of the job; None if it removes none there.
        services: Journal to use.
    """
    job = context.job
    lifted = lifted_guards(found, job, last_planned(context, services), answers)
    if job.permission is None or not lifted or run.state is RunState.AWAITING_APPROVAL:
        return run
    text = job.permission.text(lifted)
    return replace(run, reason=f"{run.reason}; {text}" if run.reason else text)


def tell_breaches(run: Run, plan: Plan, services: Services) -> None:
    """Emit an event for each guard that the plan of a run exceeds."""
    for breach in plan.breaches:
        services.events.emit(GuardTripped(job=run.job, run=run.id, guard=breach.guard, message=breach.message))


def _bounded(context: JobContext, services: Services) -> JobContext:
    """Return the job with the lower bound of the rows to read, if its query may leave out others."""
    job = context.job
    query = job.source.query
    # A rejected row that is to be sent again may be any row.
    if query is None or query.since is None or job.send.rejected:
        return context
    last = services.store.watermark_run(job.name, context.account_id, job.spec_hash)
    bound = lower_bound(query.since, last, services.clock.now())
    if bound is None:
        return context
    # Fewer rows than usual mean nothing where only new ones are read.
    guards = replace(job.guards, min_rows=None)
    source = replace(job.source, query=replace(query, after=bound))
    return replace(context, job=replace(job, source=source, guards=guards))


def _partial_read(context: JobContext, services: Services) -> PartialRead | None:
    """Return which rows of a bounded query are read; None if all are."""
    query = context.job.source.query
    if query is None or query.since is None or not query.after:
        return None
    return PartialRead(
        job=context.job.name,
        column=query.since.column,
        start=query.after,
        full_at=next_full_read(query.since, services.clock.now()),
    )


def _watermark(context: JobContext, services: Services) -> str | None:
    """Return the watermark below which rows are not compared; None to compare all rows that were read."""
    job = context.job
    if job.source.query is not None and job.source.query.since is not None:
        return None
    return services.store.watermark(job.name, context.account_id, job.spec_hash)


def _with_local_source(context: JobContext, services: Services, into: Path) -> JobContext:
    """Return the job with its source as local files, which both passes over the rows read."""
    name, source = context.job.name, context.job.source

    def tell(stage: str, read: Source, done: int) -> None:
        services.events.emit(Progress(job=name, stage=stage, done=done, unit="bytes" if read.stored else "rows"))

    def join_progress(number: int, done: int) -> None:
        tell(f"land join {number}", source.joins[number - 1].source or source, done)

    landed = services.fetch(source, into, progress=partial(tell, "land", source), join_progress=join_progress)
    return replace(context, job=replace(context.job, source=landed))


def in_flight_manifests(context: JobContext, services: Services) -> list[str]:
    """Return the keys of the row manifests of open batches of the job's account, under any of its names."""
    names = (context.job.name, *(context.job.renamed_from or ()))
    open_batches = [batch for name in names for batch in services.store.open_batches(name)]
    return [row_manifest_key(batch.job, batch.file) for batch in open_batches if batch.account_id == context.account_id]


def _empty_private_dir(folder: Path) -> Path:
    """Delete the folder and create it, empty and accessible to this user only."""
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder.parent)
    folder.mkdir(mode=0o700)
    return folder
