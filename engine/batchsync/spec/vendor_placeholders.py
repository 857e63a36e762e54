"""Check which placeholders the calls of a `vendor.yaml` use: each call has values for some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from batchsync.core.vendor_auth import CLAIM_PLACEHOLDERS, MOMENT_PLACEHOLDERS, RAW_BODY, REQUEST_PLACEHOLDERS
from batchsync.core.vendor_calls import PLACEHOLDER, CallName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.spec.vendor_auth_models import AuthModel
    from batchsync.spec.vendor_call_models import CallModel, DownloadModel
    from batchsync.spec.vendor_model import VendorModel

_KEY = frozenset({"idempotency_key"})
_FILE = frozenset(f"file.{item}" for item in ("md5", "md5_base64", "size", "name"))
_ID = frozenset({"allocation.id"})
#: Placeholders of each call besides those of `params`. The URL of an upload is not kept after it.
_OF_CALLS = {
    CallName.ALLOCATE: _KEY | _FILE,
    CallName.FIND: _KEY,
    CallName.UPLOAD: _ID | _FILE | {"allocation.url"},
    CallName.COMMIT: _ID | _FILE,
    CallName.POLL: _ID,
    CallName.CANCEL: _ID,
}

Scope = tuple[str, Any, frozenset[str]]


def placeholders_of(text: str) -> Iterator[str]:
    """Yield the full names of the placeholders in a text."""
    yield from (match[1] for match in PLACEHOLDER.finditer(text))


def check_placeholders(model: VendorModel) -> Iterator[tuple[str, str]]:
    """Yield path and message of each placeholder that is unknown, or has no value where it is used, and of each brace.

    Args:
        model: A `vendor.yaml` of valid types.
    """
    scopes = list(_scopes(model))
    known = frozenset[str]().union(*(names for _, _, names in scopes))
    for at, node, names in scopes:
        for place, text in _texts(node, at):
            for placeholder in placeholders_of(text):
                if placeholder not in known:
                    yield place, f"unknown placeholder {placeholder}"
                elif placeholder not in names:
                    usable = ", ".join(sorted(names)) or "none"
                    yield place, f"{{{placeholder}}} has no value in this call; placeholders with a value: {usable}"
            if set("{}") & set(PLACEHOLDER.sub("", text)):
                yield place, "brace outside of a placeholder"


def _scopes(model: VendorModel) -> Iterator[Scope]:
    """Yield path, value and known placeholders of each part of a spec that is filled."""
    target = frozenset(f"target.{key}" for key in model.target.keys)
    secrets = frozenset(f"credentials.{name}" for name in model.connection.credentials)
    auth, describe, params = model.connection.auth, model.describe, frozenset[str]()
    if auth is not None:
        yield from _of_auth(auth, secrets)
    if describe is not None:
        params = frozenset(f"params.{name}" for name in describe.params)
        params |= {f"params.{describe.choice.param}"} if describe.choice else frozenset()
        yield "describe.params", describe.params, target | {"mode"}
        calls = {"check": describe.check, "choice.call": describe.choice and describe.choice.call}
        yield from ((f"describe.{name}", _dumped(call), target) for name, call in calls.items() if call)
        if describe.template is not None:
            yield "describe.template", _dumped(describe.template), target | params
    for number, call in enumerate(model.calls):
        yield f"calls.{number}", _dumped(call), _OF_CALLS[call.call] | params
    yield from _of_downloads(model, params)


def _of_auth(auth: AuthModel, secrets: frozenset[str]) -> Iterator[Scope]:
    """Yield path, value and known placeholders of each part of the authentication."""
    at = "connection.auth"
    sent = secrets | ({"token"} if auth.token is not None else set())
    if auth.signature is not None:
        signed = secrets | REQUEST_PLACEHOLDERS | MOMENT_PLACEHOLDERS
        yield f"{at}.signature.text", auth.signature.text, signed | {RAW_BODY}
        sent = signed | {"signature"}
    yield f"{at}.headers", auth.headers, sent
    if auth.assertion is not None:
        for part in ("claims", "headers"):
            yield f"{at}.assertion.{part}", getattr(auth.assertion, part), secrets | CLAIM_PLACEHOLDERS
    if auth.token is not None:
        known = secrets | ({"assertion"} if auth.assertion is not None else set())
        yield f"{at}.token", _dumped(auth.token), known


def _of_downloads(model: VendorModel, params: frozenset[str]) -> Iterator[Scope]:
    """Yield path, value and known placeholders of each call after the verdict."""
    if model.counts is not None:
        yield "counts", _dumped(model.counts), _ID | params
    for at, download in downloads_of(model):
        found = _ID | params
        for number, locate in enumerate(download.locate):
            place = f"{at}.locate.{number}" if len(download.locate) > 1 else f"{at}.locate"
            yield place, _dumped(locate), found
            found |= {f"found.{name}" for name in locate.read}
        yield f"{at}.call", _dumped(download.call), found


def downloads_of(model: VendorModel) -> Iterator[tuple[str, DownloadModel]]:
    """Yield path and model of each document that is downloaded.

    Args:
        model: A `vendor.yaml` of valid types.
    """
    for number, download in enumerate(model.errors.downloads if model.errors else ()):
        yield f"errors.downloads.{number}", download
    for at, one in (("results", model.results), ("unprocessed", model.unprocessed)):
        if one is not None:
            yield at, one


def _dumped(call: CallModel) -> dict[str, Any]:
    """Return what a request is made of."""
    return call.model_dump(
        by_alias=True, include={"url", "headers", "json_body", "form", "item", "parts"}, exclude_none=True
    )


def _texts(node: Any, at: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every string below a node."""
    if isinstance(node, str):
        yield at, str(node)
    elif isinstance(node, Mapping):
        for name, child in node.items():
            yield from _texts(child, f"{at}.{name}" if at else str(name))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _texts(child, f"{at}.{number}")
