"""The mocks' own pages under `/_mock/`, the same on every vendor's port.

    GET    /_mock/clock            {"iso", "epoch", "frozen", "rate"}
    POST   /_mock/clock            {"set": iso or epoch} | {"advance": seconds} | {"frozen": bool} | {"rate": number}
    GET    /_mock/ledger           {"vendor", "entries": [...]}; `values=1` adds record values, `summary=1` only counts
    GET    /_mock/batches          {"vendor", "batches": [...]}
    GET    /_mock/store            {"vendor", "held": [...]}: what the vendor holds now
    GET    /_mock/requests         the last requests, without their queries
    GET    /_mock/faults           what is armed, how many requests each fault met, and how many it struck
    POST   /_mock/faults           arm a fault or a list of them
    DELETE /_mock/faults           disarm all
    POST   /_mock/tokens/revoke    make every token given out so far worthless
    POST   /_mock/reset            forget batches, files, stores, faults and requests; the clock stays

`?vendor=` names the vendor; the default is the vendor of the port. It does not know any vendor.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading_mocks import answers, ledger
from lading_mocks.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from werkzeug.wrappers import Request, Response

    from lading_mocks.clock import Clock
    from lading_mocks.vendor import Vendor

PREFIX = "/_mock/"
REMEMBERED_REQUESTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything that the ports of one mock share."""

    clock: Clock
    vendors: Mapping[str, Vendor]
    faults: Faults = field(default_factory=Faults)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))

    def reset(self) -> None:
        """Forget everything but the time."""
        for vendor in self.vendors.values():
            vendor.reset()
        self.faults.clear()
        self.requests.clear()


def respond(kit: Kit, at: Vendor, request: Request) -> Response:
    """Answer a request for a path under `/_mock/`."""
    page = _PAGES.get((request.method, request.path.removeprefix(PREFIX).rstrip("/")))
    named = request.args.get("vendor", at.name)
    if page is None:
        return _no(404, "No such control page; see the docstring of lading_mocks.control.")
    if named not in kit.vendors:
        return _no(404, f"No vendor {named!r} here; there are {', '.join(kit.vendors)}.")
    try:
        return page(kit, kit.vendors[named], request)
    except (ValueError, TypeError, answers.BadBody) as error:
        return _no(400, str(error))


def _clock(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return answers.as_json(kit.clock.report())


def _turn(kit: Kit, _vendor: Vendor, request: Request) -> Response:
    clock, wish = kit.clock, answers.json_of(request)
    known = {"set": clock.set, "advance": clock.advance, "rate": clock.run_at}
    for name, value in wish.items():
        if name == "frozen" and isinstance(value, bool):
            clock.freeze(frozen=value)
        elif name in known and not isinstance(value, bool):
            known[name](value)
        else:
            msg = 'Send {"set": iso}, {"advance": seconds}, {"frozen": true or false} or {"rate": number}.'
            raise ValueError(msg)
    return answers.as_json(clock.report())


def _ledger(_kit: Kit, vendor: Vendor, request: Request) -> Response:
    if request.args.get("summary") == "1":
        return answers.as_json({"vendor": vendor.name, **ledger.summary(vendor.entries())})
    entries = ledger.counted(vendor.entries(values=request.args.get("values") == "1"))
    return _list(vendor, "entries", entries)


def _batches(_kit: Kit, vendor: Vendor, _request: Request) -> Response:
    return _list(vendor, "batches", vendor.batches())


def _store(_kit: Kit, vendor: Vendor, _request: Request) -> Response:
    return _list(vendor, "held", vendor.holdings())


def _requests(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return answers.as_json(list(kit.requests))


def _faults(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return answers.as_json(kit.faults.report())


def _arm(kit: Kit, _vendor: Vendor, request: Request) -> Response:
    try:
        given = json.loads(answers.body_of(request))
    except RecursionError:
        given = None
    kit.faults.arm([Fault.from_json(one) for one in (given if isinstance(given, list) else [given])])
    return answers.as_json(kit.faults.report())


def _disarm(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    kit.faults.clear()
    return answers.as_json([])


def _revoke(_kit: Kit, vendor: Vendor, _request: Request) -> Response:
    vendor.memory.revoke()
    return answers.as_json({"vendor": vendor.name, "revoked": True})


def _reset(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    kit.reset()
    return answers.as_json({"reset": True})


def _list(vendor: Vendor, name: str, items: Iterable[dict[str, Any]]) -> Response:
    return answers.as_json_list(f'{{"vendor":{json.dumps(vendor.name)},"{name}":[', items, "]}")


def _no(status: int, message: str) -> Response:
    return answers.as_json({"error": message}, status)


_PAGES: dict[tuple[str, str], Callable[[Kit, Vendor, Request], Response]] = {
    ("GET", "clock"): _clock,
    ("POST", "clock"): _turn,
    ("GET", "ledger"): _ledger,
    ("GET", "batches"): _batches,
    ("GET", "store"): _store,
    ("GET", "requests"): _requests,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _arm,
    ("DELETE", "faults"): _disarm,
    ("POST", "tokens/revoke"): _revoke,
    ("POST", "reset"): _reset,
}
