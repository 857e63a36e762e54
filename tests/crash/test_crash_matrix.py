"""Every checkpoint of the smallest scenario, under every fault plan and doubt policy: each life ends the same way.

The default suite dies at every checkpoint of the plain life and at a stride of them under each fault plan;
`LADING_MATRIX=1` dies at every checkpoint of every plan (about 40 minutes of one core).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit.matrix import Plan, Scenario
from lading.core.batch import Phase, Verb
from lading.core.policy import InDoubt
from lading_mocks.faults import Fault
from simulation.deployment import BDP, CDP
from simulation.many import folder
from simulation.trouble import HARMLESS_DAMAGE, LOG_DAMAGE, error_damage, log_damage
from simulation.wire import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: a mock whose answer is cut leaves closing the file behind it to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

#: one in so many checkpoints of a faulty life, from a different first one for each plan
STRIDE = int(os.environ.get("LADING_MATRIX", "9"))
VENDOR = {"guests": CDP, "vehicles": BDP}
REQUESTS = {"guests": 9, "vehicles": 11}
_UPLOAD = {"method": "PUT", "path": r"^/_storage"}
_POLL = {CDP: {"method": "GET", "path": r"^/v2/batches/inspect/"}, BDP: {"method": "GET", "path": r"/batches/[^/]+$"}}
_ALLOCATE = {CDP: {"method": "PUT", "path": r"^/v2/batches/"}, BDP: {"method": "POST", "path": r"/batches$"}}


def word(text: str) -> Callable[[bytes], bytes]:
    """Return what rewrites the status word of an answer."""

    def change(body: bytes) -> bytes:
        said = json.loads(body)
        said["status"] = {"code": text} if isinstance(said.get("status"), dict) else text
        return json.dumps(said).encode()

    return change


def without_log(body: bytes) -> bytes:
    """Take the log out of an answer of Sitecore."""
    return re.sub(rb',?\s*"log":\s*"[^"]*"', b"", body)


def plans(job: str) -> Iterator[Plan]:
    """Yield every fault plan of a job."""
    vendor = VENDOR[job]
    for n in range(1, REQUESTS[job] + 1):
        nth = {"vendor": vendor, "nth": n}
        yield Plan(f"answer {n} lost", (Fault(kind="lose_answer", **nth),))
        yield Plan(f"request {n} refused", (Fault(kind="refuse", **nth),))
        yield Plan(
            f"request {n} refused for a while", (Fault(kind="throttle", retry_after=700, retry_as="date", **nth),)
        )
        yield Plan(f"answer {n} cut", (Fault(kind="cut", **nth),), doubtful=False)
        yield Plan(f"request {n} answered 500", (Fault(kind="status", status=500, **nth),))
        yield Plan(f"request {n} answered 401", (Fault(kind="status", status=401, times=2, **nth),))
    upload, poll, allocate = _UPLOAD, _POLL[vendor], _ALLOCATE[vendor]
    yield Plan("upload URL expired", (Fault(kind="expire", vendor=vendor, **upload),))
    yield Plan("404 after the upload, once", (Fault(kind="vanish", vendor=vendor, **poll),))
    yield Plan("404 after the upload, for good", (Fault(kind="vanish", vendor=vendor, times=0, **poll),), doubtful=True)
    for n in range(1, 4):
        yield Plan(f"404 at poll {n}", (Fault(kind="status", status=404, vendor=vendor, nth=n, **poll),))
    for seen, lands in ((0.2, 40.0), (60.0, 20.0), (5.0, 30.0)):
        late = {"vendor": vendor, "seen": seen, "lands": lands}
        yield Plan(f"upload lands after {lands}", troubles=(Trouble("late", **late, **upload),))
        yield Plan(f"allocation lands after {lands}", troubles=(Trouble("late", **late, **allocate),))
    for act, question in ((upload, poll), (allocate, poll), (allocate, upload)):
        for first in ("lose_answer", "reset_answer"):
            for second in ("refuse", "lose_answer", "reset", "cut"):
                pair = (Fault(kind=first, vendor=vendor, **act), Fault(kind=second, vendor=vendor, times=2, **question))
                yield Plan(f"{first} {act['path']} and {second} {question['path']}", pair)
    find = {"method": "GET", "path": r"^/v2/batches/[0-9a-f]{8}-"}
    if vendor == CDP:
        pair = (Fault(kind="lose_answer", vendor=vendor, **allocate), Fault(kind="throttle", vendor=vendor, **find))
        yield Plan("allocation lost and its question refused", pair)
    yield from _liars(job, poll)


def _liars(job: str, poll: dict[str, str]) -> Iterator[Plan]:
    vendor = VENDOR[job]
    yield Plan("an unknown word", troubles=(Trouble("damage", vendor, **poll, times=3, change=word("Wibbling")),))
    running = "processing" if vendor == CDP else "VALIDATING"
    yield Plan("a word backwards", troubles=(Trouble("damage", vendor, **poll, nth=2, times=2, change=word(running)),))
    huge = Trouble("damage", vendor, **_UPLOAD, change=lambda _: b"x" * (5 << 20))
    yield Plan("upload answered with more than lading reads", troubles=(huge,))
    huge = Trouble("damage", vendor, **_ALLOCATE[vendor], change=lambda _: b"x" * (5 << 20))
    yield Plan("allocation answered with more than lading reads", troubles=(huge,))
    yield Plan("no word", troubles=(Trouble("damage", vendor, **poll, times=2, change=lambda _: b"{}"),))
    if vendor == BDP:
        for how in ("doubled", "strange", "emptied"):
            broken = Trouble("damage", vendor, "GET", "/errors", times=0, change=error_damage(how))
            yield Plan(f"error list {how}", troubles=(broken,), doubtful=how != "doubled")
        short = Trouble("damage", vendor, "GET", "/errors", times=2, change=lambda body: body[: len(body) // 2])
        yield Plan("error list truncated, twice", troubles=(short,))
        return
    for how, change in LOG_DAMAGE.items():
        broken = Trouble("damage", vendor, "GET", r"^/_storage", times=0, change=log_damage(change))
        yield Plan(f"log {how}", troubles=(broken,), doubtful=how not in HARMLESS_DAMAGE)
    short = Trouble("damage", vendor, "GET", r"^/_storage", times=2, change=lambda body: body[: len(body) // 2])
    yield Plan("log truncated, twice", troubles=(short,))
    yield Plan(
        "error without a log", troubles=(Trouble("damage", vendor, **poll, times=0, change=without_log),), doubtful=True
    )


@pytest.fixture(scope="module")
def scenarios() -> Iterator[dict[tuple[str, InDoubt | None], Scenario]]:
    made: dict[tuple[str, InDoubt | None], Scenario] = {}
    yield made
    for one in made.values():
        shutil.rmtree(one.folder, ignore_errors=True)


def scenario(made: dict[tuple[str, InDoubt | None], Scenario], job: str, doubt: InDoubt | None) -> Scenario:
    if (job, doubt) not in made:
        made[job, doubt] = Scenario(job, Path(f"{folder()}-{job}-{doubt}"), doubt)
    return made[job, doubt]


@pytest.mark.parametrize("doubt", [None, *InDoubt], ids=lambda one: str(one or "as-the-vendor-says"))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_a_death_at_every_checkpoint_of_the_plain_life(
    scenarios: dict[tuple[str, InDoubt | None], Scenario], job: str, doubt: InDoubt | None
) -> None:
    one = scenario(scenarios, job, doubt)
    count = one.checkpoints(Plan("none"))
    assert count > 50
    for at in range(1, count + 1):
        check(one, Plan("none"), at)


GROUPS = 8


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
@pytest.mark.timeout(240 if STRIDE > 5 else 0)
def test_a_death_under_every_fault_plan(
    scenarios: dict[tuple[str, InDoubt | None], Scenario], job: str, group: int
) -> None:
    one = scenario(scenarios, job, None)
    struck = 0
    for number, plan in enumerate(plans(job)):
        if number % GROUPS != group:
            continue
        ending = check(one, plan, None)
        struck += bool(ending.struck)
        for at in range(1 + number % STRIDE, one.checkpoints(plan) + 1, STRIDE):
            check(one, plan, at)
    assert struck, "no plan of this group struck anything"


@pytest.mark.parametrize("doubt", list(InDoubt))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_a_death_in_doubt_under_every_policy(
    scenarios: dict[tuple[str, InDoubt | None], Scenario], job: str, doubt: InDoubt
) -> None:
    one = scenario(scenarios, job, doubt)
    vendor = VENDOR[job]
    for act in (_ALLOCATE[vendor], _UPLOAD):
        plan = Plan("lost", (Fault(kind="lose_answer", vendor=vendor, **act),))
        for at in (None, *range(3, one.checkpoints(plan) + 1, STRIDE)):
            check(one, plan, at)


def check(one: Scenario, plan: Plan, at: int | None):  # noqa: ANN201 - an Ending
    """Live once and hold the end against the promise: delivered, or stuck for a reason that is true."""
    ending = one.live(plan, at)
    where = f"{plan.name}, died at checkpoint {at} ({ending.died_at})"
    assert not ending.complaints, f"{where}: {ending.complaints}"
    if ending.batch.phase is Phase.DELIVERED:
        return ending
    assert ending.batch.phase is Phase.STUCK, f"{where}: {ending.batch.phase}, {ending.batch.reason}"
    # Only this is left when the trouble is over: an allocation in doubt, not to be repeated and not to be asked for.
    unanswerable = one.doubt is InDoubt.STOP or (one.doubt is InDoubt.ASK and one.job == "vehicles")
    no_renewal = one.doubt is InDoubt.ASK and one.job == "vehicles" and ending.batch.doubt is None
    assert unanswerable, f"{where}: stuck: {ending.batch.reason}"
    assert ending.batch.doubt is Verb.ALLOCATE or no_renewal, f"{where}: stuck: {ending.batch.reason}"
    return ending
