"""Which faults and deaths there are to draw from, and what each is called. It arms nothing."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lading_mocks.faults import Fault
from simulation.deployment import BDP, CDP
from simulation.wire import Trouble

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

#: (vendor, method, path) by what it is for
PLACES = {
    "cdp-check": (CDP, "GET", r"^/v2/batches/inspect$"),
    "cdp-allocate": (CDP, "PUT", r"^/v2/batches/"),
    "cdp-find": (CDP, "GET", r"^/v2/batches/[0-9a-f]{8}-"),
    "cdp-upload": (CDP, "PUT", r"^/_storage"),
    "cdp-poll": (CDP, "GET", r"^/v2/batches/inspect/"),
    "cdp-log": (CDP, "GET", r"^/_storage"),
    "bdp-token": (BDP, "POST", r"^/auth"),
    "bdp-services": (BDP, "GET", r"/batch-services$"),
    "bdp-template": (BDP, "GET", r"/template$"),
    "bdp-allocate": (BDP, "POST", r"/batches$"),
    "bdp-upload": (BDP, "PUT", r"^/_storage"),
    "bdp-poll": (BDP, "GET", r"/batches/[^/]+$"),
    "bdp-errors": (BDP, "GET", r"/errors"),
    "bdp-reports": (BDP, "GET", r"/reports$"),
    "bdp-results": (BDP, "GET", r"^/_storage"),
}
#: what lading must leave to land before it asks, less what a question may be answered late
_LATEST = {CDP: 45.0, BDP: 150.0}
_LAG = {CDP: 10.0, BDP: 25.0}
#: what a gateway answers although the vendor did the work behind it
_DONE_BUT = ("done_but_408", "done_but_429", "done_but_503", "done_but_302", "done_but_403")
_ANYWHERE = (
    *("refuse", "throttle", "lose_answer", "reset", "reset_answer", "cut", "500", "401", "404", "done_but_502"),
    *_DONE_BUT,
)
_HEAVY = (
    "cdp-allocate",
    "cdp-upload",
    "cdp-poll",
    "bdp-allocate",
    "bdp-upload",
    "bdp-poll",
    "bdp-results",
    "cdp-log",
    "cdp-log",
    "bdp-errors",
)
#: every fault that a long enough set of seeds must have seen strike
EXPECTED = frozenset({*_ANYWHERE, "late", "expire", "vanish", "rewind", "revoke", "damage"})

#: where a process can be stopped so that what it does next is a write of the journal
STOPS = (
    r"^record:begin", r"^deliver:begin", r"^start_run:begin", r"^vendor\.(allocate|upload|find|poll|collect):after",
    r"^add_batch:begin",
    r"^data\.(compare|stage|settle|advance):after",
)  # fmt: skip
#: where a process can die, by the name of the checkpoint
CRASHES = (
    r"^record:begin", r"^record:event", r"^record:batch", r"^record:commit$", r"^record:committed",
    r"^deliver:begin", r"^deliver:(event|batch|baseline)", r"^deliver:(rejects|run|commit)$", r"^deliver:committed",
    r"^start_run:begin", r"^start_run:(run|batches|rejects)", r"^start_run:commit$", r"^start_run:committed",
    r"^add_batch:begin", r"^add_batch:(batch|run|commit)$", r"^add_batch:committed", r"^cut_run:",
    r"^vendor\.allocate:before", r"^vendor\.allocate:after", r"^vendor\.upload:before", r"^vendor\.upload:after",
    r"^vendor\.upload:after", r"^vendor\.find:", r"^vendor\.poll:",
    r"^vendor\.collect:before", r"^vendor\.collect:after",
    r"^data\.stage:after", r"^data\.settle:", r"^data\.advance:", r"^data\.compare", r"^sink\.deliver:before",
    r"^sink\.deliver:after", r"^http:before:PUT", r"^http:after:PUT", r"^http:after:POST", r"^http:after:GET",
    r"^(take|drop)_lease", r"",
)  # fmt: skip


def _doubled(lines: list[bytes]) -> list[bytes]:
    return [*lines, *lines]


def _contradicted(lines: list[bytes]) -> list[bytes]:
    return [
        line
        for one in lines
        for line in (one, json.dumps(json.loads(one) | {"code": "200", "message": "Processed"}).encode())
    ]


def _strange(lines: list[bytes]) -> list[bytes]:
    """The first line speaks of a row that nobody sent."""
    first = json.loads(lines[0]) | {"ref": "00000000-0000-4000-8000-000000000000"} if lines else {}
    return [json.dumps(first).encode(), *lines[1:]]


def _emptied(_lines: list[bytes]) -> list[bytes]:
    return []


def log_damage(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    """Return what a vendor does that writes its log of lines wrongly."""
    return lambda body: gzip.compress(
        b"".join(one + b"\n" for one in change(gzip.decompress(body).splitlines())), mtime=0
    )


def error_damage(change: str) -> Callable[[bytes], bytes]:
    """Return what a vendor does that writes its JSON list of failed rows wrongly."""

    def damaged(body: bytes) -> bytes:
        said = json.loads(body)
        items = said["batchItemsErrors"]
        if change == "doubled":
            said["batchItemsErrors"] = [*items, *items]
        elif change == "emptied":
            said["batchItemsErrors"] = []
        else:
            said["batchItemsErrors"] = [one | {"inputs": {"vin": "NEVER SENT"}} for one in items[:1]] + items[1:]
        return json.dumps(said).encode()

    return damaged


#: ways to write a log wrongly: the first name says whether rows may end unknown for it
LOG_DAMAGE = {"doubled": _doubled, "contradicted": _contradicted, "strange": _strange, "emptied": _emptied}
#: damage after which nothing is in doubt: what the log says is still all there
HARMLESS_DAMAGE = frozenset({"doubled", "contradicted"})
HARMLESS_DAMAGE_OF = {"cdp-log": ("doubled", "contradicted"), "bdp-errors": ("doubled", "doubled")}


@dataclass(frozen=True)
class Planned:
    """One fault to arm, at the mock or on the wire."""

    name: str
    place: str
    fault: Fault | None = None
    trouble: Trouble | None = None
    how: str = ""

    @property
    def leaves_unknown(self) -> bool:
        """Whether rows may honestly end unknown for it: the vendor says that rows failed, and not which."""
        told_nothing = self.name == "404" and self.place in {"bdp-errors", "cdp-log"}
        return told_nothing or (self.name == "damage" and self.how not in HARMLESS_DAMAGE)


def draw_faults(draw: random.Random) -> list[Planned]:
    """Return what goes wrong in one life: faults of any kind, or an act in doubt whose question is then refused."""
    if draw.random() < 0.15:
        return _pair(draw)
    return [_one(draw) for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 4]))]


def _pair(draw: random.Random) -> list[Planned]:
    act, question = draw.choice([("cdp-allocate", "cdp-find"), ("cdp-upload", "cdp-poll"), ("bdp-upload", "bdp-poll")])
    vendor, method, path = PLACES[act]
    lost: Literal["lose_answer", "reset_answer"] = draw.choice(["lose_answer", "reset_answer"])
    nth = draw.choice([1, 1, 2])
    doubt = Planned(lost, act, fault=Fault(kind=lost, vendor=vendor, method=method, path=path, nth=nth))
    vendor, method, path = PLACES[question]
    no: Literal["refuse", "throttle"] = draw.choice(["refuse", "throttle"])
    return [doubt, Planned(no, question, fault=Fault(kind=no, vendor=vendor, method=method, path=path, times=3))]


def _one(draw: random.Random) -> Planned:
    place = draw.choice(_HEAVY if draw.random() < 0.75 else sorted(PLACES))
    kind = draw.choice(_kinds(place))
    return _damage(draw, place) if kind == "damage" else _drawn(draw, kind, place)


def _kinds(place: str) -> list[str]:
    """Return what can go wrong at a place, the likelier the oftener it stands there."""
    vendor, method, path = PLACES[place]
    kinds = list(_ANYWHERE)
    if place.endswith(("allocate", "upload")):
        kinds += ["late"] * 4
    if (method == "PUT" and "_storage" in path) or place in {"cdp-log", "bdp-results"}:
        kinds += ["expire"] * 2
    if place.endswith("poll"):
        kinds += ["vanish", "rewind", "rewind"]
    if vendor == BDP:
        kinds.append("revoke")
    return ["damage"] * 10 + kinds if place in {"cdp-log", "bdp-errors"} else kinds


def _drawn(draw: random.Random, kind: str, place: str) -> Planned:
    vendor, method, path = PLACES[place]
    nth, times = draw.choice([1, 1, 1, 2, 2, 3, 4]), draw.choice([1, 1, 1, 1, 2, 3, 5, 20])
    where = {"vendor": vendor, "method": method, "path": path, "nth": nth, "times": times}
    if kind == "late":
        # What a restart may have to wait for, too: the request is still under way when the process dies.
        seen, lands = draw.choice([0.2, 5.0, 60.0]), draw.uniform(0.0, _LATEST[vendor])
        return Planned(kind, place, trouble=Trouble(kind, vendor, method, path, nth, 1, seen, lands))
    if kind == "done_but_502":
        return Planned(kind, place, trouble=Trouble(kind, vendor, method, path, nth, times))
    if kind.isdigit():
        where |= {"kind": "status", "status": int(kind)}
    elif kind in _DONE_BUT:
        after = draw.choice([None, None, 1, 30, 700])
        where |= {"kind": "replace_answer", "status": int(kind.removeprefix("done_but_")), "retry_after": after}
    elif kind in {"refuse", "throttle"}:
        after = draw.choice([None, 1, 30, 700])
        where |= {"kind": kind, "retry_after": after, "retry_as": draw.choice(["seconds", "date"])}
    elif kind == "rewind":
        where |= {"kind": kind, "seconds": draw.uniform(1.0, _LAG[vendor])}
    else:
        where |= {"kind": kind}
    return Planned(kind, place, fault=Fault(**where))


def _damage(draw: random.Random, place: str) -> Planned:
    """A vendor that writes its logs wrongly does it each time."""
    vendor, method, path = PLACES[place]
    how = draw.choice([*HARMLESS_DAMAGE_OF[place], "strange", "strange", "emptied", "emptied", "emptied"])
    change = log_damage(LOG_DAMAGE[how]) if place == "cdp-log" else error_damage(how)
    return Planned("damage", place, trouble=Trouble("damage", vendor, method, path, 1, 0, change=change), how=how)
