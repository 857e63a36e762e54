"""Check credentials and authentication of a `vendor.yaml`: what the pydantic models cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.core.storage_location import host_matches
from batchsync.core.vendor_auth import AuthKind
from batchsync.spec.vendor_placeholders import placeholders_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.spec.vendor_auth_models import AuthModel
    from batchsync.spec.vendor_model import VendorModel

_AT = "connection.auth"


def check_auth(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of missing, undefined and unusable credentials.

    Args:
        model: A `vendor.yaml` of valid types.
    """
    auth, credentials = model.connection.auth, model.connection.credentials
    if model.connection.account not in credentials:
        yield "connection.account", "must be one of credentials"
    if auth is None:
        return
    if auth.base_url is not None and not host_matches(
        auth.base_url.removeprefix("https://"), model.connection.api_hosts
    ):
        yield f"{_AT}.base_url", "must be one of api_hosts"
    if auth.kind is AuthKind.BASIC:
        for name in ("user", "password"):
            if getattr(auth, name) not in credentials:
                yield f"{_AT}.{name}", "must name one of credentials"
    elif not auth.headers:
        yield f"{_AT}.headers", "must define the headers that carry the credentials"
    if auth.kind is AuthKind.OAUTH2 and (auth.token is None or "token" not in auth.token.read):
        yield f"{_AT}.token", "must be a call that reads token"
    yield from _check_assertion(auth, credentials)
    yield from _check_signature(auth, credentials)


def _check_assertion(auth: AuthModel, credentials: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and message of an assertion that has no key, or that no call sends."""
    if auth.assertion is None:
        return
    if auth.assertion.key not in credentials:
        yield f"{_AT}.assertion.key", "must name one of credentials"
    sent = [] if auth.token is None else [auth.token.headers, auth.token.json_body, auth.token.form]
    if "assertion" not in placeholders_of(json.dumps(sent)):
        yield f"{_AT}.assertion", "must be sent by the token call, as {assertion}"
    if f"{{credentials.{auth.assertion.key}}}" in json.dumps([auth.headers, *sent, auth.assertion.claims]):
        yield f"{_AT}.assertion.key", "must not be sent: the key signs"


def _check_signature(auth: AuthModel, credentials: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and message of a signature that has no key, or that no header sends."""
    if (auth.kind is AuthKind.HMAC) != (auth.signature is not None):
        yield f"{_AT}.signature", "must be given with kind: hmac, and only with it"
    if auth.signature is None:
        return
    if auth.signature.key not in credentials:
        yield f"{_AT}.signature.key", "must name one of credentials"
    sent = json.dumps(auth.headers)
    if "signature" not in placeholders_of(sent):
        yield f"{_AT}.headers", "must send {signature}"
    if f"{{credentials.{auth.signature.key}}}" in sent:
        yield f"{_AT}.signature.key", "must not be sent: the key signs"
    if auth.token is not None:
        yield f"{_AT}.token", "cannot be combined with kind: hmac"
