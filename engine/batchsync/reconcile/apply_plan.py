"""Apply a plan file: deliver exactly its rows, or refuse because of what moved since it was made.

All batches of a plan are journaled in one transaction, together with the fact that the plan was applied. Before it
nothing happened; after it `resume` goes on. The source is not read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.plan import begin_run
from batchsync.core.plan_moved import Present, declared_digest, moved_since, sending_digest
from batchsync.core.run import RunState
from batchsync.errors import StalePlanError, UsageError
from batchsync.ports import BatchChanged, RunStarted
from batchsync.reconcile.accounts import same_account
from batchsync.reconcile.forgotten_keys import suppression_of
from batchsync.reconcile.plan import in_flight_manifests, is_approved, judged, tell_breaches, with_permission
from batchsync.reconcile.prepare import RunBatches, refuse_identical
from batchsync.reconcile.removed_answers import remove_answers
from batchsync.reconcile.renames import baseline_before
from batchsync.reconcile.services import JobContext
from batchsync.reconcile.suppressed import read_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.core.run import Run
    from batchsync.ports import MovedKeys, TargetFacts
    from batchsync.reconcile.plan_file import OpenedPlanFile
    from batchsync.reconcile.services import SelectedJob, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A run that applies a plan, as journaled, with its batches."""

    run: Run
    batches: tuple[Batch, ...]


def require_applicable(opened: OpenedPlanFile, contexts: Sequence[SelectedJob], services: Services) -> None:
    """Refuse a plan file of which a job cannot be applied, before anything is sent. Takes no lease.

    Args:
        opened: The plan file.
        contexts: The jobs to apply. Jobs that cannot reach their vendor are left out; they fail by themselves. So are
            those whose run an earlier process began, which is followed to its end.
        services: Data engine and journal to use.

    Raises:
        StalePlanError: If something moved since the plan was made, or it was applied already.
    """
    refused = [
        (context.job.name, reason)
        for context in contexts
        if isinstance(context, JobContext) and not run_in_progress(context.job.name, opened, services)
        for reason in moved_reasons(context, opened, services)
    ]
    if refused:
        stale = _stale(opened, refused)
        raise stale


def apply_plan(context: JobContext, services: Services, facts: TargetFacts, opened: OpenedPlanFile) -> Application:
    """Begin the run of a plan with all of its batches. The caller holds the lease of the job.

    The run is AWAITING_APPROVAL if a guard stops the plan, SETTLED if there is nothing to send, and PREPARED otherwise.

    Args:
        context: The job.
        services: Data engine, journal and paths to use.
        facts: The vendor's description of the target.
        opened: The plan file.

    Returns:
        The run and its batches.

    Raises:
        StalePlanError: If something moved since the plan was made, or it was applied already.
        SourceError: If two batches have the same content, or the source breaks a contract that stops the job.
        BatchsyncError: If the state folder is damaged or full.
    """
    job, pinned, folder = context.job, opened.plan_of(context.job.name), opened.folder_of(context.job.name)
    if reasons := moved_reasons(context, opened, services):
        stale = _stale(opened, [(job.name, reason) for reason in reasons])
        raise stale
    if pinned.partial is not None:
        # Fewer rows than usual mean nothing where only new ones were read.
        context = replace(context, job=replace(job, guards=replace(job.guards, min_rows=None)))
    plan = judged(context, pinned.unguarded, pinned.answers, services)
    run = begin_run(
        plan,
        serial=services.store.next_serial(job.name),
        at=services.clock.now(),
        awaiting_approval=bool(plan.breaches) and not is_approved(plan, services),
    )
    comparison = replace(opened.comparison_of(job.name), plan=plan)
    batches: tuple[Batch, ...] = ()
    blocked = run.state is RunState.AWAITING_APPROVAL
    if not blocked:
        run = replace(run, reason=f"applied {opened.content.title}")
        run = with_permission(run, context, pinned.unguarded, pinned.answers, services)
    if run.state is RunState.PREPARING:
        services.plan_rows.use_template(folder, facts.columns)
        files = services.data.stage(job, context.rules, comparison)
        batches = _batches(RunBatches(run=run, context=context, services=services, facts=facts), files)
        run = replace(run, state=RunState.PREPARED)
    invalid = services.data.invalid(comparison)
    with services.shield():
        if blocked:
            services.store.start_run(run, batches, invalid)
        else:
            services.store.start_applied_run(run, batches, invalid, opened.content.id)
    services.events.emit(RunStarted(job=run.job, run=run.id, counts=run.counts))
    for batch in batches:
        services.events.emit(BatchChanged(batch=batch))
    if blocked:
        tell_breaches(run, plan, services)
    elif (answers := services.plan_rows.answers_of(folder)) is not None:
        remove_answers(context, answers, services)
    return Application(run=run, batches=batches)


