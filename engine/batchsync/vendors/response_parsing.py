"""Lenient parsing of vendor responses: JSON pointers with alternatives, lists, timestamps and error messages.

Functions accept any input and return None, or an empty value, where they find nothing.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from batchsync.vendors.allowed_urls import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.vendors.redaction import Redactor

#: Maximum length of a vendor's message that is shown or journaled, in characters.
MESSAGE_MAX = 300
#: Maximum wait that a `Retry-After` header can ask for.
WAIT_MAX = timedelta(days=1)
#: Difference of the clocks below which they count as equal.
CLOCK_TOLERANCE = timedelta(seconds=30)
#: Maximum digits of a list index, and upper bound of a count.
_DIGITS_MAX, _COUNT_MAX = 9, 10**18
#: Maximum length of a message before redaction, in characters; well above `MESSAGE_MAX`.
_RAW_MESSAGE_MAX = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s>]", re.IGNORECASE)
_CODE = re.compile(rb"<Code>([^<]{1,200})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,1000})</Message>")
#: JSON pointers of error messages in the APIs of the bundled vendors and the gateways in front of them.
_MESSAGE_POINTERS = (
    "/message", "/fault/faultstring", "/Error", "/error_description", "/error/message", "/error", "/developerMessage",
)  # fmt: skip


class UnreadableError(Exception):
    """The body is not valid JSON."""


def parse_json(body: bytes) -> Any:
    """Return the JSON document of a body, with unpaired surrogates replaced by `?`.

    Raises:
        UnreadableError: If the body is not valid JSON, or nested too deep.
    """
    try:
        return _replace_lone_surrogates(json.loads(body))
    except (ValueError, RecursionError):
        raise UnreadableError("the response body is not valid JSON") from None


def _replace_lone_surrogates(node: Any) -> Any:
    """Return a node with unpaired surrogates, which no encoding can represent, replaced by question marks."""
    if isinstance(node, str):
        return node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        return {_replace_lone_surrogates(name): _replace_lone_surrogates(value) for name, value in node.items()}
    return [_replace_lone_surrogates(item) for item in node] if isinstance(node, list) else node


def json_pointer(node: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer (RFC 6901), or None."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(name)
        elif isinstance(node, list) and name.isascii() and name.isdigit() and len(name) <= _DIGITS_MAX:
            node = node[int(name)] if int(name) < len(node) else None
        else:
            return None
    return node


def text(node: Any, pointers: Iterable[str]) -> str | None:
    """Return the first string (or number, as a string) at one of several JSON pointers, or None."""
    for pointer in pointers:
        found = json_pointer(node, pointer)
        if isinstance(found, str) and found.strip():
            return found
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
    return None


def count(node: Any, pointer: str) -> int | None:
    """Return the count at a JSON pointer, given as a number or as digits, or None."""
    found = json_pointer(node, pointer)
    if isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found[:18])
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < _COUNT_MAX:
        return int(found)
    return None


def find_list(node: Any) -> list[Any] | None:
    """Return a list: the document itself, or the only list among the members of an object; None if there is none."""
    if isinstance(node, list):
        return node
    if isinstance(node, dict):
        lists = [item for item in node.values() if isinstance(item, list)]
        if len(lists) == 1:
            return lists[0]
    return None


def parse_datetime(text: str | None) -> datetime | None:
    """Return a timestamp in UTC, or None if it is not one.

    A timestamp without a zone is in UTC. A prefix of digits is removed: Motorweb's documented example of `expiry` is
    `123-2022-08-09T06:22:21` (P3 in the vendor notes).
    """
    try:
        parsed = datetime.fromisoformat(re.sub(r"^\d+-(?=\d{4}-)", "", (text or "").strip()))
    except ValueError:
        return None
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        return None


def url_expiry(url: str | None) -> datetime | None:
    """Return the expiry in the query of a signed URL (Google V4, AWS V4, or AWS V2's `Expires`), or None."""
    try:
        query = {name: values[0].replace(" ", "") for name, values in parse_qs(urlsplit(url or "").query).items()}
        for prefix in ("X-Goog", "X-Amz"):
            if f"{prefix}-Date" in query and f"{prefix}-Expires" in query:
                signed_at = datetime.strptime(query[f"{prefix}-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed_at + timedelta(seconds=int(query[f"{prefix}-Expires"]))
        return datetime.fromtimestamp(int(query["Expires"]), UTC) if "Expires" in query else None
    except (ValueError, OverflowError, OSError):
        return None


def texts(node: Any, pointers: tuple[str, ...]) -> dict[str, str]:
    """Return the members of the object at the first pointer that leads to one, as texts; empty if there is none.

    Members that are neither texts nor numbers, and names or texts with control characters, are left out.
    """
    found = next((item for item in (json_pointer(node, pointer) for pointer in pointers) if isinstance(item, dict)), {})
    named = {str(name): text(found, (f"/{_escaped(str(name))}",)) for name in found}
    return {name: value for name, value in named.items() if value is not None and not _CONTROL.search(name + value)}


def _escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def policy_expiry(fields: Mapping[str, str]) -> datetime | None:
    """Return the expiry in the policy among signed fields (AWS and Google: base64 of JSON), or None."""
    policy = next((value for name, value in fields.items() if name.lower() == "policy"), "")
    try:
        document = parse_json(base64.b64decode(policy, validate=True))
    except (ValueError, UnreadableError):
        return None
    return parse_datetime(text(document, ("/expiration",)))


def clock_offset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how far the vendor's clock is ahead of ours, by the `Date` header; None if there is none.

    Less than `CLOCK_TOLERANCE` counts as none: the header has whole seconds, and the response took its time. A response
    with an `Age` header comes from a cache and has an old time.

    Args:
        headers: Headers of a response by lower-case name.
        now: When it arrived, by our clock.
    """
    try:
        found = parsedate_to_datetime(headers.get("date", ""))
        offset = (found.replace(tzinfo=UTC) if found.tzinfo is None else found) - now
    except (ValueError, OverflowError):
        return None
    if "age" in headers:
        return None
    return offset if abs(offset) >= CLOCK_TOLERANCE else timedelta(0)


def retry_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return the time in a `Retry-After` header (seconds or an HTTP date), at most a day from now, or None.

    A date is one of the vendor's clock.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return now + min(timedelta(seconds=int(value[:9])), WAIT_MAX)
    try:
        wanted = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    wanted = wanted.replace(tzinfo=UTC) if wanted.tzinfo is None else wanted.astimezone(UTC)
    wanted -= clock_offset(headers, now) or timedelta(0)
    return min(wanted, now + WAIT_MAX) if wanted > now else None


def error_message(body: bytes, redactor: Redactor | None = None) -> str:
    """Return the error message of a response on one line, redacted, at most `MESSAGE_MAX` characters."""
    found = _raw_message(body)
    if len(found) > _RAW_MESSAGE_MAX:
        # Cut between words, so that no part of a secret remains.
        found = found[:_RAW_MESSAGE_MAX].rsplit(None, 1)[0]
    found = _clean(found, redactor)
    return found if len(found) <= MESSAGE_MAX else found[: MESSAGE_MAX - 3] + "..."


def shown_text(text: str, redactor: Redactor | None = None) -> str:
    """Return a vendor's text on one line, redacted, without control characters, at most `MESSAGE_MAX` characters."""
    return _clean(text, redactor)[:MESSAGE_MAX]


def one_line(text: str, redactor: Redactor | None = None) -> str:
    """Return a vendor's text on one line, redacted, without control characters, at most 80 characters."""
    return _clean(text, redactor)[:80]


def _clean(text: str, redactor: Redactor | None) -> str:
    """Return a vendor's text on one line, redacted. Call it before cutting: a part of a secret would remain."""
    clean = redactor.redact(text) if redactor else text
    return _CONTROL.sub(" ", redacted(clean)).strip()


def _raw_message(body: bytes) -> str:
    """Return the error message of a storage (XML) or an API (JSON), or an empty string."""
    head = body[:65_536]
    if code := _CODE.search(head):
        message = _MESSAGE.search(head)
        return b": ".join(item[1] for item in (code, message) if item).decode("utf-8", "replace")
    try:
        document = parse_json(body)
    except UnreadableError:
        return ""
    return text(document, _MESSAGE_POINTERS) or ""


def is_html(headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a response is an HTML page, by its Content-Type or a tag near its beginning."""
    content_type = headers.get("content-type", "").lower()
    return "text/html" in content_type or "xhtml" in content_type or _HTML.search(body[:1024]) is not None


def is_document(body: bytes) -> bool:
    """Return whether a body is a JSON object or list, or XML, by its first character."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b"<")


def is_json_like(body: bytes) -> bool:
    """Return whether a body is JSON, or begins like an object or a list, as a damaged one does."""
    if body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return True
    try:
        parse_json(body)
    except UnreadableError:
        return False
    return True


def is_api_error(body: bytes) -> bool:
    """Return whether an error body has the format of an API (a JSON object) or of a storage (XML with a code).

    Any other body, including an empty one, may come from a proxy or gateway.
    """
    if is_storage_error(body):
        return True
    try:
        return isinstance(parse_json(body), dict)
    except UnreadableError:
        return False


def is_storage_error(body: bytes) -> bool:
    """Return whether an error body has the format of a storage: XML with a code."""
    return _CODE.search(body[:65_536]) is not None


def columns(body: bytes) -> tuple[str, ...] | None:
    """Return the column names in the first line of a CSV file, or None if there is none."""
    lines = body[:65_536].decode("utf-8-sig", "replace").lstrip("\r\n").splitlines()
    if not lines or lines[0].lstrip().startswith(("<", "{", "[")):
        return None
    names = tuple(name.strip() for name in next(csv.reader(io.StringIO(lines[0]), skipinitialspace=True), []))
    return names if names and all(names) else None
