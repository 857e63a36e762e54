"""Causes of refused requests to the Sitecore mock, for its status page. The vendor's answers do not contain them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync_mocks import signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync_mocks.batches import Batch


def access_cause(scheme: str) -> str:
    """Return why a request has no access, by the scheme of its `Authorization` header."""
    if not scheme:
        return "no Authorization header was sent"
    if scheme.lower() != "basic":
        return "the scheme of the Authorization header is not Basic"
    return "client key and token are not those of the mock"


def with_cause(refusal: signing.Refusal, call: signing.Call, signed: Mapping[str, str]) -> signing.Refusal:
    """Add to a mismatch of signatures which header of an upload is not as it was signed.

    Args:
        refusal: The refusal.
        call: The upload.
        signed: Headers that its URL signs, besides `host`.

    Returns:
        The refusal, with its cause if a header is the cause.
    """
    if refusal.code != "SignatureDoesNotMatch" or refusal.cause != signing.OTHER_CALL:
        return refusal
    for name, value in signed.items():
        sent = call.headers.get(name)
        if sent is None:
            return replace(refusal, cause=f"the header {name} is missing; the URL signs {value}")
        if sent != value:
            return replace(refusal, cause=f"the header {name} is {sent[:80]}; the URL signs {value}")
    return refusal


def difference(batch: Batch) -> str:
    """Return how an upload differs from what was announced for a batch; empty if there is no upload."""
    upload, announced = batch.upload, batch.details
    if upload is None:
        return ""
    found = []
    if upload.size != announced["size"]:
        found.append(f"{upload.size} bytes arrived, {announced['size']} were announced")
    if upload.md5 != announced["checksum"]:
        case = " (upper case)" if upload.md5 == announced["checksum"].lower() else ""
        found.append(f"the MD5 is {upload.md5}, {announced['checksum']}{case} was announced")
    return "; ".join(found)
