"""HTTP control API of the mocks under `/_mock/`, the same on every vendor's port.

    GET    /_mock/                 status page for a browser
    GET    /_mock/live             its sections that change, as HTML by name
    GET    /_mock/clock            {"iso", "epoch", "frozen", "rate", "auto"}
    POST   /_mock/clock            {"set": iso or epoch} | {"advance": seconds} | {"frozen": bool} | {"rate": number} |
                                   {"auto": bool}: advance to the next status change whenever a batch is polled
    GET    /_mock/ledger           {"vendor", "entries": [...]}; `values=1` adds record values, `summary=1` only counts
    GET    /_mock/batches          {"vendor", "batches": [...]}
    GET    /_mock/rows             rows of a batch with their outcomes: `batch` (default: the newest upload), `offset`,
                                   `limit`, `outcome`
    GET    /_mock/store            {"vendor", "objects": [...]}: the objects that the vendor stores now
    GET    /_mock/requests         the last requests, without their queries: time, status of the answer, faults, and
                                   what was wrong
    GET    /_mock/transcript       requests and responses as JSON lines; the same for the same seed, clock and requests
    GET    /_mock/switches         the current switches of the vendor
    POST   /_mock/switches         change some: {"done_status": "COMPLETE"}
    GET    /_mock/faults           armed faults, with the number of requests matched and hit
    POST   /_mock/faults           arm a fault or a list of them
    DELETE /_mock/faults           disarm all
    POST   /_mock/tokens/revoke    revoke every token issued so far
    POST   /_mock/reset            delete batches, files, stores, faults and requests; the clock stays, and the
                                   faults of the profile are armed again
    GET    /_mock/snapshot         the whole state as a tar
    POST   /_mock/restore          replace the state by a tar of that format

`?vendor=` selects the vendor; the default is the vendor of the port.

Requests must be addressed to this machine by name and not come from pages of other sites (403). Changes, and pages
with row values, need the control token, as `Authorization: Bearer TOKEN` (401); see `batchsync_mocks.access`. Without
it: the status page and its sections, clock, batches, requests, switches and faults, and the summary of the ledger.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from batchsync_mocks import batch_rows, disk, ledger, page, responses, snapshots
from batchsync_mocks.access import AccessDeniedError, ControlAccess
from batchsync_mocks.faults import Fault, Faults
from batchsync_mocks.page.sections import VendorBatches
from batchsync_mocks.profiles import Profile
from batchsync_mocks.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor import Vendor

PREFIX = "/_mock/"
MAX_REQUESTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MockContext:
    """State shared by the ports of one `serve` call."""

    clock: Clock
    vendors: Mapping[str, Vendor]
    folder: Path
    access: ControlAccess = field(default_factory=ControlAccess)
    profile: Profile = field(default_factory=Profile)
    faults: Faults = field(default_factory=Faults)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))
    transcript: Transcript = field(default_factory=Transcript)

    def __post_init__(self) -> None:
        """Arm the faults of the profile."""
        self.faults.arm(self.profile.faults)

    def reset(self) -> None:
        """Delete all state but the clock."""
        for vendor in self.vendors.values():
            vendor.reset()
        self.faults.clear()
        self.faults.arm(self.profile.faults)
        self.requests.clear()
        self.transcript.clear()


def respond(context: MockContext, port_vendor: Vendor, request: Request) -> Response:
    """Return the response to a request for a path under `/_mock/`."""
    response = _checked_response(context, port_vendor, request)
    response.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
    return response


def _checked_response(context: MockContext, port_vendor: Vendor, request: Request) -> Response:
    """Return the response to a request; that of a page only if the request may use it."""
    page_key = request.method, f"{request.path}/".removeprefix(PREFIX).strip("/")
    handler = _PAGES.get(page_key)
    vendor_name = request.args.get("vendor", port_vendor.name)
    try:
        context.access.check_sender(request)
        if handler is not None and not _is_open(page_key, request):
            context.access.check_token(request)
    except AccessDeniedError as denial:
        return _denial(denial)
    if handler is None:
        return _error(404, "No such control page; see the docstring of batchsync_mocks.control.")
    if vendor_name not in context.vendors:
        return _error(404, f"Unknown vendor {vendor_name!r}; available: {', '.join(context.vendors)}.")
    try:
        return handler(context, context.vendors[vendor_name], request)
    except (snapshots.RestoreFailedError, batch_rows.UnknownBatchError) as error:
        return _error(404 if isinstance(error, batch_rows.UnknownBatchError) else 500, str(error))
    except (ValueError, TypeError, responses.BadBodyError, disk.TooLargeError) as error:
        return _error(400, str(error))


def _is_open(page_key: tuple[str, str], request: Request) -> bool:
    """Return whether a page needs no control token: it changes nothing, and contains no row values."""
    is_summary = page_key == ("GET", "ledger") and request.args.get("summary") == "1"
    return page_key in _OPEN_PAGES or is_summary


def _denial(denial: AccessDeniedError) -> Response:
    """Return the response to a request that may not use a page."""
    response = _error(denial.status, str(denial))
    if denial.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="batchsync mocks"'
    return response


def _clock(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the report of the clock."""
    return responses.json_response(context.clock.report())


