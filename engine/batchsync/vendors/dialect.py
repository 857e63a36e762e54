"""Request building and response classification as configured by a vendor spec. Sans-I/O: values in, values out."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from batchsync.core.batch import Allocation, BatchFile, IdempotencyKey, Verdict
from batchsync.core.decide import ALLOCATION_RESERVE
from batchsync.core.vendor_calls import Endpoint, ResponseClass
from batchsync.errors import AllocationExpiredError, AmbiguousOutcomeError, PermanentError, RetryableError
from batchsync.ports import Empty, Finished, Running, Status
from batchsync.vendors import response_parsing
from batchsync.vendors.allowed_urls import redacted
from batchsync.vendors.foreign_answers import is_foreign
from batchsync.vendors.multipart import FIELD, frame
from batchsync.vendors.redaction import Redactor
from batchsync.vendors.response_class import classify_response, documented_class
from batchsync.vendors.template import UnknownValueError, fill, fill_all, fill_path
from batchsync.vendors.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.core.vendor_calls import Call

#: Maximum length of an allocation id, in characters.
_ID_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its response.

    Attributes:
        call: The call of the vendor spec that the request was built from.
        request: The request, without authentication headers.
        response: The response, whatever its status.
        now: When the response arrived (UTC); base of relative `Retry-After` values.
        redactor: Redacts credentials in messages about the exchange.
    """

    call: Call
    request: Request
    response: Response
    now: datetime
    redactor: Redactor = field(default_factory=Redactor)

    @property
    def request_line(self) -> str:
        """Return method and redacted URL, for messages."""
        return f"{self.request.method} {redacted(self.redactor.redact(self.request.url))}"

    def one_line(self, text: str) -> str:
        """Return a text of the response on one line, redacted, at most 80 characters."""
        return response_parsing.one_line(text, self.redactor)

    def describe(self) -> str:
        """Return request, status and error message in one line, redacted."""
        status = self.response.status
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        message = response_parsing.error_message(self.response.body, self.redactor)
        head = f"{self.request_line}: HTTP {status} {phrase}".rstrip()
        return f"{head}: {message}" if message else head


def values(
    *,
    idempotency_key: IdempotencyKey | None = None,
    file: BatchFile | None = None,
    allocation: Allocation | None = None,
    params: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
) -> dict[str, str | int | None]:
    """Return the values of placeholders by their full name, such as `file.md5`.

    Args:
        idempotency_key: Value of `idempotency_key`.
        file: Source of `file.*`.
        allocation: Source of `allocation.*`, and of `params.*` unless they are given.
        params: Values of `params.*`.
        target: Values of `target.*`.
    """
    named: dict[str, str | int | None] = {"idempotency_key": idempotency_key}
    if file:
        named |= {
            "file.md5": file.md5,
            "file.md5_base64": base64.b64encode(bytes.fromhex(file.md5)).decode("ascii"),
            "file.size": file.size,
            "file.name": PurePath(file.path).name,
        }
    if allocation:
        named |= {"allocation.id": allocation.id, "allocation.url": allocation.url}
        named |= {f"{FIELD}{name}": value for name, value in allocation.fields.items()}
        params = params or allocation.params
    named |= {f"params.{name}": value for name, value in (params or {}).items()}
    named |= {f"target.{name}": value for name, value in (target or {}).items()}
    return named


def build(
    call: Call,
    known: Mapping[str, str | int | None],
    base_url: str,
    file: BatchFile | None = None,
) -> Request:
    """Return the request of a call with its placeholders filled.

    Args:
        call: The call as declared in the vendor spec.
        known: Values of placeholders by their full name, see `values`.
        base_url: Prefix of URLs that begin with `/`, without a trailing slash.
        file: The batch file, sent where the call sends a file.

    Raises:
        PermanentError: If the vendor spec uses a placeholder that has no value.
    """
    try:
        headers = {name: str(fill(item, known) or "") for name, item in call.headers.items()}
        url = base_url + fill_path(call.url, known) if call.url.startswith("/") else _absolute(call, known, base_url)
        body, before, after = None, b"", b""
        if call.parts and file is not None:
            headers["Content-Type"], before, after = frame(call.parts, known, file)
        elif call.json is not None:
            body = json.dumps(fill_all(call.json, known), ensure_ascii=False, separators=(",", ":")).encode()
            headers.setdefault("Content-Type", "application/json")
        elif call.form is not None:
            body = urlencode(fill_all(call.form, known)).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    except UnknownValueError as missing:
        reason = f"the vendor spec uses {{{missing.name}}} in {call.method} {call.url}, and it has no value"
    else:
        sent = file if call.sends_file else None
        return Request(
            method=call.method,
            url=url,
            endpoint=call.endpoint,
            headers=headers,
            body=body,
            file=sent.path if sent else None,
            size=sent.size if sent else 0,
            before=before,
            after=after,
        )
    raise PermanentError(reason)


def _absolute(call: Call, known: Mapping[str, str | int | None], base_url: str) -> str:
    """Return a URL that the vendor returned; a path is one of the API."""
    url = str(fill(call.url, known))
    return urljoin(f"{base_url}/", url) if call.endpoint is Endpoint.API else url


def item_of(exchange: Exchange, known: Mapping[str, str | int | None]) -> Any:
    """Return the part of a response that is about the batch: all of it, or one item of its list.

    Args:
        exchange: The exchange of a call.
        known: Values of placeholders by their full name.

    Returns:
        The JSON value; None if no item, or more than one, is about the batch.

    Raises:
        AmbiguousOutcomeError: If the body is not valid JSON, or contains no list where one is expected.
    """
    body, rule = read(exchange), exchange.call.item
    if rule is None:
        return body
    items = response_parsing.json_pointer(body, rule.items)
    if not isinstance(items, list):
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no list"
        )
    wanted = str(fill(rule.equals, known))
    found = [item for item in items if response_parsing.text(item, (rule.at,)) == wanted]
    return found[0] if len(found) == 1 else None


