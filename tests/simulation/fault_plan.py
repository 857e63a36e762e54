"""Faults and crash points from which a seed draws."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from batchsync_mocks.faults import Fault
from simulation.deployment import BDP, CDP
from simulation.network import NetworkFault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

#: (vendor, method, path) of each vendor call
CALLS = {
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
    "bdp-poll": (BDP, "GET", r"/batches/[^/]+(/reports)?$"),
    "bdp-errors": (BDP, "GET", r"/errors"),
    "bdp-reports": (BDP, "GET", r"/reports$"),
    "bdp-results": (BDP, "GET", r"^/_storage"),
}
#: seconds within which a late request arrives: the time that batchsync waits before it asks, less the answer's lag
_LATEST = {CDP: 45.0, BDP: 150.0}
_LAG = {CDP: 10.0, BDP: 25.0}
#: responses of a gateway although the vendor did the work
_DONE_BUT = ("done_but_408", "done_but_429", "done_but_503", "done_but_302", "done_but_403")
ANYWHERE = (
    *("refuse", "throttle", "lose_answer", "reset", "reset_answer", "cut", "500", "401", "404", "done_but_502"),
    *_DONE_BUT,
)
_FREQUENT_CALLS = (
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
#: calls that return a row log or results
_ANSWERS = ("cdp-log", "bdp-errors", "bdp-results")
#: answers with status 200 that no vendor gives to an upload
PAGES = ("<html>Please log in.</html>", "Please log in.", " ")
#: kinds of faults, each of which must hit a request within a few hundred seeds
FAULT_KINDS = frozenset(
    {*ANYWHERE, "late", "expire", "vanish", "rewind", "revoke", "damage", "blank", "outage", "page", "refused_after"}
)

#: checkpoints at which a process can be stopped; its next write to the journal is close
STOPS = (
    r"^record:begin", r"^deliver:begin", r"^start_run:begin", r"^vendor\.(allocate|upload|find|poll|collect):after",
    r"^add_batch:begin",
    r"^data\.(compare|stage|join_outcomes|apply_verdicts):after",
)  # fmt: skip
#: checkpoints at which a process can crash
CRASHES = (
    r"^record:begin", r"^record:event", r"^record:batch", r"^record:commit$", r"^record:committed",
    r"^deliver:begin", r"^deliver:(event|batch|baseline)", r"^deliver:(rejects|run|commit)$", r"^deliver:committed",
    r"^start_run:begin", r"^start_run:(run|batches|rejects)", r"^start_run:commit$", r"^start_run:committed",
    r"^add_batch:begin", r"^add_batch:(batch|run|commit)$", r"^add_batch:committed", r"^abort_preparation:",
    r"^vendor\.allocate:before", r"^vendor\.allocate:after", r"^vendor\.upload:before", r"^vendor\.upload:after",
    r"^vendor\.upload:after", r"^vendor\.find:", r"^vendor\.poll:",
    r"^vendor\.collect:before", r"^vendor\.collect:after",
    r"^data\.stage:after", r"^data\.join_outcomes:", r"^data\.apply_verdicts:", r"^data\.compare",
    r"^sink\.deliver:before",
    r"^sink\.deliver:after", r"^http:before:PUT", r"^http:after:PUT", r"^http:after:POST", r"^http:after:GET",
    r"^(take|drop)_lease", r"",
)  # fmt: skip


def _doubled(lines: list[bytes]) -> list[bytes]:
    """Repeat each entry. A log that is one array stays readable, as two arrays in a row would not."""
    return [json.dumps(entry).encode() for entry in _entries(lines)] * 2


def _entries(lines: list[bytes]) -> list[dict[str, Any]]:
    """Return the entries of a row log: a line each, or one array."""
    read = [json.loads(line) for line in lines]
    return [entry for item in read for entry in (item if isinstance(item, list) else [item])]


def _contradicted(lines: list[bytes]) -> list[bytes]:
    """Let a second entry say of each row that it was processed."""
    return [
        json.dumps(item).encode()
        for entry in _entries(lines)
        for item in (entry, entry | {"code": "200", "message": "Processed"})
    ]


def _strange(lines: list[bytes]) -> list[bytes]:
    """Let the first entry refer to a row that was never sent."""
    first, *others = _entries(lines) or [{}]
    strange = first | {"ref": "00000000-0000-4000-8000-000000000000"} if first else {}
    return [json.dumps(entry).encode() for entry in (strange, *others)]


def _emptied(_lines: list[bytes]) -> list[bytes]:
    return []


def log_damage(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    """Return a change of a gzipped row log, given a change of its lines."""
    return lambda body: gzip.compress(
        b"".join(item + b"\n" for item in change(gzip.decompress(body).splitlines())), mtime=0
    )


def error_damage(change: str) -> Callable[[bytes], bytes]:
    """Return a change of a list of failed rows, in JSON or CSV, by the name of the damage."""

    def damaged(body: bytes) -> bytes:
        if not body.startswith(b"{"):
            header, *lines = body.splitlines(keepends=True)
            strange = [b"NEVER SENT" + line[line.index(b",") :] for line in lines[:1]] + lines[1:]
            return b"".join([header, *{"doubled": lines * 2, "emptied": []}.get(change, strange)])
        document = json.loads(body)
        items = document["batchItemsErrors"]
        if change == "doubled":
            document["batchItemsErrors"] = [*items, *items]
        elif change == "emptied":
            document["batchItemsErrors"] = []
        else:
            document["batchItemsErrors"] = [item | {"inputs": {"vin": "NEVER SENT"}} for item in items[:1]] + items[1:]
        return json.dumps(document).encode()

    return damaged


#: kinds of damage to a row log
LOG_DAMAGE = {"doubled": _doubled, "contradicted": _contradicted, "strange": _strange, "emptied": _emptied}
#: damage that leaves no row unknown: the log still contains every outcome
HARMLESS_DAMAGE = frozenset({"doubled", "contradicted"})
HARMLESS_DAMAGE_OF = {"cdp-log": ("doubled", "contradicted"), "bdp-errors": ("doubled", "doubled")}


@dataclass(frozen=True)
class PlannedFault:
    """One fault to arm, at the mock or on the network."""

    name: str
    call: str
    fault: Fault | None = None
    network_fault: NetworkFault | None = None
    damage: str = ""

    @property
    def vendor(self) -> str:
        """The vendor at whose requests the fault is armed."""
        armed = self.fault or self.network_fault
        return armed.vendor or "" if armed else ""

    @property
    def leaves_unknown(self) -> bool:
        """Whether rows may end unknown because of it: the vendor reports failed rows without naming them."""
        no_log = self.name == "404" and self.call in {"bdp-errors", "cdp-log"}
        no_rows = self.name == "blank" and self.call in _ANSWERS
        return no_log or no_rows or (self.name == "damage" and self.damage not in HARMLESS_DAMAGE)


def draw_faults(draw: random.Random) -> list[PlannedFault]:
    """Draw the faults of one process life: any kinds, or a call in doubt whose status request is then refused."""
    if rare := _draw_rare(draw):
        return [rare]
    if draw.random() < 0.15:
        return _draw_pair(draw)
    return [_draw_fault(draw) for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 4]))]


def _draw_rare(draw: random.Random) -> PlannedFault | None:
    """Draw an outage of up to 36 hours, a portal's page or a gateway's refusal in the vendor's format, in few lives.

    Other draws stay as they are.
    """
    ahead = type(draw)()
    ahead.setstate(draw.getstate())
    for _ in range(50):
        ahead.random()
    kind = ahead.choice(["outage", "page", "page", "refused_after", "refused_after"])
    if ahead.random() >= 0.05:
        return None
    if kind == "page":
        call = ahead.choice(["cdp-upload", "bdp-upload"])
        vendor, method, path = CALLS[call]
        text, times = ahead.choice(PAGES), ahead.choice([1, 1, 3])
        page = Fault(kind="status", status=200, text=text, vendor=vendor, method=method, path=path, times=times)
        return PlannedFault(kind, call, fault=page)
    if kind == "refused_after":
        call = ahead.choice(["cdp-allocate", "bdp-allocate", "cdp-upload", "bdp-upload"])
        vendor, method, path = CALLS[call]
        status, text = ahead.choice([400, 403, 503]), '{"message": "Forbidden"}'
        refusal = Fault(
            kind="replace_answer", status=status, text=text, vendor=vendor, method=method, path=path, times=1
        )
        return PlannedFault(kind, call, fault=refusal)
    vendor, call = ahead.choice([(CDP, "cdp-poll"), (BDP, "bdp-poll")])
    seconds, nth = ahead.choice([1800.0, 36_000.0, 129_600.0]), ahead.choice([2, 3, 4, 5, 6])
    return PlannedFault("outage", call, network_fault=NetworkFault("outage", vendor, "", "", nth, 0, seconds))


def _draw_pair(draw: random.Random) -> list[PlannedFault]:
    call, status_request = draw.choice(
        [("cdp-allocate", "cdp-find"), ("cdp-upload", "cdp-poll"), ("bdp-upload", "bdp-poll")]
    )
    vendor, method, path = CALLS[call]
    lost: Literal["lose_answer", "reset_answer"] = draw.choice(["lose_answer", "reset_answer"])
    nth = draw.choice([1, 1, 2])
    in_doubt = PlannedFault(lost, call, fault=Fault(kind=lost, vendor=vendor, method=method, path=path, nth=nth))
    vendor, method, path = CALLS[status_request]
    refusal: Literal["refuse", "throttle"] = draw.choice(["refuse", "throttle"])
    return [
        in_doubt,
        PlannedFault(
            refusal, status_request, fault=Fault(kind=refusal, vendor=vendor, method=method, path=path, times=3)
        ),
    ]


def _draw_fault(draw: random.Random) -> PlannedFault:
    call = draw.choice(_FREQUENT_CALLS if draw.random() < 0.75 else sorted(CALLS))
    kind = draw.choice(_kinds(call))
    if kind == "damage":
        return _draw_damage(draw, call)
    return draw_parameters(draw, PlannedFault(kind, call), CALLS[call], _LATEST[CALLS[call][0]], _LAG[CALLS[call][0]])


def _kinds(call: str) -> list[str]:
    """Return the kinds of faults of a call; a kind is as likely as it is frequent in the list."""
    vendor, method, path = CALLS[call]
    kinds = list(ANYWHERE)
    if call.endswith(("allocate", "upload")):
        kinds += ["late"] * 4
    if (method == "PUT" and "_storage" in path) or call in {"cdp-log", "bdp-results"}:
        kinds += ["expire"] * 2
    if call.endswith("poll"):
        kinds += ["vanish", "rewind", "rewind"]
    if call in _ANSWERS:
        kinds += ["blank"] * 3
    if vendor == BDP:
        kinds.append("revoke")
    return ["damage"] * 10 + kinds if call in {"cdp-log", "bdp-errors"} else kinds


def draw_parameters(
    draw: random.Random, planned: PlannedFault, at: tuple[str, str, str], latest: float, lag: float
) -> PlannedFault:
    """Return a planned fault with what is drawn of it.

    Args:
        draw: The draws.
        planned: The fault, without what is armed.
        at: Vendor, method and path of its call.
        latest: Seconds within which a late request arrives.
        lag: Seconds of which an older answer is at most.
    """
    kind, (vendor, method, path) = planned.name, at
    nth, times = draw.choice([1, 1, 1, 2, 2, 3, 4]), draw.choice([1, 1, 1, 1, 2, 3, 5, 20])
    match = {"vendor": vendor, "method": method, "path": path, "nth": nth, "times": times}
    if kind == "late":
        # A restarted process may have to wait for it, too: the request is in flight when the process crashes.
        timeout, arrives = draw.choice([0.2, 5.0, 60.0]), draw.uniform(0.0, latest)
        return replace(planned, network_fault=NetworkFault(kind, vendor, method, path, nth, 1, timeout, arrives))
    if kind == "done_but_502":
        return replace(planned, network_fault=NetworkFault(kind, vendor, method, path, nth, times))
    if kind.isdigit():
        match |= {"kind": "status", "status": int(kind)}
    elif kind in _DONE_BUT:
        retry_after = draw.choice([None, None, 1, 30, 700])
        match |= {"kind": "replace_answer", "status": int(kind.removeprefix("done_but_")), "retry_after": retry_after}
    elif kind in {"refuse", "throttle"}:
        retry_after = draw.choice([None, 1, 30, 700])
        match |= {"kind": kind, "retry_after": retry_after, "retry_as": draw.choice(["seconds", "date"])}
    elif kind == "rewind":
        match |= {"kind": kind, "seconds": draw.uniform(1.0, lag)}
    else:
        match |= {"kind": kind}
    return replace(planned, fault=Fault(**match))


def _draw_damage(draw: random.Random, call: str) -> PlannedFault:
    """Draw a damage of the row log; it applies to every response."""
    vendor, method, path = CALLS[call]
    damage = draw.choice([*HARMLESS_DAMAGE_OF[call], "strange", "strange", "emptied", "emptied", "emptied"])
    change = log_damage(LOG_DAMAGE[damage]) if call == "cdp-log" else error_damage(damage)
    return PlannedFault(
        "damage", call, network_fault=NetworkFault("damage", vendor, method, path, 1, 0, change=change), damage=damage
    )
