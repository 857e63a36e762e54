"""The mocks' own pages under `/_mock/`, the same on every vendor's port.

    GET  /_mock/clock                 {"iso", "epoch", "frozen", "rate"}
    POST /_mock/clock                 {"set": iso or epoch} | {"advance": seconds} | {"frozen": bool} | {"rate": number}
    GET  /_mock/ledger?vendor=        {"vendor", "entries": [...]}; `values=1` adds record values, `summary=1` only counts
    GET  /_mock/batches?vendor=       {"vendor", "batches": [...]}
    GET  /_mock/store?vendor=         {"vendor", "held": [...]}: what the vendor holds now
    GET  /_mock/requests              the last requests, without their queries
    GET, POST, DELETE /_mock/faults   list, arm (a fault or a list of them), disarm all
    POST /_mock/tokens/revoke         make every token given out so far worthless
    POST /_mock/reset                 forget batches, files, stores, faults and requests; the clock stays

`vendor` defaults to the vendor of the port. It does not know any vendor.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading_mocks import answers, ledger
from lading_mocks.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    what = f"{request.method} {request.path.removeprefix(PREFIX).rstrip('/')}"
    named = request.args.get("vendor", at.name)
    if named not in kit.vendors:
        return _no(404, f"No vendor {named!r} here; there are {', '.join(kit.vendors)}.")
    vendor = kit.vendors[named]
    try:
        match what:
            case "GET clock":
                return answers.as_json(kit.clock.report())
            case "POST clock":
                return _turn(kit.clock, answers.json_of(request))
            case "GET ledger":
                return _ledger(vendor, request)
            case "GET batches":
                return _list(vendor, "batches", vendor.batches())
            case "GET store":
                return _list(vendor, "held", vendor.holdings())
            case "GET requests":
                return answers.as_json(list(kit.requests))
            case "GET faults":
                return answers.as_json(kit.faults.report())
            case "POST faults":
                return _arm(kit.faults, request)
            case "DELETE faults":
                kit.faults.clear()
                return answers.as_json([])
            case "POST tokens/revoke":
                vendor.memory.revoke()
                return answers.as_json({"vendor": vendor.name, "revoked": True})
            case "POST reset":
                kit.reset()
                return answers.as_json({"reset": True})
            case _:
                return _no(404, "No such control page; see the docstring of lading_mocks.control.")
    except (ValueError, TypeError, answers.BadBody) as error:
        return _no(400, str(error))


def _turn(clock: Clock, wish: dict[str, Any]) -> Response:
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


def _ledger(vendor: Vendor, request: Request) -> Response:
    if request.args.get("summary") == "1":
        return answers.as_json({"vendor": vendor.name, **ledger.summary(vendor.entries())})
    entries = ledger.counted(vendor.entries(values=request.args.get("values") == "1"))
    return _list(vendor, "entries", entries)


def _list(vendor: Vendor, name: str, items: Iterable[dict[str, Any]]) -> Response:
    return answers.as_json_list(f'{{"vendor":{json.dumps(vendor.name)},"{name}":[', items, "]}")


def _arm(faults: Faults, request: Request) -> Response:
    try:
        given = json.loads(answers.body_of(request))
    except RecursionError:
        given = None
    faults.arm([Fault.from_json(one) for one in (given if isinstance(given, list) else [given])])
    return answers.as_json(faults.report())


def _no(status: int, message: str) -> Response:
    return answers.as_json({"error": message}, status)
