"""The mocks' own pages under `/_mock/`, the same on every vendor's port.

    GET    /_mock/                 the page for people
    GET    /_mock/clock            {"iso", "epoch", "frozen", "rate", "auto"}
    POST   /_mock/clock            {"set": iso or epoch} | {"advance": seconds} | {"frozen": bool} | {"rate": number} |
                                   {"auto": bool}: jump to the next change whenever a batch is asked for
    GET    /_mock/ledger           {"vendor", "entries": [...]}; `values=1` adds record values, `summary=1` only counts
    GET    /_mock/batches          {"vendor", "batches": [...]}
    GET    /_mock/store            {"vendor", "held": [...]}: what the vendor holds now
    GET    /_mock/requests         the last requests, without their queries
    GET    /_mock/transcript       requests and answers as JSON lines; the same for the same seed, clock and requests
    GET    /_mock/switches         the vendor's switches as they stand
    POST   /_mock/switches         turn some: {"done_word": "COMPLETE"}
    GET    /_mock/faults           what is armed, how many requests each fault met, and how many it struck
    POST   /_mock/faults           arm a fault or a list of them
    DELETE /_mock/faults           disarm all
    POST   /_mock/tokens/revoke    make every token given out so far worthless
    POST   /_mock/reset            forget batches, files, stores, armed faults and requests; the clock stays, and the
                                   faults of the profile start again
    GET    /_mock/snapshot         the whole world as a tar
    POST   /_mock/restore          take a tar of that kind back

`?vendor=` names the vendor; the default is the vendor of the port. It does not know any vendor.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from lading_mocks import answers, disk, ledger, page, snapshots
from lading_mocks.faults import Fault, Faults
from lading_mocks.profiles import Profile
from lading_mocks.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lading_mocks.clock import Clock
    from lading_mocks.vendor import Vendor

PREFIX = "/_mock/"
REMEMBERED_REQUESTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything that the ports of one mock share."""

    clock: Clock
    vendors: Mapping[str, Vendor]
    folder: Path
    profile: Profile = field(default_factory=Profile)
    faults: Faults = field(default_factory=Faults)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_REQUESTS))
    transcript: Transcript = field(default_factory=Transcript)

    def __post_init__(self) -> None:
        """Arm the faults of the profile."""
        self.faults.arm(self.profile.faults)

    def reset(self) -> None:
        """Forget everything but the time."""
        for vendor in self.vendors.values():
            vendor.reset()
        self.faults.clear()
        self.faults.arm(self.profile.faults)
        self.requests.clear()
        self.transcript.clear()


def respond(kit: Kit, at: Vendor, request: Request) -> Response:
    """Answer a request for a path under `/_mock/`."""
    found = _PAGES.get((request.method, f"{request.path}/".removeprefix(PREFIX).strip("/")))
    named = request.args.get("vendor", at.name)
    if found is None:
        return _no(404, "No such control page; see the docstring of lading_mocks.control.")
    if named not in kit.vendors:
        return _no(404, f"No vendor {named!r} here; there are {', '.join(kit.vendors)}.")
    try:
        return found(kit, kit.vendors[named], request)
    except (ValueError, TypeError, answers.BadBody, disk.TooLarge) as error:
        return _no(400, str(error))


def _clock(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return answers.as_json(kit.clock.report())


def _turn(kit: Kit, _vendor: Vendor, request: Request) -> Response:
    clock, wish = kit.clock, answers.json_of(request)
    known = {"set": clock.set, "advance": clock.advance, "rate": clock.run_at}
    for name, value in wish.items():
        if name == "frozen" and isinstance(value, bool):
            clock.freeze(frozen=value)
        elif name == "auto" and isinstance(value, bool):
            clock.jump_by_itself(auto=value)
        elif name in known and not isinstance(value, bool):
            known[name](value)
        else:
            msg = 'Send {"set": iso}, {"advance": seconds}, {"frozen": bool}, {"auto": bool} or {"rate": number}.'
            raise ValueError(msg)
    return answers.as_json(clock.report())


def _ledger(_kit: Kit, vendor: Vendor, request: Request) -> Response:
    if request.args.get("summary") == "1":
        return answers.as_json({"vendor": vendor.name, **vendor.summary()})
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


def _transcript(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return Response("".join(kit.transcript.lines()), content_type="application/x-ndjson")


def _switches(_kit: Kit, vendor: Vendor, _request: Request) -> Response:
    return answers.as_json({"vendor": vendor.name, "switches": asdict(vendor.switches)})


def _switch(kit: Kit, vendor: Vendor, request: Request) -> Response:
    vendor.turn(answers.json_of(request))
    return _switches(kit, vendor, request)


def _snapshot(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    return answers.as_stream(snapshots.take(kit.folder, kit.vendors), "application/x-tar")


def _restore(kit: Kit, _vendor: Vendor, request: Request) -> Response:
    snapshots.put_back(request.stream, kit.folder, kit.vendors, kit.clock)
    return answers.as_json({"restored": True})


def _page(kit: Kit, _vendor: Vendor, _request: Request) -> Response:
    batches = {name: vendor.batches() for name, vendor in kit.vendors.items()}
    return page.show(batches, kit.clock.report(), kit.faults.report(), list(kit.requests))


def _list(vendor: Vendor, name: str, items: Iterable[dict[str, Any]]) -> Response:
    return answers.as_json_list(f'{{"vendor":{json.dumps(vendor.name)},"{name}":[', items, "]}")


def _no(status: int, message: str) -> Response:
    return answers.as_json({"error": message}, status)


_PAGES: dict[tuple[str, str], Callable[[Kit, Vendor, Request], Response]] = {
    ("GET", ""): _page,
    ("GET", "transcript"): _transcript,
    ("GET", "switches"): _switches,
    ("POST", "switches"): _switch,
    ("GET", "snapshot"): _snapshot,
    ("POST", "restore"): _restore,
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
