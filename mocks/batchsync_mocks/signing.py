"""Signed storage URLs in two dialects, and every reason to refuse one.

GCS V4 looks (`X-Goog-*`, Motorweb) and S3 query signatures of version 2 (`AWSAccessKeyId`, Sitecore). The signature is
our own HMAC over what the real one covers. It does not know files or the clock: secret and moment come in as arguments.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from lading_mocks import moments

GCS_LONGEST = 604_800
ENCRYPTION = "x-amz-server-side-encryption"
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a storage request is turned away: HTTP status, the XML's code and message, further XML elements."""

    status: int
    code: str
    message: str
    more: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it reached storage: the path as sent (still encoded), decoded query pairs, lower-case headers."""

    verb: str
    path: str
    query: Pairs
    headers: Mapping[str, str]


def gcs_url(base: str, call: Call, *, secret: bytes, now: float, lifetime: int) -> str:
    """Sign a GCS V4-looking URL for one verb and path, good for `lifetime` seconds from `now`."""
    date = moments.compact(now)
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
    """Judge a request to storage; None when the signature is good.

    The answers to a broken date, an expired and a changed URL are those seen at GCS (motorweb-bdp.md, S5 to S7). That
    an Authorization header is refused is a test aid of ours, and so are the words for it.
    """
    if "authorization" in call.headers:
        message = "Only one auth mechanism allowed: this URL is signed, send no Authorization header."
        return Refusal(status=400, code="InvalidArgument", message=message)
    given = dict(call.query)
    if "X-Goog-Signature" not in given:
        return Refusal(status=403, code="AccessDenied", message="Access denied.")
    start, lifetime = moments.parse_compact(given.get("X-Goog-Date", "")), given.get("X-Goog-Expires", "")
    if start is None or not re.fullmatch(r"[1-9]\d{0,6}", lifetime, re.ASCII) or int(lifetime) > GCS_LONGEST:
        message = "Your request has a malformed header."
        return Refusal(status=400, code="MalformedSecurityHeader", message=message)
    rest = [(name, value) for name, value in call.query if name != "X-Goog-Signature"]
    unsigned = any(name.startswith("x-goog-") for name in call.headers)
    expected = _gcs_signature(call.verb, call.path, rest, secret)
    if unsigned or not _same(expected, given["X-Goog-Signature"]):
        return mismatch()
    if now >= start + int(lifetime):
        return gcs_expired(start + int(lifetime))
    return None


def gcs_expired(at: float) -> Refusal:
    """Refuse a URL that was good until `at`."""
    expired = f"Request signature expired at: {moments.seconds(at)}"
    message = "The provided token has expired."
    return Refusal(status=400, code="ExpiredToken", message=message, more=(("Details", expired),))


def s3_url(base: str, call: Call, *, secret: bytes, expires: int, access_key: str) -> str:
    """Sign an S3-looking URL for one verb, path and set of `x-amz-*` headers, good until `expires` (epoch seconds)."""
    signature = _s3_signature(call, str(expires), secret)
    query = [("AWSAccessKeyId", access_key), ("Expires", str(expires)), ("Signature", signature)]
    return f"{base}{call.path}?{urlencode(query, quote_via=quote, safe='')}"


def s3_refusal(call: Call, *, secret: bytes, now: float, access_key: str) -> Refusal | None:
    """Judge a request to storage; None when the signature is good (sitecore-cdp.md, 3.2)."""
    given = dict(call.query)
    if "authorization" in call.headers:
        message = (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified"
        )
        return Refusal(status=400, code="InvalidArgument", message=message)
    expires = given.get("Expires", "")
    if "Signature" not in given or not re.fullmatch(r"\d{1,12}", expires, re.ASCII):
        return Refusal(status=403, code="AccessDenied", message="Access Denied")
    if now >= int(expires):
        return s3_expired(int(expires), now)
    known = sorted(name for name, _ in call.query) == ["AWSAccessKeyId", "Expires", "Signature"]
    known = known and given["AWSAccessKeyId"] == access_key
    if not known or not _same(_s3_signature(call, expires, secret), given["Signature"]):
        return mismatch()
    return None


def s3_expired(at: float, now: float) -> Refusal:
    """Refuse a URL that was good until `at`."""
    more = (("Expires", moments.seconds(at)), ("ServerTime", moments.seconds(now)))
    return Refusal(status=403, code="AccessDenied", message="Request has expired", more=more)


def digest_refusal(content_md5: str | None) -> Refusal | None:
    """Judge a `Content-Md5` header before the body is read: it is the base64 of the 16 raw bytes, or absent."""
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
    """Compare a `Content-Md5` header with the hex MD5 of the body that arrived."""
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
    canonical = "\n".join([verb, path, *(f"{name}={value}" for name, value in sorted(query))])
    return hmac.new(secret, canonical.encode(), hashlib.sha512).hexdigest()


def _s3_signature(call: Call, expires: str, secret: bytes) -> str:
    amazon = [f"{name}:{value}" for name, value in sorted(call.headers.items()) if name.startswith("x-amz-")]
    canonical = "\n".join([call.verb, expires, *amazon, call.path])
    return base64.b64encode(hmac.digest(secret, canonical.encode(), "sha1")).decode()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def mismatch() -> Refusal:
    """Refuse a request that is not the one that was signed."""
    message = "The request signature we calculated does not match the signature you provided."
    return Refusal(status=403, code="SignatureDoesNotMatch", message=message)
