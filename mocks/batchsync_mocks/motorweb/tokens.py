"""Motorweb's gateway: hand out tokens for client credentials, and judge them.

It does not know batches. Field names and lifetime are documented (motorweb-bdp.md, 3.1 and 3.2); the error bodies are
assumed to be those of an Apigee gateway (3.3, and section 12, 10 and 11).
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from lading_mocks import answers

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from lading_mocks.memory import Memory

LIFETIME = 3599
FORM = "application/x-www-form-urlencoded"


def grant(request: Request, memory: Memory, credentials: dict[str, str], now: float) -> Response:
    """Answer `POST /auth/v1/token`."""
    if request.mimetype != FORM:
        return _no("invalid_request", f"Content-Type must be {FORM}", 400)
    try:
        form = {name: said[0] for name, said in parse_qs(answers.body_of(request).decode("utf-8")).items()}
    except (answers.BadBody, UnicodeDecodeError):
        return _no("invalid_request", "The body is not a form", 400)
    missing = [name for name in ("grant_type", "client_id", "client_secret") if name not in form]
    if missing:
        return _no("invalid_request", f"Required param : {missing[0]}", 400)
    if form["grant_type"] != "client_credentials":
        return _no("unsupported_grant_type", "Unsupported grant type", 400)
    known = [_same(form[name], credentials[name]) for name in ("client_id", "client_secret")]
    if not all(known):
        return _no("invalid_client", "Client credentials are invalid", 401)
    return answers.as_json(
        {
            "token_type": "Bearer",
            "issued_at": str(int(now * 1000)),
            "client_id": form["client_id"],
            "access_token": _token(memory, form["client_id"], now),
            "application_name": str(memory.identity("application", 1)),
            "scope": "",
            "expires_in": LIFETIME,
        },
    )


def refusal(request: Request, memory: Memory, now: float) -> Response | None:
    """Judge the Authorization header of a call; None when its token is good."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    claims = _claims(memory, token) if scheme.lower() == "bearer" else None
    if claims is None or claims["generation"] != memory.generation:
        return no_access()
    if now >= claims["exp"]:
        return _fault("Access Token expired", "keymanagement.service.access_token_expired")
    return None


def no_access() -> Response:
    """Answer to a token that is missing, changed or revoked."""
    return _fault("Invalid Access Token", "keymanagement.service.invalid_access_token")


def _token(memory: Memory, client_id: str, now: float) -> str:
    head = _packed(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"sub": client_id, "iat": int(now), "exp": int(now) + LIFETIME, "generation": memory.generation}
    body = _packed(json.dumps(claims).encode())
    return f"{head}.{body}.{_packed(memory.keyed(f'{head}.{body}'.encode()))}"


def _claims(memory: Memory, token: str) -> dict[str, int] | None:
    signed, _, signature = token.rpartition(".")
    if not _same(_packed(memory.keyed(signed.encode())), signature):
        return None
    body = signed.partition(".")[2]
    claims: dict[str, int] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _no(code: str, said: str, status: int) -> Response:
    return answers.as_json({"ErrorCode": code, "Error": said}, status)


def _fault(said: str, code: str) -> Response:
    return answers.as_json({"fault": {"faultstring": said, "detail": {"errorcode": code}}}, 401)
