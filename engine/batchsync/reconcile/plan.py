"""From a job to a plan, and from a plan to a run whose files can be sealed.

A crash in between leaves nothing but scratch files. It sends nothing and seals nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core import backoff
from lading.core.batch import RunId
from lading.core.guards import Breach, breaches
from lading.core.run import Run, RunState, edited_since
from lading.errors import (
    DidNotHappen,
    EnvironmentProblem,
    Permanent,
    UsageError,
    VendorFailure,
)
from lading.folders import make_private
from lading.ports import CompareContext, Comparison, TargetFacts
from lading.reconcile.deliver import baseline_of
from lading.reconcile.preparation import Preparation

if TYPE_CHECKING:
    from datetime import datetime

    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a job would send now, and which guards that breaks. `approved` says that a person has allowed it.

    `removal_hash` is what decided which keys are removed by this plan, or, where it could not say, by the last one.
    """

    comparison: Comparison
    breaches: tuple[Breach, ...]
    approved: bool
    removal_hash: str

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
        high_water=world.memory.high_water(job.name, context.identity, job.spec_hash),
        template=facts.columns if facts else None,
        watcher=world.watcher,
        ahead=ahead,
        identity=context.identity,
    )
    before = baseline_of(job.name, context.identity, world)
    comparison = world.data.compare(job, context.rules, before, compare_context)
    comparison.tally.check()
    last = world.memory.last_planned(job.name, context.identity)
    found = breaches(
        comparison.tally,
        job.guards,
        baseline_rows=comparison.baseline_rows,
        removes=job.removal is not None,
        edited_since=edited_since(job, last),
    )
    approved = bool(found) and world.memory.approved(job.name, comparison.fingerprint)
    decided = job.removal_hash if comparison.removals_known or last is None else last.removal_hash
    return JobPlan(comparison=comparison, breaches=found, approved=approved, removal_hash=decided)


def prepare(context: JobContext, world: World, facts: TargetFacts, slot: datetime | None = None) -> Preparation:
    """Plan the job and return its run: HELD when a guard holds it, SETTLED when there is nothing to send, or PREPARING.

    The first two are remembered, with the slot; the third is when its first file is sealed.
    """
    job_plan = plan(context, world, facts, ahead=True)
    run = _run(context, world, job_plan)
    if run.state is not RunState.PREPARING:
        with world.shield():
            world.memory.start_run(run, (), world.data.invalid(job_plan.comparison), slot=slot)
    return Preparation(run=run, context=context, world=world, comparison=job_plan.comparison, facts=facts, slot=slot)


def _run(context: JobContext, world: World, job_plan: JobPlan) -> Run:
    """Return the run as it begins."""
    job, comparison = context.job, job_plan.comparison
    serial = world.memory.next_serial(job.name)
    now = world.clock.now()
    to_do = RunState.PREPARING if comparison.tally.to_send else RunState.SETTLED
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
        removal_hash=job_plan.removal_hash,
        warnings=comparison.warnings,
        settled_at=now if state is RunState.SETTLED else None,
    )


def _in_flight(context: JobContext, world: World) -> list[Path]:
    """Return the evidence of batches that are not delivered, of this very account."""
    open_batches = world.memory.open_batches(context.job.name)
    return [Path(one.file.evidence) for one in open_batches if one.identity == context.identity]


def _emptied(folder: Path) -> Path:
    """Return the folder, empty and for us alone."""
    shutil.rmtree(folder, ignore_errors=True)
    make_private(folder.parent)
    folder.mkdir(mode=0o700)
    return folder
