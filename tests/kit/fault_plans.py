"""Every fault plan of the crash matrix, by job."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING

from batchsync_mocks.faults import Fault
from kit.matrix import FaultPlan
from simulation.deployment import BDP, CDP
from simulation.fault_plan import HARMLESS_DAMAGE, LOG_DAMAGE, error_damage, log_damage
from simulation.network import NetworkFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VENDOR = {"guests": CDP, "vehicles": BDP}
REQUESTS = {"guests": 9, "vehicles": 11}
UPLOAD = {"method": "PUT", "path": r"^/_storage"}
POLL = {
    CDP: {"method": "GET", "path": r"^/v2/batches/inspect/"},
    BDP: {"method": "GET", "path": r"/batches/[^/]+/reports$"},
}
ALLOCATE = {CDP: {"method": "PUT", "path": r"^/v2/batches/"}, BDP: {"method": "POST", "path": r"/batches$"}}


def _with_status(text: str) -> Callable[[bytes], bytes]:
    """Return a function that replaces the vendor status in a response body."""

    def change(body: bytes) -> bytes:
        document = json.loads(body)
        document["status"] = {"code": text} if isinstance(document.get("status"), dict) else text
        return json.dumps(document).encode()

    return change


def _without_log(body: bytes) -> bytes:
    """Remove the log from a response of Sitecore."""
    return re.sub(rb',?\s*"log":\s*"[^"]*"', b"", body)


def fault_plans(job: str) -> Iterator[FaultPlan]:
    """Yield every fault plan of a job."""
    vendor = VENDOR[job]
    for n in range(1, REQUESTS[job] + 1):
        nth = {"vendor": vendor, "nth": n}
        yield FaultPlan(f"answer {n} lost", (Fault(kind="lose_answer", **nth),))
        yield FaultPlan(f"request {n} refused", (Fault(kind="refuse", **nth),))
        yield FaultPlan(
            f"request {n} refused for a while", (Fault(kind="throttle", retry_after=700, retry_as="date", **nth),)
        )
        yield FaultPlan(f"answer {n} cut", (Fault(kind="cut", **nth),), doubtful=False)
        yield FaultPlan(f"request {n} answered 500", (Fault(kind="status", status=500, **nth),))
        yield FaultPlan(f"request {n} answered 401", (Fault(kind="status", status=401, times=2, **nth),))
        if vendor == BDP:
            yield FaultPlan(f"token revoked before request {n}", (Fault(kind="revoke", **nth),))
    upload, poll, allocate = UPLOAD, POLL[vendor], ALLOCATE[vendor]
    for status, act in product((302, 403, 408, 429, 503), (allocate, upload)):
        gateway = Fault(kind="replace_answer", status=status, vendor=vendor, **act)
        yield FaultPlan(f"{act['path']} done and answered {status}", (gateway,))
    yield FaultPlan("upload URL expired", (Fault(kind="expire", vendor=vendor, **upload),))
    download = {"method": "GET", "path": r"^/_storage"}
    yield FaultPlan("download URL expired", (Fault(kind="expire", vendor=vendor, **download),))
    yield FaultPlan("404 after the upload, once", (Fault(kind="vanish", vendor=vendor, **poll),))
    yield FaultPlan(
        "404 after the upload, for good", (Fault(kind="vanish", vendor=vendor, times=0, **poll),), doubtful=True
    )
    for n in range(1, 4):
        yield FaultPlan(f"404 at poll {n}", (Fault(kind="status", status=404, vendor=vendor, nth=n, **poll),))
    for seen, lands in ((0.2, 40.0), (60.0, 20.0), (5.0, 30.0)):
        late = {"vendor": vendor, "timeout": seen, "arrives": lands}
        yield FaultPlan(f"upload lands after {lands}", troubles=(NetworkFault("late", **late, **upload),))
        yield FaultPlan(f"allocation lands after {lands}", troubles=(NetworkFault("late", **late, **allocate),))
    for act, question in ((upload, poll), (allocate, poll), (allocate, upload)):
        for first in ("lose_answer", "reset_answer"):
            for second in ("refuse", "lose_answer", "reset", "cut"):
                pair = (Fault(kind=first, vendor=vendor, **act), Fault(kind=second, vendor=vendor, times=2, **question))
                yield FaultPlan(f"{first} {act['path']} and {second} {question['path']}", pair)
    find = {"method": "GET", "path": r"^/v2/batches/[0-9a-f]{8}-"}
    if vendor == CDP:
        pair = (Fault(kind="lose_answer", vendor=vendor, **allocate), Fault(kind="throttle", vendor=vendor, **find))
        yield FaultPlan("allocation lost and its question refused", pair)
    yield from _misleading_answers(job, poll)


def in_doubt_plans(job: str) -> Iterator[FaultPlan]:
    """Yield the plans after which an allocation is in doubt and its handling depends on the policy."""
    vendor = VENDOR[job]
    for act in (ALLOCATE[vendor], UPLOAD):
        yield FaultPlan(f"lost {act['path']}", (Fault(kind="lose_answer", vendor=vendor, **act),))
    yield from (plan for plan in fault_plans(job) if plan.name.startswith("allocation lands"))
    again = (Fault(kind="reset_answer", vendor=vendor, times=2, **ALLOCATE[vendor]),)
    yield FaultPlan("allocation reset, twice", again)


def _misleading_answers(job: str, poll: dict[str, str]) -> Iterator[FaultPlan]:
    vendor = VENDOR[job]
    yield FaultPlan(
        "an unknown vendor status",
        troubles=(NetworkFault("damage", vendor, **poll, times=3, change=_with_status("Wibbling")),),
    )
    running = "processing" if vendor == CDP else "VALIDATING"
    yield FaultPlan(
        "a vendor status of an earlier phase",
        troubles=(NetworkFault("damage", vendor, **poll, nth=2, times=2, change=_with_status(running)),),
    )
    huge = NetworkFault("damage", vendor, **UPLOAD, change=lambda _: b"x" * (5 << 20))
    yield FaultPlan("upload answered with more than batchsync reads", troubles=(huge,))
    huge = NetworkFault("damage", vendor, **ALLOCATE[vendor], change=lambda _: b"x" * (5 << 20))
    yield FaultPlan("allocation answered with more than batchsync reads", troubles=(huge,))
    yield FaultPlan(
        "no vendor status", troubles=(NetworkFault("damage", vendor, **poll, times=2, change=lambda _: b"{}"),)
    )
    if vendor == BDP:
        for how in ("doubled", "strange", "emptied"):
            broken = NetworkFault("damage", vendor, "GET", "/errors", times=0, change=error_damage(how))
            yield FaultPlan(f"error list {how}", troubles=(broken,), doubtful=how != "doubled")
        short = NetworkFault("damage", vendor, "GET", "/errors", times=2, change=lambda body: body[: len(body) // 2])
        yield FaultPlan("error list truncated, twice", troubles=(short,))
        return
    for how, change in LOG_DAMAGE.items():
        broken = NetworkFault("damage", vendor, "GET", r"^/_storage", times=0, change=log_damage(change))
        yield FaultPlan(f"log {how}", troubles=(broken,), doubtful=how not in HARMLESS_DAMAGE)
    short = NetworkFault("damage", vendor, "GET", r"^/_storage", times=2, change=lambda body: body[: len(body) // 2])
    yield FaultPlan("log truncated, twice", troubles=(short,))
    yield FaultPlan(
        "error without a log",
        troubles=(NetworkFault("damage", vendor, **poll, times=0, change=_without_log),),
        doubtful=True,
    )
