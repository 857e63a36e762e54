"""URLs that the generic mock gives: signed ones of its storage, and others of its API."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from batchsync_mocks import datetimes, responses, signing
from batchsync_mocks.generic import forms
from batchsync_mocks.signing import Refusal
from batchsync_mocks.vendor import STORAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.batches import Batch
    from batchsync_mocks.generic.spec import Call
    from batchsync_mocks.vendor_state import VendorState

#: Prefix of URLs of the API, which need authentication.
LINKS = "/_links"
#: Parameter of the URLs of further pages.
PAGE = "mock-page"
#: More rows than a document has.
_ALL = 1 << 40


def url(request: Request, call: Call, batch: Batch, state: VendorState, *, expires: int) -> str:
    """Return the URL for a call whose URL is read from an answer.

    Args:
        request: The request that asks for it, whose host the URL has.
        call: The call.
        batch: The batch.
        state: State of the vendor; its secret signs.
        expires: End of validity of a URL of the storage, in epoch seconds.
    """
    path = path_of(call, batch)
    base = f"{responses.origin_of(request)}{path}"
    is_signed = call.storage and not forms.has_fields(call)
    return f"{base}?Expires={expires}&Signature={_signature(state, call.method, path, expires)}" if is_signed else base


def path_of(call: Call, batch: Batch) -> str:
    """Return the path of a call whose URL is read from an answer."""
    return f"{STORAGE if call.storage else LINKS}/{quote(call.name)}/{batch.id}"


def refusal(request: Request, state: VendorState, now: float) -> Refusal | None:
    """Return why a request to a signed URL is refused; None if it is not.

    Args:
        request: The request.
        state: State of the vendor.
        now: Time of the request, in epoch seconds.
    """
    if "Authorization" in request.headers:
        message = "Only one auth mechanism allowed: this URL is signed, send no Authorization header."
        return Refusal(status=400, code="InvalidArgument", message=message)
    expires = request.args.get("Expires", "")
    if not re.fullmatch(r"[0-9]{1,12}", expires):
        return Refusal(status=403, code="AccessDenied", message="Access Denied")
    raw_path = str(request.environ["RAW_URI"]).partition("?")[0]
    expected = _signature(state, request.method, raw_path, int(expires))
    if not hmac.compare_digest(expected.encode(), request.args.get("Signature", "").encode()):
        return signing.mismatch()
    return expired(None, int(expires), now) if now >= int(expires) else None


def page_of(request: Request, pages: Mapping[str, Any], at_most: int | None) -> tuple[int, int | None, str]:
    """Return the rows before the page that a request asks for, the rows in it at most, and the name of the next page.

    Args:
        request: The request.
        pages: How pages are asked for; empty for a document without pages.
        at_most: Greatest number of rows in a page; None: no limit.
    """
    by_number = pages.get("offset") or pages.get("page")
    asked = _number(request, str(by_number or pages.get("param") or PAGE))
    if not by_number:
        size = at_most if pages else None
        number = asked or 0 if size is not None else 0
        following = str(number + 1) if pages.get("param") else next_page(request, number + 1)
        return number * (size or 0), size, following
    limit = _number(request, str(pages.get("limit") or ""))
    sizes = [size for size in (limit, at_most) if size]
    position = max((asked or 0) - int(pages.get("first", 0)), 0)
    size = min(sizes, default=None)
    return (position if pages.get("offset") else position * (size or _ALL)), size, ""


def _number(request: Request, name: str) -> int | None:
    """Return the number in a query parameter; None if there is none."""
    text = request.args.get(unquote(name), "")
    return int(text) if text.isascii() and text.isdigit() else None


def next_page(request: Request, number: int) -> str:
    """Return the URL of another page of a document.

    Args:
        request: The request for a page.
        number: Number of the other page, from 0.
    """
    path, _, query = str(request.environ["RAW_URI"]).partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith(f"{PAGE}=")]
    return f"{responses.origin_of(request)}{path}?{'&'.join([*kept, f'{PAGE}={number}'])}"


def expired(call: Call | None, at: float, now: float) -> Refusal:
    """Return the refusal of an expired URL, as the vendor spec says.

    Args:
        call: The call to the URL; None for a call without a rule.
        at: End of validity, in epoch seconds.
        now: Time of the request, in epoch seconds.
    """
    rule = call.rule("expired") if call else None
    if rule is None:
        return signing.s3_expired(at, now)
    text = rule.body_contains
    is_code = re.fullmatch(r"[A-Za-z]+", text) is not None and not text.islower()
    code, message = (text, "The provided token has expired.") if is_code else ("AccessDenied", "Request has expired")
    more = (("Expires", datetimes.format_seconds(at)), ("Rule", text))
    return Refusal(status=rule.status, code=code, message=message, more=more)


def _signature(state: VendorState, verb: str, path: str, expires: int) -> str:
    """Return the signature of a URL, in hexadecimal digits."""
    return state.hmac_digest(f"{verb}\n{path}\n{expires}".encode()).hex()
