"""Motorweb's gateway: issues tokens for client credentials, and verifies them.

Field names and lifetime are documented (motorweb-bdp.md, 3.1 and 3.2); the error bodies are
assumed to be those of an Apigee gateway (3.3, and section 12, 10 and 11).
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from batchsync_mocks import responses

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from batchsync_mocks.vendor_state import VendorState

LIFETIME = 3599
FORM = "application/x-www-form-urlencoded"


def grant(request: Request, state: VendorState, credentials: dict[str, str], now: float) -> Response:
    """Return the response to `POST /auth/v1/token`.

    Args:
        request: The request.
        state: State of the vendor; its secret signs the token.
        credentials: `client_id` and `client_secret` to accept.
        now: Epoch seconds.
    """
    if request.mimetype != FORM:
        return _error("invalid_request", f"Content-Type must be {FORM}", 400)
    try:
        form = {name: values[0] for name, values in parse_qs(responses.read_body(request).decode("utf-8")).items()}
    except (responses.BadBodyError, UnicodeDecodeError):
        return _error("invalid_request", "The body is not a form", 400)
    missing = [name for name in ("grant_type", "client_id", "client_secret") if name not in form]
    if missing:
        return _error("invalid_request", f"Required param : {missing[0]}", 400)
    if form["grant_type"] != "client_credentials":
        return _error("unsupported_grant_type", "Unsupported grant type", 400)
    matches = [_same(form[name], credentials[name]) for name in ("client_id", "client_secret")]
    if not all(matches):
        return _error("invalid_client", "Client credentials are invalid", 401)
    return responses.json_response(
        {
            "token_type": "Bearer",
            "issued_at": str(int(now * 1000)),
            "client_id": form["client_id"],
            "access_token": _token(state, form["client_id"], now),
            "application_name": str(state.stable_uuid("application", 1)),
            "scope": "",
            "expires_in": LIFETIME,
        },
    )


def refusal(request: Request, state: VendorState, now: float) -> Response | None:
    """Return the refusal of a request with an invalid token; None if the token is valid.

    Args:
        request: The request.
        state: State of the vendor; its secret signs tokens.
        now: Epoch seconds.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = _claims(state, token) if scheme.lower() == "bearer" else None
    if claims is None:
        sent = "Authorization" in request.headers
        return no_access("it is not one of this mock" if sent else "no Authorization header was sent")
    if claims["generation"] != state.generation:
        return no_access("it was revoked")
    if now >= claims["exp"]:
        return _fault("Access Token expired", "keymanagement.service.access_token_expired")
    return None


def no_access(cause: str = "") -> Response:
    """Return the response to a missing, altered or revoked token; the cause is for the status page only."""
    return _fault("Invalid Access Token", "keymanagement.service.invalid_access_token", cause)


def _token(state: VendorState, client_id: str, now: float) -> str:
    """Return a signed JWT."""
    head = _base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"sub": client_id, "iat": int(now), "exp": int(now) + LIFETIME, "generation": state.generation}
    body = _base64url(json.dumps(claims).encode())
    return f"{head}.{body}.{_base64url(state.hmac_digest(f'{head}.{body}'.encode()))}"


def _claims(state: VendorState, token: str) -> dict[str, int] | None:
    """Return the claims of a token; None if its signature is invalid."""
    signed, _, signature = token.rpartition(".")
    if not _same(_base64url(state.hmac_digest(signed.encode())), signature):
        return None
    body = signed.partition(".")[2]
    claims: dict[str, int] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _base64url(raw: bytes) -> str:
    """Return bytes in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _same(expected: str, actual: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(expected.encode(), actual.encode())


def _error(code: str, message: str, status: int) -> Response:
    """Return an error response of the token endpoint."""
    return responses.explained(responses.json_response({"ErrorCode": code, "Error": message}, status), message)


def _fault(message: str, code: str, cause: str = "") -> Response:
    """Return an error response of the gateway with status 401; the cause is for the status page only."""
    response = responses.json_response({"fault": {"faultstring": message, "detail": {"errorcode": code}}}, 401)
    return responses.explained(response, f"{message} ({cause})" if cause else message)
