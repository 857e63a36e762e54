"""HMACs of requests with a shared key, and the times that signatures contain."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from contextlib import ExitStack
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batchsync.core.vendor_auth import RAW_BODY, ByteForm, KeyForm
from batchsync.errors import PermanentError, UnavailableError
from batchsync.vendors.bodies import CHUNK, open_body
from batchsync.vendors.template import UnknownValueError, fill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from batchsync.core.vendor_auth import RequestSignature
    from batchsync.vendors.wire import Request

Values = dict[str, str | int | None]


def moment(now: datetime) -> Values:
    """Return the placeholders of a time, and a random value.

    Args:
        now: The time (UTC), by the vendor's clock.
    """
    at = now.astimezone(UTC)
    return {
        "time.unix": int(at.timestamp()),
        "time.unix_ms": int(at.timestamp() * 1000),
        "time.iso": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "time.basic": at.strftime("%Y%m%dT%H%M%SZ"),
        "time.date": at.strftime("%Y%m%d"),
        "time.http": format_datetime(at, usegmt=True),
        "nonce": secrets.token_hex(16),
    }


class RequestSigner:
    """Signer of the API requests of a connection."""

    def __init__(self, rules: RequestSignature, credentials: Mapping[str, str]) -> None:
        """Read the shared key.

        Args:
            rules: The signature of the vendor spec.
            credentials: Values of credentials, by name.

        Raises:
            UnavailableError: If the credential has not the form of a key. The message contains nothing of it.
        """
        self._rules = rules
        self._known: Values = {f"credentials.{name}": item for name, item in credentials.items()}
        key = _key_of(credentials[rules.key], rules.key_form)
        if key is None:
            raise UnavailableError(
                f"the credential {rules.key} is not written in {rules.key_form}",
                hint="copy it as the vendor shows it",
                name="environment.secret",
            )
        self._key = key

    def headers(self, templates: Mapping[str, str], request: Request, now: datetime) -> dict[str, str]:
        """Return the headers that sign a request.

        Args:
            templates: Templates of the headers.
            request: The request, with all other headers.
            now: The time (UTC), by the vendor's clock.

        Raises:
            PermanentError: If the batch file cannot be read, or a placeholder has no value.
        """
        reason = ""
        known = {**self._known, **moment(now), **_parts_of(request)}
        used = "".join((self._rules.text, *templates.values()))
        known |= {name: _body_digest(request, name) for name in _digest_names() if f"{{{name}}}" in used}
        try:
            known["signature"] = self._signature(request, known)
            return {name: str(fill(template, known)) for name, template in templates.items()}
        except UnknownValueError as missing:
            reason = f"the vendor spec uses {{{missing.name}}} in a signature, and it has no value"
        raise PermanentError(reason)

    def _signature(self, request: Request, known: Values) -> str:
        """Return the signature of a request."""
        code = hmac.new(self._key, digestmod=self._rules.digest.value)
        for number, text in enumerate(self._rules.text.split(f"{{{RAW_BODY}}}")):
            for chunk in _body_of(request) if number else ():
                code.update(chunk)
            code.update(str(fill(text, known) if text else "").encode())
        return _written(code.digest(), self._rules.form)


def _key_of(text: str, form: KeyForm) -> bytes | None:
    """Return a shared key; None if its text has another form."""
    try:
        match form:
            case KeyForm.HEX:
                return bytes.fromhex(text)
            case KeyForm.BASE64:
                return base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
            case _:
                return text.encode()
    except (ValueError, binascii.Error):
        return None


def _written(data: bytes, form: ByteForm) -> str:
    """Return bytes as text."""
    match form:
        case ByteForm.HEX:
            return data.hex()
        case ByteForm.BASE64:
            return base64.b64encode(data).decode("ascii")
        case _:
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _parts_of(request: Request) -> Values:
    """Return the placeholders of the parts of a request, as it is sent."""
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    size = len(request.before) + request.size + len(request.after) if request.file else len(request.body or b"")
    return {
        "request.method": request.method,
        "request.url": request.url,
        "request.host": parts.netloc,
        "request.path": parts.path or "/",
        "request.query": parts.query,
        "request.sorted_query": "&".join(sorted(parts.query.split("&"))),
        "request.content_type": headers.get("content-type", ""),
        "body.size": size,
    }


def _digest_names() -> Iterator[str]:
    """Yield the placeholders of digests of a body."""
    for digest in ("md5", "sha1", "sha256", "sha512"):
        yield from (f"body.{digest}_hex", f"body.{digest}_base64")


def _body_digest(request: Request, name: str) -> str:
    """Return a digest of the body of a request, by its placeholder."""
    digest, _, form = name.removeprefix("body.").partition("_")
    found = hashlib.new(digest, usedforsecurity=False)
    for chunk in _body_of(request):
        found.update(chunk)
    return _written(found.digest(), ByteForm(form))


def _body_of(request: Request) -> Iterator[bytes]:
    """Yield the body of a request in pieces.

    Raises:
        PermanentError: If the batch file cannot be read, or has another size.
    """
    with ExitStack() as stack:
        body = open_body(request, stack)
        if body is None or isinstance(body, bytes):
            yield body or b""
            return
        while chunk := body.read(CHUNK):
            yield chunk
