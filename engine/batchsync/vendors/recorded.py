"""Compare recorded exchanges with the dialect: the request that is built, and what the response means. No I/O."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from batchsync.core.batch import BatchFile, IdempotencyKey
from batchsync.core.vendor_calls import CallName, Endpoint, ResponseClass, call_at
from batchsync.core.vendor_exchange import Deviation
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    PermanentError,
    RetryableError,
    UsageError,
    VendorError,
)
from batchsync.ports import Finished
from batchsync.vendors import response_parsing
from batchsync.vendors.choices import read_choice
from batchsync.vendors.dialect import Exchange, build, ensure_ok, item_of, read, read_allocation, read_id, read_status
from batchsync.vendors.wire import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.vendor_calls import Call, Dialect
    from batchsync.core.vendor_exchange import RecordedExchange
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.vendors.wire import Request

#: Prefix of requests to the API; files of exchanges state paths.
BASE_URL = "https://api.example"
#: Idempotency key of exchanges that state none.
KEY = IdempotencyKey("3ee694e5-0b77-5d1e-af19-1aa78f500785")
#: When responses arrive, if the exchange does not state it.
_NOW = datetime(2025, 3, 7, 16, tzinfo=UTC)
_FAILURES: dict[type[VendorError], str] = {
    RetryableError: "did_not_happen",
    AmbiguousOutcomeError: "unclear",
    AllocationExpiredError: "slot_gone",
    PermanentError: "permanent",
}
_SHOWN_MAX = 200


def call_of(rules: VendorRules, recorded: RecordedExchange) -> Call:
    """Return the call of an exchange.

    Raises:
        UsageError: If the vendor spec has no such call.
    """
    found = call_at(dialect_of(rules), recorded.call)
    if found is None:
        raise UsageError(f'{recorded.file}: vendor.yaml has no call "{recorded.call}"')
    return found


def dialect_of(rules: VendorRules) -> Dialect:
    """Return the calls of a vendor.

    Raises:
        UsageError: If a Python package implements the client.
    """
    if rules.dialect is None:
        raise UsageError(f"{rules.name}: the vendor spec has no HTTP calls (blocks describe and calls)")
    return rules.dialect


def client_deviations(rules: VendorRules, recorded: RecordedExchange) -> tuple[Deviation, ...]:
    """Return where the client builds another request than the documented one, or understands the response otherwise.

    Args:
        rules: Rules of the vendor, with the settings of the exchange.
        recorded: The exchange.
    """
    call, file = call_of(rules, recorded), _no_file()
    try:
        request = build(call, recorded.given, BASE_URL, file)
    except PermanentError as failure:
        return (Deviation(at="given", message=failure.reason),)
    response = recorded.response
    text = json.dumps(response["json"]) if "json" in response else str(response.get("text") or "")
    headers: Any = response.get("headers") or {}
    answer = Response(
        status=int(str(response["status"])),
        headers={str(name).lower(): str(value) for name, value in headers.items()},
        body=text.encode(),
    )
    exchange = Exchange(call=call, request=request, response=answer, now=recorded.now or _NOW)
    understood = meaning_of(rules, recorded, _received(recorded, exchange))
    return (*_request_deviations(recorded, request, file), *_meaning_deviations(recorded, understood))


def meaning_of(rules: VendorRules, recorded: RecordedExchange, exchange: Exchange) -> dict[str, Any]:
    """Return what the client understands of a response, in the form of `meaning` of a recorded exchange.

    Args:
        rules: Rules of the vendor, with the settings of the exchange.
        recorded: The exchange; it states which kind of meaning is read.
        exchange: The request and the response to it, which may be another than the documented one.
    """
    try:
        if ensure_ok(exchange) is ResponseClass.ABSENT:
            return {"absent": True}
        return _read_meaning(rules, recorded, exchange)
    except VendorError as failure:
        found: dict[str, Any] = {"failure": _FAILURES[type(failure)], "says": failure.reason}
        if isinstance(failure, RetryableError | AmbiguousOutcomeError):
            found["retry_at"] = failure.retry_at.isoformat() if failure.retry_at else None
        return found


def kind_of(recorded: RecordedExchange) -> str:
    """Return the kind of meaning that an exchange states, such as `slot`, `status` or `failure`."""
    known = ("slot", "status", "token", "id", "columns", "reads", "url", "absent", "accepted", "failure")
    return next(kind for kind in known if kind in recorded.meaning)


def _read_meaning(rules: VendorRules, recorded: RecordedExchange, exchange: Exchange) -> dict[str, Any]:
    """Return the meaning of a successful response, of the kind that is stated."""
    kind, call = kind_of(recorded), exchange.call
    # What a call is needed for is read even if an exchange states that it fails.
    kind = {"allocate": "slot", "describe.choice.call": "id"}.get(recorded.call, kind)
    found: dict[str, Any] = {}
    match kind:
        case "slot":
            found["slot"] = _slot(rules, recorded, exchange)
        case "status":
            status = read_status(exchange, dialect_of(rules).vendor_statuses, item_of(exchange, recorded.given))
            found |= {"status": type(status).__name__.lower(), "word": status.vendor_status}
            found |= {"verdict": status.verdict} if isinstance(status, Finished) else {}
        case "token":
            found["token"] = response_parsing.text(read(exchange), call.read["token"])
            seconds = response_parsing.text(read(exchange), call.read.get("seconds", ()))
            found |= {"seconds": int(float(seconds))} if seconds is not None else {}
        case "columns":
            found["columns"] = list(response_parsing.columns(exchange.response.body) or ())
        case "id":
            found["id"] = _id(rules, recorded, exchange)
        case "url":
            found["url"] = response_parsing.text(read(exchange), call.read.get("url", ()))
        case "reads":
            body = item_of(exchange, recorded.given)
            found["reads"] = {name: response_parsing.text(body, pointers) for name, pointers in call.read.items()}
        case _:
            found["accepted"] = True
    return found


def _slot(rules: VendorRules, recorded: RecordedExchange, exchange: Exchange) -> dict[str, str | None]:
    """Return the allocation in a response."""
    upload = dialect_of(rules).calls[CallName.UPLOAD]
    # Uploads to a path of the API need no URL of the response.
    own_url = upload.url if upload.url.startswith("/") else None
    key = IdempotencyKey(str(recorded.given.get("idempotency_key") or KEY))
    allocation = read_allocation(exchange, key, own_url=own_url, granted=recorded.call == "allocate")
    until = allocation.expires_at.isoformat() if allocation.expires_at else None
    return {"id": allocation.id, "url": allocation.url if own_url is None else None, "until": until}


def _id(rules: VendorRules, recorded: RecordedExchange, exchange: Exchange) -> str:
    """Return the id in a response: that of an option, or that of a batch."""
    choice = dialect_of(rules).describe.choice
    if recorded.call == "describe.choice.call" and choice is not None:
        return read_choice(exchange, choice, str(recorded.given.get(f"target.{choice.target}", "")))
    return read_id(exchange, str(recorded.given.get("allocation.id") or KEY))


def _received(recorded: RecordedExchange, exchange: Exchange) -> Exchange:
    """Return an exchange whose allocation was received before it expired, as documented responses are old."""
    slot: Any = recorded.meaning.get("slot")
    if not slot or not slot.get("until"):
        return exchange
    before = datetime.fromisoformat(slot["until"]) - timedelta(minutes=1)
    return replace(exchange, now=min(exchange.now, before))


def _request_deviations(recorded: RecordedExchange, request: Request, file: BatchFile) -> Iterator[Deviation]:
    """Yield where a request differs from the documented one."""
    documented: Mapping[str, Any] = recorded.request
    if request.method != documented["method"]:
        yield Deviation(at="request.method", message=f"the client sends {request.method}")
    url = documented["url"] if documented["url"].startswith("https:") else BASE_URL + documented["url"]
    if request.url != url:
        shown = request.url.removeprefix(BASE_URL)
        yield Deviation(at="request.url", message=f"the client asks {_shown(shown)}")
    if request.endpoint is Endpoint.STORAGE and not documented["url"].startswith("https:"):
        yield Deviation(at="request.url", message="the client asks the storage, at an absolute URL")
    sent = {name.lower(): value for name, value in request.headers.items()}
    for name, value in (documented.get("headers") or {}).items():
        if sent.get(name.lower()) != value:
            yield Deviation(at=f"request.headers.{name}", message=f"the client sends {_shown(sent.get(name.lower()))}")
    yield from _body_deviations(documented, request)
    if (request.file == file.path) is not bool(documented.get("file")):
        sends = "the batch file" if request.file else "no file"
        yield Deviation(at="request.file", message=f"the client sends {sends}")


def _body_deviations(documented: Mapping[str, Any], request: Request) -> Iterator[Deviation]:
    """Yield where the body of a request differs from the documented one."""
    body = request.body or b""
    if "json" in documented:
        found = _json_of(body)
        if found != documented["json"]:
            yield Deviation(at="request.json", message=f"the client sends {_shown(found)}")
    elif "form" in documented:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if form != documented["form"]:
            yield Deviation(at="request.form", message=f"the client sends {_shown(form)}")
    elif request.body is not None:
        yield Deviation(at="request", message="the client sends a body")
    sent, stated = _parts_of(request), documented.get("parts") or {}
    if "parts" in documented or sent:
        for name in sorted({*sent, *stated}):
            if name not in sent or name not in stated or sent[name] != stated[name]:
                shown = f"the client sends {_shown(sent[name])}" if name in sent else "the client sends no such part"
                yield Deviation(at=f"request.parts.{name}", message=shown)


def _parts_of(request: Request) -> dict[str, Any]:
    """Return the parts of a multipart body besides the file, by name: JSON documents and texts."""
    if not request.before:
        return {}
    kind = request.headers.get("Content-Type", "")
    document = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.before + request.after)
    found = {}
    for part in document.walk():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        # The file is not in these bytes, so that its part is empty.
        if isinstance(name, str) and isinstance(content, bytes) and content:
            is_json = part.get_content_type() == "application/json"
            found[name] = _json_of(content) if is_json else content.decode("utf-8", "replace")
    return found


def _meaning_deviations(recorded: RecordedExchange, understood: Mapping[str, Any]) -> Iterator[Deviation]:
    """Yield where the client understands another meaning than the stated one."""
    stated: Mapping[str, Any] = recorded.meaning
    kind = kind_of(recorded)
    if kind not in understood:
        yield Deviation(at="meaning", message=f"the client understands {_shown(understood)}")
        return
    for name, value in stated.items():
        found = understood.get(name)
        if name == "says":
            holds = value in str(found)
        elif name in ("slot", "retry_at"):
            holds = _with_times(value) == _with_times(found)
        elif name == "reads":
            holds = all((found or {}).get(item) == text for item, text in value.items())
        else:
            holds = found == value
        if not holds:
            yield Deviation(at=f"meaning.{name}", message=f"the client understands {_shown(found)}")
    if kind == "status" and "verdict" in understood and "verdict" not in stated:
        yield Deviation(at="meaning", message=f"the client understands the verdict {understood['verdict']}")


def _with_times(value: Any) -> Any:
    """Return a value in which times are compared as times: an allocation, or a time itself."""
    if isinstance(value, dict):
        until = value.get("until")
        return {"url": None, **value, "until": datetime.fromisoformat(until) if until else None}
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _no_file() -> BatchFile:
    """Return a batch file that exists nowhere: only its path is compared."""
    return BatchFile(path="batch", row_manifest="", size=0, rows=0, digest="", md5="0" * 32)


def _shown(value: Any) -> str:
    """Return a value on one line, cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
