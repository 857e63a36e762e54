"""Lives of the crash matrix, share by share, held against the promise: delivered, or stuck for a true reason.

It chooses no plans.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase, Verb
from batchsync.core.policy import OnUnknownOutcome
from kit.matrix import Ending, Plan, Scenario
from kit.plans import plans
from simulation.many import folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass
class Told:
    """What some lives came to: how many deaths, how many different worlds they left, how many plans struck."""

    deaths: int = 0
    worlds: int = 0
    struck: int = 0
    wrong: list[str] = field(default_factory=list)


#: What this process knows of earlier shares: a world that was lived in need not be lived in again.
_ENDINGS: dict[tuple[str, OnUnknownOutcome | None], dict[tuple[bytes, bool], Ending]] = {}


@contextmanager
def scenario(job: str, doubt: OnUnknownOutcome | None = None) -> Iterator[Scenario]:
    """Prepare a scenario in a folder of this process, and leave nothing behind."""
    place = Path(f"{folder()}-{job}-{doubt}")
    made = Scenario(job, place, doubt)
    made.endings = _ENDINGS.setdefault((job, doubt), {})
    try:
        yield made
    finally:
        shutil.rmtree(place, ignore_errors=True)


def share_of_plans(job: str, share: int, shares: int, stride: int) -> Told:
    """Die at every checkpoint (of a stride) of each plan of a share."""
    every = list(plans(job))
    size = -(-len(every) // shares)
    return lived(job, None, every[share * size : (share + 1) * size], stride)


def lived(job: str, doubt: OnUnknownOutcome | None, given: Iterable[Plan], stride: int = 1) -> Told:
    """Die at every checkpoint (of a stride) of each plan."""
    told = Told()
    with scenario(job, doubt) as one:
        before = len(one.endings)
        for number, plan in enumerate(given):
            for at, ending in one.lives(plan, first=1 + number % stride, stride=stride):
                told.deaths += at > 0
                told.struck += bool(ending.struck)
                told.wrong += wrong(one, plan, at, ending)
        told.worlds = len(one.endings) - before
    return told


def wrong(one: Scenario, plan: Plan, at: int, ending: Ending) -> Iterator[str]:
    """Yield what is wrong with the end of a life."""
    where = f"{plan.name}, died at checkpoint {at} ({ending.died_at})"
    batch = ending.batch
    if ending.complaints:
        yield f"{where}: {ending.complaints}"
    if batch.phase is Phase.DELIVERED:
        return
    if batch.phase is not Phase.NEEDS_ATTENTION:
        yield f"{where}: {batch.phase}, {batch.reason}"
    # Only this is left when the trouble is over: an allocation in doubt, not to be repeated and not to be asked for.
    unanswerable = one.doubt is OnUnknownOutcome.STOP or (one.doubt is OnUnknownOutcome.ASK and one.job == "vehicles")
    no_renewal = one.doubt is OnUnknownOutcome.ASK and one.job == "vehicles" and batch.pending_intent is None
    if not unanswerable or not (batch.pending_intent is Verb.ALLOCATE or no_renewal):
        yield f"{where}: stuck: {batch.reason}"


def twice(job: str, plan: Plan) -> tuple[int, int, list[str]]:
    """Live on after every death, also where the world is one that was lived in; return deaths, worlds, differences."""
    found: dict[bytes, tuple[Ending, bytes]] = {}
    differences = []
    with scenario(job) as one:
        deaths = one.witnessed(plan)
        for death in deaths:
            world = one.world(death)
            ending = one.after(death, plan)
            end = (Ending(ending.batch, ending.complaints), one.remains().digest(one.folder / "peek"))
            if found.setdefault(world, end) != end:
                differences.append(f"{plan.name}, {death.name}")
    return len(deaths), len(found), differences


def by_exception(job: str, stride: int) -> list[str]:
    """Die of an exception, so that every `finally` still runs, at a stride of checkpoints of the plain life."""
    found = []
    plain = Plan("none")
    with scenario(job) as one:
        for at in range(1, len(one.witnessed(plain)) + 1, stride):
            found += wrong(one, plain, at, one.live(plain, at))
    return found