def ensure_ok(exchange: Exchange) -> ResponseClass:
    """Return the class of a successful response, OK or ABSENT; raise for any other.

    Raises:
        RetryableError: If the request was not applied; carries the vendor's `Retry-After` time.
        AmbiguousOutcomeError: If the request may have been applied; carries the vendor's `Retry-After` time.
        AllocationExpiredError: If the signed URL has expired.
        PermanentError: If the vendor refused the request.
    """
    response_class = classify_response(exchange.call, exchange.response)
    match response_class:
        case ResponseClass.OK | ResponseClass.ABSENT:
            return response_class
        case ResponseClass.NOT_APPLIED:
            raise RetryableError(
                exchange.describe(), retry_at=response_parsing.retry_at(exchange.response.headers, exchange.now)
            )
        case ResponseClass.OUTCOME_UNKNOWN:
            raise AmbiguousOutcomeError(
                exchange.describe(),
                retry_at=response_parsing.retry_at(exchange.response.headers, exchange.now),
                foreign=is_foreign(exchange.call, exchange.response),
            )
        case ResponseClass.EXPIRED:
            raise AllocationExpiredError(exchange.describe())
        case ResponseClass.PERMANENT:
            raise PermanentError(
                exchange.describe() + _advice(exchange.response.status),
                proven=documented_class(exchange.call, exchange.response) is not None,
            )


def read(exchange: Exchange) -> Any:
    """Return the JSON document of a response.

    Raises:
        AmbiguousOutcomeError: If the body is not valid JSON.
    """
    try:
        return response_parsing.parse_json(exchange.response.body)
    except response_parsing.UnreadableError:
        pass
    foreign = response_parsing.is_html(exchange.response.headers, exchange.response.body)
    found = "is an HTML page instead of the vendor's answer" if foreign else "is not valid JSON"
    raise AmbiguousOutcomeError(
        f"{exchange.request_line}: HTTP {exchange.response.status}, and the response body {found}", foreign=foreign
    )


def read_id(exchange: Exchange, default: str) -> str:
    """Return the id in a response, or the default if the vendor spec reads none.

    Raises:
        AmbiguousOutcomeError: If the response lacks the id.
    """
    pointers = exchange.call.read.get("id")
    found = default if pointers is None else response_parsing.text(read(exchange), pointers)
    if found is None or len(found) > _ID_MAX or exchange.redactor.contains_secret(found):
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no id"
        )
    return found


def read_allocation(
    exchange: Exchange, idempotency_key: IdempotencyKey, *, own_url: str | None = None, granted: bool
) -> Allocation:
    """Return the allocation in a response, with its expiry by our clock.

    The vendor's clock may differ from ours: its times are compared with the `Date` header of the same response. An
    allocation that was granted by this response cannot have expired, so that a time in the past is then ignored,
    such as one that is written without its zone.

    Args:
        exchange: The exchange of an allocate or find call.
        idempotency_key: The batch's idempotency key; the allocation's id if the vendor spec reads no id.
        own_url: URL of uploads that do not go to a URL of the response.
        granted: Whether the request asked for the allocation, so that the response must contain an upload URL.

    Returns:
        The allocation. It expires at the earlier of the time in the response and the time in the signed URL.

    Raises:
        AmbiguousOutcomeError: If the response lacks the id, or the URL or the fields although it was `granted`.
    """
    body = read(exchange)
    pointers = exchange.call.read
    fields = response_parsing.texts(body, pointers.get("fields", ()))
    if granted and "fields" in pointers and not fields:
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no fields of a form"
        )
    allocation_id = read_id(exchange, idempotency_key)
    url = own_url or response_parsing.text(body, pointers.get("url", ()))
    if granted and url is None:
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no upload URL"
        )
    expiries = (
        response_parsing.parse_datetime(response_parsing.text(body, pointers.get("expires_at", ()))),
        response_parsing.url_expiry(url),
        response_parsing.policy_expiry(fields),
    )
    offset = response_parsing.clock_offset(exchange.response.headers, exchange.now) or timedelta(0)
    earliest = exchange.now + offset + ALLOCATION_RESERVE if granted else datetime.min.replace(tzinfo=UTC)
    known = [time for time in expiries if time is not None and time > earliest]
    return Allocation(id=allocation_id, url=url, expires_at=min(known) - offset if known else None, fields=fields)


def read_status(exchange: Exchange, vendor_statuses: Mapping[str, str], body: Any = None) -> Status:
    """Return the status of a batch. A vendor status that the spec does not list means Running.

    Args:
        exchange: The exchange of a poll call.
        vendor_statuses: `running`, `empty` or the value of a Verdict, by vendor status in casefold.
        body: The part of the response that is about the batch; None: all of it.

    Raises:
        AmbiguousOutcomeError: If the response contains no status.
    """
    body = read(exchange) if body is None else body
    vendor_status = response_parsing.text(body, exchange.call.read["status"])
    if vendor_status is None:
        raise AmbiguousOutcomeError(
            f"{exchange.request_line}: HTTP {exchange.response.status}, and the response contains no status"
        )
    shown = exchange.one_line(vendor_status)
    match vendor_statuses.get(vendor_status.strip().casefold(), "running"):
        case "running":
            return Running(shown)
        case "empty":
            return Empty(shown)
        case verdict:
            return Finished(Verdict(verdict), shown)


def _advice(status: int) -> str:
    """Return a hint to append to the message of a refusal, or an empty string."""
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return " (check the connection's credentials and that they belong to this base_url)"
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return " (redirects are not followed)"
        case _:
            return ""