def _set_clock(context: MockContext, _vendor: Vendor, request: Request) -> Response:
    """Change the clock; return its report."""
    clock, changes = context.clock, responses.read_json(request)
    setters = {"set": clock.set, "advance": clock.advance, "rate": clock.set_rate}
    for name, value in changes.items():
        if name == "frozen" and isinstance(value, bool):
            clock.freeze(frozen=value)
        elif name == "auto" and isinstance(value, bool):
            clock.set_auto(auto=value)
        elif name in setters and not isinstance(value, bool):
            setters[name](value)
        else:
            msg = 'Send {"set": iso}, {"advance": seconds}, {"frozen": bool}, {"auto": bool} or {"rate": number}.'
            raise ValueError(msg)
    return responses.json_response(clock.report())


def _ledger(_context: MockContext, vendor: Vendor, request: Request) -> Response:
    """Return the ledger, or its summary."""
    if request.args.get("summary") == "1":
        return responses.json_response({"vendor": vendor.name, **vendor.summary()})
    entries = ledger.with_delivery_numbers(vendor.entries(values=request.args.get("values") == "1"))
    return _list(vendor, "entries", entries)


def _batches(_context: MockContext, vendor: Vendor, _request: Request) -> Response:
    """Return the batches."""
    return _list(vendor, "batches", vendor.batches())


def _store(_context: MockContext, vendor: Vendor, _request: Request) -> Response:
    """Return the stored objects."""
    return _list(vendor, "objects", vendor.stored_objects())


def _requests(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the last requests."""
    return responses.json_response(list(context.requests))


def _faults(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the armed faults."""
    return responses.json_response(context.faults.report())


def _arm(context: MockContext, _vendor: Vendor, request: Request) -> Response:
    """Arm a fault or a list of faults; return the armed faults."""
    try:
        posted = json.loads(responses.read_body(request))
    except RecursionError:
        posted = None
    context.faults.arm([Fault.from_json(item) for item in (posted if isinstance(posted, list) else [posted])])
    return responses.json_response(context.faults.report())


def _disarm(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Disarm all faults."""
    context.faults.clear()
    return responses.json_response([])


def _revoke(_context: MockContext, vendor: Vendor, _request: Request) -> Response:
    """Revoke the tokens of the vendor."""
    vendor.state.revoke_tokens()
    return responses.json_response({"vendor": vendor.name, "revoked": True})


def _reset(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Delete all state but the clock."""
    context.reset()
    return responses.json_response({"reset": True})


def _transcript(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the transcript as JSON lines."""
    return Response("".join(context.transcript.lines()), content_type="application/x-ndjson")


def _switches(_context: MockContext, vendor: Vendor, _request: Request) -> Response:
    """Return the switches of the vendor."""
    return responses.json_response({"vendor": vendor.name, "switches": asdict(vendor.switches)})


def _switch(context: MockContext, vendor: Vendor, request: Request) -> Response:
    """Set switches; return all switches of the vendor."""
    vendor.set_switches(responses.read_json(request))
    return _switches(context, vendor, request)


def _snapshot(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return a snapshot as a tar."""
    return responses.stream_response(snapshots.create(context.folder, context.vendors), "application/x-tar")


def _restore(context: MockContext, _vendor: Vendor, request: Request) -> Response:
    """Restore a snapshot from the body."""
    snapshots.restore(request.stream, context.folder, context.vendors, context.clock)
    return responses.json_response({"restored": True})


def _page(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the status page."""
    return page.show(*_state(context))


def _live(context: MockContext, _vendor: Vendor, _request: Request) -> Response:
    """Return the sections of the status page that change."""
    return page.live(*_state(context))


def _state(context: MockContext) -> tuple[dict[str, VendorBatches], dict[str, Any], list[Any], list[Any]]:
    """Return what the status page shows: batches by vendor, clock, faults and requests."""
    batches = {
        name: VendorBatches(total=len(vendor.state.batches.all()), last=vendor.batches(page.MAX_BATCHES))
        for name, vendor in context.vendors.items()
    }
    requests = list(context.requests)[-page.MAX_REQUESTS :]
    return batches, context.clock.report(), context.faults.report(), requests


def _rows(_context: MockContext, vendor: Vendor, request: Request) -> Response:
    """Return a page of the rows of a batch, as JSON or as HTML."""
    found = batch_rows.read_page(vendor, request.args)
    return page.show_rows(found) if request.args.get("format") == "html" else responses.json_response(asdict(found))


def _list(vendor: Vendor, name: str, items: Iterable[dict[str, Any]]) -> Response:
    """Return a streamed response with a list under a name."""
    return responses.json_array(f'{{"vendor":{json.dumps(vendor.name)},"{name}":[', items, "]}")


def _error(status: int, message: str) -> Response:
    """Return an error response of the control API."""
    return responses.json_response({"error": message}, status)


_PAGES: dict[tuple[str, str], Callable[[MockContext, Vendor, Request], Response]] = {
    ("GET", ""): _page,
    ("GET", "live"): _live,
    ("GET", "rows"): _rows,
    ("GET", "transcript"): _transcript,
    ("GET", "switches"): _switches,
    ("POST", "switches"): _switch,
    ("GET", "snapshot"): _snapshot,
    ("POST", "restore"): _restore,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _set_clock,
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
#: Pages without the control token; so is the summary of the ledger.
_OPEN_PAGES = {("GET", name) for name in ("", "live", "clock", "batches", "requests", "switches", "faults")}
