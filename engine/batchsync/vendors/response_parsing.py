"""Reads what vendors answer: JSON pointers with alternatives, lenient lists, moments, and words for people.

It knows no vendor; it only knows the habits of those who write APIs. Every reader takes anything and fails softly.
"""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from lading.vendors.doors import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading.vendors.redaction import Redactor

#: The longest text of a vendor that is shown or journaled.
SAID_MAX = 300
#: Nobody may ask us to wait longer than this.
WAIT_MAX = timedelta(days=1)
#: No list and no count is larger.
_DIGITS_MAX, _COUNT_MAX = 9, 10**18
#: So much of what a vendor says is looked at; a good deal more than is shown.
_WORDS_MAX = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_CODE = re.compile(rb"<Code>([^<]{1,200})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,1000})</Message>")
#: Members that carry words for people, in the APIs of this family and at the gateways before them.
_SAYING = (
    "/message", "/fault/faultstring", "/Error", "/error_description", "/error/message", "/error", "/developerMessage",
)  # fmt: skip


class UnreadableError(Exception):
    """The body is not the JSON that was expected."""


def document(body: bytes) -> Any:
    """Return the JSON document, every text in it fit to be written down.

    Raises:
        UnreadableError: when it is none, or nested without end.
    """
    try:
        return _whole(json.loads(body))
    except (ValueError, RecursionError):
        raise UnreadableError("the answer is no JSON") from None


def _whole(node: Any) -> Any:
    """Return a node with half characters, which JSON can name and nothing can write, as question marks."""
    if isinstance(node, str):
        return node.encode("utf-8", "replace").decode()
    if isinstance(node, dict):
        return {_whole(name): _whole(value) for name, value in node.items()}
    return [_whole(one) for one in node] if isinstance(node, list) else node


def at(node: Any, pointer: str) -> Any:
    """Return what stands at a JSON pointer (RFC 6901), or None."""
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
    """Return the first text (or number, as text) at one of the pointers, or None."""
    for pointer in pointers:
        found = at(node, pointer)
        if isinstance(found, str) and found.strip():
            return found
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
    return None


def count(node: Any, pointer: str) -> int | None:
    """Return the count at a pointer, as a number or digits, or None."""
    found = at(node, pointer)
    if isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found[:18])
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < _COUNT_MAX:
        return int(found)
    return None


def items(node: Any) -> list[Any] | None:
    """Return a list: the document itself, or the only list among the members of an object. None when there is none."""
    if isinstance(node, list):
        return node
    if isinstance(node, dict):
        lists = [one for one in node.values() if isinstance(one, list)]
        if len(lists) == 1:
            return lists[0]
    return None


def moment(written: str | None) -> datetime | None:
    """Return a written moment in UTC: UTC when without a zone, without a prefix of digits, None when nonsense."""
    try:
        read = datetime.fromisoformat(re.sub(r"^\d+-(?=\d{4}-)", "", (written or "").strip()))
    except ValueError:
        return None
    try:
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except OverflowError:
        return None


def signed_until(url: str | None) -> datetime | None:
    """Return when a signed URL says that it runs out (Google V4, AWS V4, or the older `Expires`), or None."""
    try:
        query = {name: values[0].replace(" ", "") for name, values in parse_qs(urlsplit(url or "").query).items()}
        for house in ("X-Goog", "X-Amz"):
            if f"{house}-Date" in query and f"{house}-Expires" in query:
                begun = datetime.strptime(query[f"{house}-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return begun + timedelta(seconds=int(query[f"{house}-Expires"]))
        return datetime.fromtimestamp(int(query["Expires"]), UTC) if "Expires" in query else None
    except (ValueError, OverflowError, OSError):
        return None


def retry_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """Return when the vendor asks to be tried again (Retry-After: seconds or an HTTP date), at most a day from now."""
    written = headers.get("retry-after", "").strip()
    if written.isascii() and written.isdigit():
        return now + min(timedelta(seconds=int(written[:9])), WAIT_MAX)
    try:
        wanted = parsedate_to_datetime(written)
    except (ValueError, OverflowError):
        return None
    wanted = wanted.replace(tzinfo=UTC) if wanted.tzinfo is None else wanted.astimezone(UTC)
    return min(wanted, now + WAIT_MAX) if wanted > now else None


def said(body: bytes, redactor: Redactor | None = None) -> str:
    """Return what an answer says to people, on one line, without secrets and queries, at most `SAID_MAX` characters."""
    found = _words(body)
    if len(found) > _WORDS_MAX:
        # Cut between words, so that no half of a secret is left.
        found = found[:_WORDS_MAX].rsplit(None, 1)[0]
    found = _shown(found, redactor)
    return found if len(found) <= SAID_MAX else found[: SAID_MAX - 3] + "..."


def plain(word: str, redactor: Redactor | None = None) -> str:
    """Return a vendor's word on one line, without secrets and control characters, short enough to show."""
    return _shown(word, redactor)[:80]


def _shown(text: str, redactor: Redactor | None) -> str:
    """Return a vendor's text on one line. Secrets and queries go before anything is cut: no half of one is left."""
    clean = redactor.redact(text) if redactor else text
    return _CONTROL.sub(" ", redacted(clean)).strip()


def _words(body: bytes) -> str:
    head = body[:65_536]
    if code := _CODE.search(head):
        message = _MESSAGE.search(head)
        return b": ".join(one[1] for one in (code, message) if one).decode("utf-8", "replace")
    try:
        answer = document(body)
    except UnreadableError:
        return ""
    return text(answer, _SAYING) or ""


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an answer is a page for people (HTML), by its Content-Type or its first bytes."""
    begins = body[:64].lstrip().lower()
    return "text/html" in headers.get("content-type", "").lower() or begins.startswith((b"<!doctype html", b"<html"))


def is_refusal(body: bytes) -> bool:
    """Whether a refusal is in the form of an API (a JSON object) or of a storage (XML with a code).

    Anything else, an empty body among it, may come from a proxy or gateway.
    """
    if _CODE.search(body[:65_536]):
        return True
    try:
        return isinstance(document(body), dict)
    except UnreadableError:
        return False


def columns(body: bytes) -> tuple[str, ...] | None:
    """Return the names in the first line of a CSV file, or None when there is none."""
    lines = body[:65_536].decode("utf-8-sig", "replace").lstrip("\r\n").splitlines()
    if not lines or lines[0].lstrip().startswith(("<", "{", "[")):
        return None
    names = tuple(name.strip() for name in next(csv.reader(io.StringIO(lines[0]), skipinitialspace=True), []))
    return names if names and all(names) else None
