"""Runs of the crash matrix, in shares. Each has to end delivered, or needing attention for a legitimate reason."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase, Verb
from batchsync.core.policy import OnUnknownOutcome
from kit.data_fault_plans import data_fault_plans
from kit.fault_plans import fault_plans
from kit.matrix import Ending, FaultPlan, Scenario
from simulation.data_vendors import BY_JOB
from simulation.seeds import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass
class CrashSummary:
    """Number of deaths, of different states they left, of plans whose faults struck, and all violations."""

    deaths: int = 0
    states: int = 0
    struck: int = 0
    violations: list[str] = field(default_factory=list)


#: Endings of earlier shares of this process, by state: a state is resumed once.
_ENDINGS: dict[tuple[str, OnUnknownOutcome | None], dict[tuple[bytes, bool], Ending]] = {}


@contextmanager
def scenario(job: str, doubt: OnUnknownOutcome | None = None) -> Iterator[Scenario]:
    """Prepare a scenario in a folder of this process, which is removed at the end."""
    place = Path(f"{scratch_folder()}-{job}-{doubt}")
    prepared = Scenario(job, place, doubt)
    prepared.endings = _ENDINGS.setdefault((job, doubt), {})
    try:
        yield prepared
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_plan_share(job: str, share: int, shares: int, stride: int) -> CrashSummary:
    """Die at every checkpoint (with a stride) of each plan of a share."""
    all_plans = list(fault_plans(job))
    size = -(-len(all_plans) // shares)
    return run_plans(job, None, all_plans[share * size : (share + 1) * size], stride)


def run_plans(job: str, doubt: OnUnknownOutcome | None, chosen: Iterable[FaultPlan], stride: int = 1) -> CrashSummary:
    """Die at every checkpoint (with a stride) of each plan."""
    summary = CrashSummary()
    with scenario(job, doubt) as run:
        before = len(run.endings)
        for number, plan in enumerate(chosen):
            for at, ending in run.endings_of(plan, first=1 + number % stride, stride=stride):
                summary.deaths += at > 0
                summary.struck += bool(ending.struck)
                summary.violations += violations(run, plan, at, ending)
        summary.states = len(run.endings) - before
    return summary


def violations(run: Scenario, plan: FaultPlan, at: int, ending: Ending) -> Iterator[str]:
    """Yield violations of a run that died at this checkpoint and was resumed."""
    where = f"{plan.name}, died at checkpoint {at} ({ending.died_at})"
    batch = ending.batch
    if ending.complaints:
        yield f"{where}: {ending.complaints}"
    if batch.phase is Phase.DELIVERED:
        return
    if batch.phase is not Phase.NEEDS_ATTENTION:
        yield f"{where}: {batch.phase}, {batch.reason}"
    if run.job in BY_JOB:
        # The only legitimate reason: the call about which this vendor cannot be asked is in doubt.
        if batch.pending_intent is None or batch.pending_intent is not BY_JOB[run.job].stops_at:
            yield f"{where}: needs attention: {batch.reason}"
        return
    # The only legitimate reason: an allocation in doubt that may not be repeated and cannot be asked about.
    unanswerable = run.doubt is OnUnknownOutcome.STOP or (run.doubt is OnUnknownOutcome.ASK and run.job == "vehicles")
    no_renewal = run.doubt is OnUnknownOutcome.ASK and run.job == "vehicles" and batch.pending_intent is None
    if not unanswerable or not (batch.pending_intent is Verb.ALLOCATE or no_renewal):
        yield f"{where}: needs attention: {batch.reason}"


def compare_repeated_endings(job: str, plan: FaultPlan) -> tuple[int, int, list[str]]:
    """Resume after every death, also from equal states; return the numbers of deaths and states, and differences."""
    found: dict[bytes, tuple[Ending, bytes]] = {}
    differences = []
    with scenario(job) as run:
        deaths = run.deaths_of(plan)
        for death in deaths:
            state = run.state_digest(death)
            ending = run.resume_after(death, plan)
            end = (Ending(ending.batch, ending.complaints), run.snapshot().digest(run.folder / "peek"))
            if found.setdefault(state, end) != end:
                differences.append(f"{plan.name}, {death.name}")
    return len(deaths), len(found), differences


def crash_by_exception(job: str, stride: int) -> list[str]:
    """Die of an exception, so that every `finally` runs, at checkpoints (with a stride) of the run without faults."""
    found = []
    plain = FaultPlan("none")
    with scenario(job) as run:
        for at in range(1, len(run.deaths_of(plain)) + 1, stride):
            found += violations(run, plain, at, run.run_with_crash(plain, at))
    return found


def lost_answers(job: str, call: str) -> list[tuple[str, Phase, Verb | None, int, list[str]]]:
    """Return how each way to lose the answer of a call ends, and how many files the vendor was given to process."""
    found = []
    with scenario(job) as run:
        for plan in data_fault_plans(job):
            if plan.name in {f"lose_answer at {call}", f"{call} done and answered 503", f"{call} lands after 40.0"}:
                ending = run.run_with_crash(plan)
                batch, sent = ending.batch, sum(item.md5 is not None for item in run.vendor_batches().values())
                found.append((plan.name, batch.phase, batch.pending_intent, sent, ending.complaints))
    return found
