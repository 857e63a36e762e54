"""Authentication at the generic mock: credentials are constants, and tokens are signed with the secret of its state."""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from batchsync_mocks import responses
from batchsync_mocks.generic.keys import BadTokenError, claims_of, private_key
from batchsync_mocks.generic.signed_requests import is_signed
from batchsync_mocks.generic.templates import MismatchError, capture, capture_text, names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.generic.spec import Auth, Spec
    from batchsync_mocks.vendor_state import VendorState

#: Seconds that the clocks of client and vendor may differ.
_CLOCK_SKEW = 180


def credentials_of(spec: Spec) -> dict[str, str]:
    """Return the credentials that the mock of a vendor accepts. One that signs assertions is a private key."""
    found = {name: f"not-a-real-{name.replace('_', '-')}-of-the-{spec.name}-mock" for name in spec.credentials}
    auth = spec.auth
    if auth is not None and auth.assertion is not None:
        found[auth.assertion["key"]] = private_key(auth.assertion.get("algorithm", "RS256"))
    if auth is not None and auth.signature is not None:
        text, form = found[auth.signature["key"]].encode(), auth.signature.get("key_form", "text")
        written = {"hex": text.hex(), "base64": base64.b64encode(text).decode()}
        found[auth.signature["key"]] = written.get(form, text.decode())
    return found


def is_authorized(
    request: Request, auth: Auth | None, credentials: Mapping[str, str], state: VendorState, now: float
) -> bool:
    """Return whether a request carries valid credentials, or a valid token.

    Args:
        request: The request.
        auth: How clients authenticate; None if they do not.
        credentials: The accepted credentials.
        state: State of the vendor.
        now: Epoch seconds.
    """
    if auth is None:
        return True
    if auth.signature is not None:
        return is_signed(request, auth, credentials, now)
    if auth.kind == "basic":
        pair = f"{credentials[auth.user]}:{credentials[auth.password]}".encode()
        return _same(request.headers.get("Authorization", ""), f"Basic {base64.b64encode(pair).decode()}")
    captured: dict[str, Any] = {}
    for name, template in auth.headers.items():
        try:
            captured |= capture_text(template, request.headers.get(name, ""))
        except MismatchError:
            return False
    return _are_valid(captured, credentials) and ("token" not in captured or _is_token(captured["token"], state, now))


def may_have_token(request: Request, auth: Auth, credentials: Mapping[str, str], now: float) -> bool | None:
    """Return whether a token call has the accepted credentials; None if its body is another one.

    Args:
        request: The request.
        auth: How clients authenticate: with a token call.
        credentials: The accepted credentials.
        now: Epoch seconds.

    Raises:
        BadBodyError: If the body has more than 1 MiB.
    """
    call, body = auth.token, responses.read_body(request)
    if call is None:
        return None
    try:
        captured = capture(call.json, json.loads(body)) if call.json is not None else {}
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        captured |= capture(call.form, form) if call.form is not None else {}
        for name, template in call.headers.items():
            captured |= capture_text(template, request.headers.get(name, "")) if names_of(template) else {}
    except (MismatchError, ValueError, RecursionError):
        return None
    if auth.assertion is not None and not _is_assertion(str(captured.get("assertion", "")), auth, credentials, now):
        return False
    return _are_valid(captured, credentials)


def _is_assertion(token: str, auth: Auth, credentials: Mapping[str, str], now: float) -> bool:
    """Return whether a JSON Web Token has the claims of the vendor spec, is signed by the key, and is valid now."""
    rules = auth.assertion or {}
    try:
        header, claims = claims_of(token, rules.get("algorithm", "RS256"))
        captured = capture(rules["claims"], claims) | capture(rules.get("headers") or {}, header)
    except (BadTokenError, MismatchError):
        return False
    known = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    is_number = all(isinstance(value, int) and not isinstance(value, bool) for value in known.values())
    if not is_number or "exp" not in known or known["exp"] <= now - _CLOCK_SKEW:
        return False
    begins = max(known.get("nbf", 0), known.get("iat", 0))
    return begins <= now + _CLOCK_SKEW and _are_valid(captured, credentials)


def token(state: VendorState, now: float, lifetime: int) -> str:
    """Return a token that is valid for `lifetime` seconds."""
    claims = f"{int(now) + lifetime}.{state.generation}"
    return f"{claims}.{state.hmac_digest(f'token {claims}'.encode()).hex()}"


def _is_token(text: object, state: VendorState, now: float) -> bool:
    """Return whether a token was issued by the mock, and is neither expired nor revoked."""
    claims, _, signature = str(text).rpartition(".")
    if not _same(state.hmac_digest(f"token {claims}".encode()).hex(), signature):
        return False
    expires, _, generation = claims.partition(".")
    return now < int(expires) and int(generation) == state.generation


def _are_valid(captured: Mapping[str, Any], credentials: Mapping[str, str]) -> bool:
    """Return whether all credentials in a request are accepted."""
    sent = {name.removeprefix("credentials."): value for name, value in captured.items() if "credentials." in name}
    return all(_same(str(value), credentials.get(name, "")) for name, value in sent.items())


def _same(expected: str, actual: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(expected.encode(), actual.encode())