def run_in_progress(job: str, opened: OpenedPlanFile, services: Services) -> str:
    """Return the run that applies the plan of a job and is not settled, such as after a crash; empty if there is none.

    Args:
        job: Name of the job.
        opened: The plan file.
        services: The journal to read.
    """
    run = services.store.applied_run(opened.content.id, job)
    return run if run and services.store.run(run).state is not RunState.SETTLED else ""


def present_of(context: JobContext, opened: OpenedPlanFile, services: Services) -> Present:
    """Return what the plan of a job is compared with."""
    job = context.job
    return Present(
        declared=declared_digest(job),
        sending=sending_digest(context.rules, job),
        account_id=context.account_id,
        state=services.store.journal_id,
        applied=services.store.applied_run(opened.content.id, job.name),
    )


def moved_reasons(context: JobContext, opened: OpenedPlanFile, services: Services) -> tuple[str, ...]:
    """Return why the plan of a job cannot be applied, each as a sentence without a period.

    Args:
        context: The job.
        opened: The plan file.
        services: Data engine and journal to use.

    Returns:
        The reasons; empty if nothing moved.
    """
    pinned = opened.plan_of(context.job.name)
    found = moved_since(opened.content, pinned, present_of(context, opened, services))
    if found:
        # The keys of another account or of another job are not those of the plan.
        return found
    moved = moved_keys(context, opened, services)
    return (_moved_text(moved),) if moved.total else ()


def moved_keys(context: JobContext, opened: OpenedPlanFile, services: Services) -> MovedKeys:
    """Return how many keys of a plan are in another state than when it was made.

    Args:
        context: The job.
        opened: The plan file.
        services: Data engine and journal to use.
    """
    job, folder = context.job, opened.folder_of(context.job.name)
    # The list is read again for each check.
    digests = read_list(job, Path(tempfile.mkdtemp(dir=opened.folder)), services)
    return services.plan_rows.moved_keys(
        folder,
        baseline_before(context, services),
        in_flight_manifests(context, services),
        suppression_of(job, services),
        (job.suppress.column, digests) if job.suppress is not None and digests is not None else None,
    )


def _moved_text(moved: MovedKeys) -> str:
    """Return how many keys moved, and why."""
    reasons = [
        (moved.changed, "changed by another run"),
        (moved.in_flight, "in an open batch"),
        (moved.suppressed, "forgotten or suppressed"),
    ]
    listed = ", ".join(f"{count:,} {reason}" for count, reason in reasons if count)
    return f"{moved.total:,} of its {moved.planned:,} keys moved: {listed}"


def _stale(opened: OpenedPlanFile, refused: Sequence[tuple[str, str]]) -> StalePlanError:
    """Return the error of a plan file that cannot be applied."""
    jobs = list(dict.fromkeys(job for job, _ in refused))
    reasons = "; ".join(f"{job}: {reason}" for job, reason in refused)
    others = [plan.job for plan in opened.content.plans if plan.job not in jobs]
    again = f"`batchsync plan {' '.join(jobs)} --out {opened.path}` makes a new plan"
    rest = f"; `batchsync sync {' '.join(others)} --plan {opened.path}` applies the others" if others else ""
    applied = all("was applied already" in reason for _, reason in refused)
    if applied:
        again = f"`batchsync resume {' '.join(jobs)}` completes what is in flight; {again}"
    return StalePlanError(f"{opened.path} cannot be applied, and nothing was sent: {reasons}", hint=again + rest)


def _batches(made: RunBatches, files: Sequence[BatchFile]) -> tuple[Batch, ...]:
    """Return the batches of a run.

    Raises:
        SourceError: If two open batches would have the same content, hence the same idempotency key.
    """
    job, context = made.run.job, made.context
    used = {batch.file.digest for batch in made.services.store.open_batches(job) if same_account(batch, context)}
    batches = []
    for number, file in enumerate(files, start=1):
        refuse_identical(job, file, used)
        used.add(file.digest)
        batches.append(made.new(number, file))
    return tuple(batches)


def require_jobs(opened: OpenedPlanFile, names: Sequence[str], declared: frozenset[str]) -> tuple[str, ...]:
    """Choose the jobs of a plan file to apply.

    Args:
        opened: The plan file.
        names: Names given on the command line; empty means all of the plan file.
        declared: Names of the jobs in jobs.yaml.

    Returns:
        Their names, in the order of the plan file.

    Raises:
        UsageError: If the plan file has no plan of a named job.
        StalePlanError: If jobs.yaml no longer has a job of the plan file.
    """
    planned = [plan.job for plan in opened.content.plans]
    if unknown := [name for name in names if name not in planned]:
        raise UsageError(
            f'{opened.path} has no plan of job "{unknown[0]}"', hint=f"it has plans of: {', '.join(planned)}"
        )
    chosen = tuple(job for job in planned if not names or job in names)
    if gone := [job for job in chosen if job not in declared]:
        stale = _stale(opened, [(job, "jobs.yaml has no such job any more") for job in gone])
        raise stale
    return chosen
