"""Bodies of several parts: the batch file is one of them, and the others have what the vendor spec says."""

from __future__ import annotations

import base64
import hmac
import io
import json
from typing import TYPE_CHECKING, Any

from batchsync_mocks import datetimes, responses, signing
from batchsync_mocks.generic.templates import MismatchError, capture, capture_text
from batchsync_mocks.signing import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from batchsync_mocks.generic.spec import Call
    from batchsync_mocks.vendor_state import VendorState

_KEY, _POLICY, _SIGNATURE = "key", "policy", "x-amz-signature"


def unpack(request: Request, call: Call) -> dict[str, Any]:
    """Return the values of placeholders in the parts of a body, which then is the file alone.

    Args:
        request: The request. Its stream becomes that of the part with the file.
        call: The call; one without parts has the file as its body, and no values.

    Raises:
        BadBodyError: If the body lacks a part, or a part has another content than the call sends.
    """
    if not call.parts:
        return {}
    captured: dict[str, Any] = {}
    for part in call.parts:
        if not part.get("fields"):
            captured |= _captured(request, part)
    return captured


def _captured(request: Request, part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of placeholders in a part; that of the file becomes the stream of the request."""
    name = str(part["name"])
    text = request.form.get(name)
    try:
        if part.get("file"):
            vars(request)["stream"] = _file(request, name, text)
            return {}
        if "json" in part:
            return capture(part["json"], json.loads(text or ""))
        return capture_text(str(part["text"]), text or "")
    except (MismatchError, ValueError, RecursionError):
        msg = f"The part {name} is missing, or has another content."
        raise responses.BadBodyError(msg) from None


def _file(request: Request, name: str, text: str | None) -> Any:
    """Return the stream of the part with the file; one without a file name is a text."""
    if name in request.files:
        return request.files[name].stream
    if text is None:
        raise MismatchError
    return io.BytesIO(text.encode())


def has_fields(call: Call) -> bool:
    """Return whether an upload is a form with signed fields."""
    return any(part.get("fields") for part in call.parts)


def signed_fields(state: VendorState, path: str, *, expires: int) -> dict[str, str]:
    """Return the fields that permit an upload to a path, in the form of an S3 POST policy.

    Args:
        state: State of the vendor; its secret signs.
        path: Path of the upload.
        expires: End of validity, in epoch seconds.
    """
    conditions = {"expiration": datetimes.format_millis(expires), "conditions": [{_KEY: path.lstrip("/")}]}
    policy = base64.b64encode(json.dumps(conditions).encode()).decode()
    signature = state.hmac_digest(f"POST {policy}".encode()).hex()
    return {_KEY: path.lstrip("/"), _POLICY: policy, "x-amz-algorithm": "AWS4-HMAC-SHA256", _SIGNATURE: signature}


def refusal(request: Request, state: VendorState, now: float) -> Refusal | None:
    """Return why a form with signed fields is refused; None if it is not.

    Args:
        request: The request.
        state: State of the vendor.
        now: Time of the request, in epoch seconds.
    """
    form: Mapping[str, str] = request.form
    policy = form.get(_POLICY, "")
    expected = state.hmac_digest(f"POST {policy}".encode()).hex()
    if not hmac.compare_digest(expected.encode(), form.get(_SIGNATURE, "").encode()):
        return signing.mismatch()
    document = json.loads(base64.b64decode(policy))
    if any(form.get(name) != value for item in document["conditions"] for name, value in item.items()):
        message = "Invalid according to Policy: Policy Condition failed"
        return Refusal(status=403, code="AccessDenied", message=message)
    if now >= (datetimes.parse(document["expiration"]) or 0):
        return Refusal(status=403, code="AccessDenied", message="Invalid according to Policy: Policy expired.")
    return None
