"""Requests that a client signs with a shared key: the signature is computed again from the request as it arrived."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING, Any

from batchsync_mocks import disk
from batchsync_mocks.generic.templates import MismatchError, capture_text, fill, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.generic.spec import Auth

#: Seconds that a time in a request may differ from that of the vendor.
_TOLERANCE = 300
#: Bytes of a body, which is kept in memory.
_BODY_LIMIT = 512 << 20
_RAW_BODY = "{body.raw}"


def is_signed(request: Request, auth: Auth, credentials: Mapping[str, str], now: float) -> bool:
    """Return whether a request carries a valid signature, with a time near the vendor's.

    Args:
        request: The request. Its body is read, and can be read again.
        auth: How clients authenticate: with a signature.
        credentials: The accepted credentials.
        now: Epoch seconds.
    """
    rules = auth.signature or {}
    named: dict[str, Any] = {f"credentials.{name}": value for name, value in credentials.items()}
    try:
        for name, template in auth.headers.items():
            captured = capture_text(template, request.headers.get(name, ""))
            if any(named.get(key, value) != value for key, value in captured.items()):
                return False
            named |= captured
    except MismatchError:
        return False
    if "signature" not in named or not all(
        _is_near(name, str(value), now) for name, value in named.items() if name.startswith("time.")
    ):
        return False
    named |= _parts(request)
    text, stream = str(rules["text"]), _kept_body(request)
    used = names_of("".join([text, *auth.headers.values()]))
    for name in used:
        if name.startswith("body.") and name != "body.raw":
            named[name] = _digest(stream, name)
    code = hmac.new(_key(credentials[rules["key"]], rules.get("key_form", "text")), None, rules.get("digest", "sha256"))
    for number, part in enumerate(text.split(_RAW_BODY)):
        for chunk in _chunks(stream) if number else ():
            code.update(chunk)
        code.update(fill(part, {name: str(value) for name, value in named.items()}).encode())
    stream.seek(0)
    expected = _written(code.digest(), rules.get("form", "hex"))
    return hmac.compare_digest(expected.encode(), str(named["signature"]).encode())


def _kept_body(request: Request) -> IO[bytes]:
    """Return the body of a request, which stays readable for what serves the request."""
    stream = io.BytesIO()
    if request.content_length:
        disk.receive(request.stream, stream, limit=_BODY_LIMIT, hashed=False)
    stream.seek(0)
    request.environ["wsgi.input"] = stream
    # The attribute keeps the stream that was read.
    vars(request)["stream"] = stream
    return stream


def _parts(request: Request) -> dict[str, str]:
    """Return the parts of a request that may be signed."""
    raw, _, query = str(request.environ["RAW_URI"]).partition("?")
    return {
        "request.method": request.method,
        "request.url": f"{request.scheme}://{request.host}{request.environ['RAW_URI']}",
        "request.host": request.host,
        "request.path": raw or "/",
        "request.query": query,
        "request.sorted_query": "&".join(sorted(query.split("&"))),
        "request.content_type": request.headers.get("Content-Type", ""),
        "body.size": str(request.content_length or 0),
    }


def _is_near(name: str, text: str, now: float) -> bool:
    """Return whether a time in a request is near that of the vendor; a date is that of the day."""
    try:
        match name.removeprefix("time."):
            case "unix":
                at = float(text)
            case "unix_ms":
                at = float(text) / 1000
            case "http":
                at = parsedate_to_datetime(text).timestamp()
            case "date":
                return text == datetime.fromtimestamp(now, UTC).strftime("%Y%m%d")
            case _:
                at = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return False
    return abs(at - now) <= _TOLERANCE


def _key(text: str, form: str) -> bytes:
    """Return the bytes of a key."""
    return {"hex": bytes.fromhex, "base64": base64.b64decode}.get(form, str.encode)(text)


def _digest(stream: IO[bytes], name: str) -> str:
    """Return a digest of the body, or its size, by its placeholder."""
    kind, _, form = name.removeprefix("body.").partition("_")
    found = hashlib.new(kind if form else "md5", usedforsecurity=False)
    size = 0
    for chunk in _chunks(stream):
        found.update(chunk)
        size += len(chunk)
    return _written(found.digest(), form) if form else str(size)


def _written(data: bytes, form: str) -> str:
    """Return bytes as text."""
    if form == "hex":
        return data.hex()
    return base64.b64encode(data).decode() if form == "base64" else base64.urlsafe_b64encode(data).decode().rstrip("=")


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a body from its beginning, in pieces."""
    stream.seek(0)
    while chunk := stream.read(disk.CHUNK):
        yield chunk
