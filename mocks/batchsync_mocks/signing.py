"""Signed storage URLs: creation and verification.

Two formats: GCS V4 (`X-Goog-*`, Motorweb) and S3 query signatures of version 2 (`AWSAccessKeyId`, Sitecore). The
signature is an HMAC of the mocks over the fields that the real signature covers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from batchsync_mocks import datetimes

GCS_MAX_LIFETIME = 604_800
ENCRYPTION = "x-amz-server-side-encryption"
OTHER_CALL = "method, host, path or query are not those that were signed"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Refusal of a storage request.

    Attributes:
        status: HTTP status.
        code: Code of the XML error.
        message: Message of the XML error.
        more: Further XML elements.
        cause: What the client did wrong, for the status page; storage does not say it.
    """

    status: int
    code: str
    message: str
    more: tuple[tuple[str, str], ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A storage request: path as sent (still encoded), decoded query pairs, headers with lower-case names."""

    verb: str
    path: str
    query: Pairs
    headers: Mapping[str, str]


def gcs_url(base: str, call: Call, *, secret: bytes, now: float, lifetime: int) -> str:
    """Return a signed URL in the format of GCS V4.

    Args:
        base: Scheme and host.
        call: Verb and path to sign.
        secret: Key of the HMAC.
        now: Start of validity, in epoch seconds.
        lifetime: Validity in seconds.
    """
    date = datetimes.format_compact(now)
    scope = f"mock@batch-self-service.iam.gserviceaccount.com/{date[:8]}/us-central1/storage/goog4_request"
    query = [
        ("X-Goog-Algorithm", "GOOG4-RSA-SHA256"),
        ("X-Goog-Credential", scope),
        ("X-Goog-Date", date),
        ("X-Goog-Expires", str(lifetime)),
        ("X-Goog-SignedHeaders", "host"),
    ]
    signature = _gcs_signature(call.verb, call.path, query, secret)
    return f"{base}{call.path}?{urlencode([*query, ('X-Goog-Signature', signature)], quote_via=quote, safe='')}"


def gcs_refusal(call: Call, *, secret: bytes, now: float) -> Refusal | None:
    """Verify a request with a GCS signature.

    The responses to an invalid date, an expired and a changed URL are those observed at GCS (motorweb-bdp.md, S5 to
    S7). Refusing an Authorization header is an addition of the mocks, to help tests.

    Args:
        call: The request.
        secret: Key of the HMAC.
        now: Time of the request, in epoch seconds.

    Returns:
        The refusal; None if the request is valid.
    """
    if "authorization" in call.headers:
        message = "Only one auth mechanism allowed: this URL is signed, send no Authorization header."
        return Refusal(status=400, code="InvalidArgument", message=message)
    query = dict(call.query)
    if "X-Goog-Signature" not in query:
        return Refusal(status=403, code="AccessDenied", message="Access denied.")
    start, lifetime = datetimes.parse_compact(query.get("X-Goog-Date", "")), query.get("X-Goog-Expires", "")
    if start is None or not re.fullmatch(r"[1-9]\d{0,6}", lifetime, re.ASCII) or int(lifetime) > GCS_MAX_LIFETIME:
        message = "Your request has a malformed header."
        return Refusal(status=400, code="MalformedSecurityHeader", message=message)
    rest = [(name, value) for name, value in call.query if name != "X-Goog-Signature"]
    unsigned = sorted(name for name in call.headers if name.startswith("x-goog-"))
    expected = _gcs_signature(call.verb, call.path, rest, secret)
    if unsigned or not _same(expected, query["X-Goog-Signature"]):
        return mismatch(f"{unsigned[0]} is sent, but not signed" if unsigned else OTHER_CALL)
    if now >= start + int(lifetime):
        return gcs_expired(start + int(lifetime))
    return None


def gcs_expired(at: float) -> Refusal:
    """Return the refusal of a URL that expired at `at` (epoch seconds)."""
    expired = f"Request signature expired at: {datetimes.format_seconds(at)}"
    message = "The provided token has expired."
    return Refusal(status=400, code="ExpiredToken", message=message, more=(("Details", expired),))


def s3_url(base: str, call: Call, *, secret: bytes, expires: int, access_key: str) -> str:
    """Return a signed URL in the format of S3 signature version 2.

    Args:
        base: Scheme and host.
        call: Verb, path and `x-amz-*` headers to sign.
        secret: Key of the HMAC.
        expires: End of validity, in epoch seconds.
        access_key: Value of `AWSAccessKeyId`.
    """
    signature = _s3_signature(call, str(expires), secret)
    query = [("AWSAccessKeyId", access_key), ("Expires", str(expires)), ("Signature", signature)]
    return f"{base}{call.path}?{urlencode(query, quote_via=quote, safe='')}"


def s3_refusal(call: Call, *, secret: bytes, now: float, access_key: str) -> Refusal | None:
    """Verify a request with an S3 signature (sitecore-cdp.md, 3.2).

    Args:
        call: The request.
        secret: Key of the HMAC.
        now: Time of the request, in epoch seconds.
        access_key: Expected value of `AWSAccessKeyId`.

    Returns:
        The refusal; None if the request is valid.
    """
    query = dict(call.query)
    if "authorization" in call.headers:
        message = (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified"
        )
        return Refusal(status=400, code="InvalidArgument", message=message)
    expires = query.get("Expires", "")
    if "Signature" not in query or not re.fullmatch(r"\d{1,12}", expires, re.ASCII):
        return Refusal(status=403, code="AccessDenied", message="Access Denied")
    if now >= int(expires):
        return s3_expired(int(expires), now)
    known = sorted(name for name, _ in call.query) == ["AWSAccessKeyId", "Expires", "Signature"]
    known = known and query["AWSAccessKeyId"] == access_key
    if not known or not _same(_s3_signature(call, expires, secret), query["Signature"]):
        return mismatch()
    return None


def s3_expired(at: float, now: float) -> Refusal:
    """Return the refusal of a URL that expired at `at` (epoch seconds)."""
    more = (("Expires", datetimes.format_seconds(at)), ("ServerTime", datetimes.format_seconds(now)))
    return Refusal(status=403, code="AccessDenied", message="Request has expired", more=more)


def digest_refusal(content_md5: str | None) -> Refusal | None:
    """Return the refusal of a malformed `Content-Md5` header; None if it is base64 of 16 bytes, or absent (None)."""
    if content_md5 is None:
        return None
    try:
        raw = base64.b64decode(content_md5, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != hashlib.md5(usedforsecurity=False).digest_size:
        return Refusal(status=400, code="InvalidDigest", message="The Content-MD5 you specified was invalid.")
    return None


def body_refusal(content_md5: str | None, md5: str) -> Refusal | None:
    """Return the refusal of a body with another MD5 (hex) than its `Content-Md5` header; None if they match."""
    computed = base64.b64encode(bytes.fromhex(md5)).decode()
    if content_md5 is None or content_md5 == computed:
        return None
    return Refusal(
        status=400,
        code="BadDigest",
        message="The Content-MD5 you specified did not match what we received.",
        more=(("ExpectedDigest", content_md5), ("CalculatedDigest", computed)),
    )


def _gcs_signature(verb: str, path: str, query: Pairs, secret: bytes) -> str:
    """Return the signature in hex, over verb, path and query."""
    canonical = "\n".join([verb, path, *(f"{name}={value}" for name, value in sorted(query))])
    return hmac.new(secret, canonical.encode(), hashlib.sha512).hexdigest()


def _s3_signature(call: Call, expires: str, secret: bytes) -> str:
    """Return the signature in base64, over verb, expiry, `x-amz-*` headers and path."""
    amz_headers = [f"{name}:{value}" for name, value in sorted(call.headers.items()) if name.startswith("x-amz-")]
    canonical = "\n".join([call.verb, expires, *amz_headers, call.path])
    return base64.b64encode(hmac.digest(secret, canonical.encode(), "sha1")).decode()


def _same(expected: str, actual: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(expected.encode(), actual.encode())


def mismatch(cause: str = OTHER_CALL) -> Refusal:
    """Return the refusal of a request that differs from the signed request, in the given way."""
    message = "The request signature we calculated does not match the signature you provided."
    return Refusal(status=403, code="SignatureDoesNotMatch", message=message, cause=cause)
