"""Every fault plan of the crash matrix, by job. It lives none of them."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING

from kit.matrix import Plan
from lading_mocks.faults import Fault
from simulation.deployment import BDP, CDP
from simulation.trouble import HARMLESS_DAMAGE, LOG_DAMAGE, error_damage, log_damage
from simulation.wire import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VENDOR = {"guests": CDP, "vehicles": BDP}
REQUESTS = {"guests": 9, "vehicles": 11}
UPLOAD = {"method": "PUT", "path": r"^/_storage"}
POLL = {CDP: {"method": "GET", "path": r"^/v2/batches/inspect/"}, BDP: {"method": "GET", "path": r"/batches/[^/]+$"}}
ALLOCATE = {CDP: {"method": "PUT", "path": r"^/v2/batches/"}, BDP: {"method": "POST", "path": r"/batches$"}}


def _word(text: str) -> Callable[[bytes], bytes]:
    """Return what rewrites the status word of an answer."""

    def change(body: bytes) -> bytes:
        said = json.loads(body)
        said["status"] = {"code": text} if isinstance(said.get("status"), dict) else text
        return json.dumps(said).encode()

    return change


def _without_log(body: bytes) -> bytes:
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
        if vendor == BDP:
            yield Plan(f"token worthless before request {n}", (Fault(kind="revoke", **nth),))
    upload, poll, allocate = UPLOAD, POLL[vendor], ALLOCATE[vendor]
    for status, act in product((302, 403, 408, 429, 503), (allocate, upload)):
        gateway = Fault(kind="replace_answer", status=status, vendor=vendor, **act)
        yield Plan(f"{act['path']} done and answered {status}", (gateway,))
    yield Plan("upload URL expired", (Fault(kind="expire", vendor=vendor, **upload),))
    download = {"method": "GET", "path": r"^/_storage"}
    yield Plan("download URL expired", (Fault(kind="expire", vendor=vendor, **download),))
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


def doubts(job: str) -> Iterator[Plan]:
    """Yield the plans after which an allocation is in doubt, and what becomes of it is a matter of policy."""
    vendor = VENDOR[job]
    for act in (ALLOCATE[vendor], UPLOAD):
        yield Plan(f"lost {act['path']}", (Fault(kind="lose_answer", vendor=vendor, **act),))
    yield from (one for one in plans(job) if one.name.startswith("allocation lands"))
    again = (Fault(kind="reset_answer", vendor=vendor, times=2, **ALLOCATE[vendor]),)
    yield Plan("allocation reset, twice", again)


def _liars(job: str, poll: dict[str, str]) -> Iterator[Plan]:
    vendor = VENDOR[job]
    yield Plan("an unknown word", troubles=(Trouble("damage", vendor, **poll, times=3, change=_word("Wibbling")),))
    running = "processing" if vendor == CDP else "VALIDATING"
    yield Plan("a word backwards", troubles=(Trouble("damage", vendor, **poll, nth=2, times=2, change=_word(running)),))
    huge = Trouble("damage", vendor, **UPLOAD, change=lambda _: b"x" * (5 << 20))
    yield Plan("upload answered with more than lading reads", troubles=(huge,))
    huge = Trouble("damage", vendor, **ALLOCATE[vendor], change=lambda _: b"x" * (5 << 20))
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
        "error without a log",
        troubles=(Trouble("damage", vendor, **poll, times=0, change=_without_log),),
        doubtful=True,
    )
