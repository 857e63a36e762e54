"""From a job to a plan, and from a plan to sealed batches that the journal remembers.

A crash before the journal's transaction leaves nothing but scratch files; a crash after it leaves a run to resume.
It sends nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core import backoff, tickets
from lading.core.batch import Batch, BatchFile, Phase, RunId
from lading.core.guards import Breach, breaches
from lading.core.run import Run, RunState
from lading.errors import (
    DidNotHappen,
    EnvironmentProblem,
    Permanent,
    SourceError,
    StateError,
    UsageError,
    VendorFailure,
)
from lading.ports import CompareContext, Comparison, TargetFacts
from lading.reconcile.deliver import baseline_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a job would send now, and which guards that breaks. `approved` says that a person has allowed it."""

    comparison: Comparison
    breaches: tuple[Breach, ...]
    approved: bool

    @property
    def held(self) -> bool:
        """Whether a guard holds this plan."""
        return bool(self.breaches) and not self.approved


#: How often a vendor is asked about a target before the run is given up.
DESCRIBE_TRIES = 5


def describe(context: JobContext, world: World) -> TargetFacts:
    """Ask the vendor about the job's target, and hold the record's members against the vendor's input template.

    Raises:
        EnvironmentProblem: when the vendor cannot be reached, refuses the credentials, or does not know the target.
        UsageError: when the record has a column that the template lacks.
    """
    facts = _asked_patiently(context, world)
    _check_template(context, facts)
    return facts


def _asked_patiently(context: JobContext, world: World) -> TargetFacts:
    """Ask a few times: the question changes nothing, and a vendor that stumbles once is no reason to stop a sync."""
    tries = 0
    while True:
        try:
            return context.vendor.describe(context.job.target)
        except VendorFailure as failure:
            tries += 1
            if isinstance(failure, Permanent) or tries >= DESCRIBE_TRIES:
                raise EnvironmentProblem(
                    f'{context.rules.title}, connection "{context.job.connection}": {failure.reason}',
                    hint="nothing was sent; `lading doctor` checks connections one by one",
                ) from None
            asked_for = failure.retry_at if isinstance(failure, DidNotHappen) else None
        policy, now = context.policy, world.clock.now()
        pause = backoff.delay(tries, context.job.name, first=policy.backoff_first, most=policy.backoff_most)
        until = max(now + pause, asked_for) if asked_for else now + pause
        world.watcher.waiting(until)
        world.clock.sleep(until - now)


def _check_template(context: JobContext, facts: TargetFacts) -> None:
    """Raise UsageError when the record has columns that the vendor's input template lacks."""
    members = context.job.record.members
    lacking = [f'"{name}" ({node.place})' for name, node in members if facts.columns and name not in facts.columns]
    if lacking:
        raise UsageError(
            f"the vendor's input template has no column {', '.join(lacking)}",
            hint=f"its columns are {', '.join(facts.columns or ())}; nothing was sent",
        )


def plan(context: JobContext, world: World, facts: TargetFacts | None = None, *, ahead: bool = False) -> JobPlan:
    """Compare the job's source with what its target holds and with what is under way. Nothing is sent or remembered.

    `ahead` says that staging follows, so that the comparison may encode while it reads.
    """
    job = context.job
    folder = _emptied(world.folders.work(job.name))
    compare_context = CompareContext(
        folder=folder,
        now=world.clock.now(),
        in_flight=_in_flight(context, world),
        high_water=world.memory.high_water(job.name, context.identity),
        template=facts.columns if facts else None,
        watcher=world.watcher,
        ahead=ahead,
    )
    comparison = world.data.compare(job, context.rules, baseline_of(context, world), compare_context)
    comparison.tally.check()
    found = breaches(comparison.tally, job.guards, baseline_rows=comparison.baseline_rows)
    approved = bool(found) and world.memory.approved(job.name, comparison.fingerprint)
    return JobPlan(comparison=comparison, breaches=found, approved=approved)


def prepare(context: JobContext, world: World, facts: TargetFacts, slot: datetime | None = None) -> Run:
    """Plan the job, seal what it sends, and remember the run, its slot and its batches in one transaction.

    Returns the run: HELD when a guard holds it, SETTLED when there is nothing to send, PREPARED otherwise.
    """
    job_plan = plan(context, world, facts, ahead=True)
    batches: tuple[Batch, ...] = ()
    run = _run(context, world, job_plan)
    if not job_plan.held:
        files = world.data.stage(
            context.job, context.rules, job_plan.comparison, world.folders.staging(context.job.name)
        )
        _check_staged(files, job_plan.comparison)
        batches = _batches(context, world, run, files, facts)
    with world.shield():
        world.memory.start_run(run, batches, world.data.invalid(job_plan.comparison), slot=slot)
    shutil.rmtree(job_plan.comparison.folder, ignore_errors=True)
    for one in batches:
        world.watcher.moved(one)
    return run


def _run(context: JobContext, world: World, job_plan: JobPlan) -> Run:
    """Return the run as it begins."""
    job, comparison = context.job, job_plan.comparison
    serial = world.memory.next_serial(job.name)
    now = world.clock.now()
    to_do = RunState.PREPARED if comparison.tally.to_send else RunState.SETTLED
    state = RunState.HELD if job_plan.held else to_do
    return Run(
        id=RunId(f"{job.name}-{serial}"),
        job=job.name,
        serial=serial,
        spec_hash=job.spec_hash,
        identity=context.identity,
        state=state,
        created_at=now,
        tally=comparison.tally,
        plan=comparison.fingerprint,
        reason="; ".join(one.message for one in job_plan.breaches) if job_plan.held else "",
        high_water=comparison.high_water,
        warnings=comparison.warnings,
        settled_at=now if state is RunState.SETTLED else None,
    )


def _batches(
    context: JobContext, world: World, run: Run, files: Sequence[BatchFile], facts: TargetFacts
) -> tuple[Batch, ...]:
    """Return the run's batches. Content that was sent before gets the ticket after the last one it used."""
    prepared: list[Batch] = []
    for seq, file in enumerate(files, start=1):
        first = world.memory.attempts_used(run.job, file.digest) + 1
        prepared.append(
            Batch(
                id=tickets.batch_id(run.job, file.digest, first),
                run=run.id,
                job=run.job,
                seq=seq,
                file=file,
                phase=Phase.PREPARED,
                prepared_at=run.created_at,
                identity=context.identity,
                target=facts.params,
                attempt=first,
            )
        )
    if len({one.id for one in prepared}) != len(prepared):
        raise SourceError(
            f'job "{run.job}" would send two batches with the very same content',
            hint="make the rows distinct (for instance by mapping the key), or send fewer rows",
        )
    return tuple(prepared)


def _in_flight(context: JobContext, world: World) -> list[Path]:
    """Return the evidence of batches that are not delivered, of this very account."""
    open_batches = world.memory.open_batches(context.job.name)
    return [Path(one.file.evidence) for one in open_batches if one.identity == context.identity]


def _check_staged(files: Sequence[BatchFile], comparison: Comparison) -> None:
    """Raise StateError unless the files hold exactly the records that the plan counts."""
    staged = sum(file.rows for file in files)
    if staged != comparison.tally.to_send:
        raise StateError(
            f"the plan counts {comparison.tally.to_send} records to send, but {staged} were staged; nothing was sent",
            hint="the source changed while it was read, or this is a defect of lading: run the same command again",
        )


def _emptied(folder: Path) -> Path:
    """Return the folder, empty and for us alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder
