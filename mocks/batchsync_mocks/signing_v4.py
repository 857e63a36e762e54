"""Signed URLs of AWS Signature V4, created and verified as S3 does, with a key of the mocks.

The form, and the order of the parameters, is that of botocore's presigned URLs:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from batchsync_mocks import datetimes
from batchsync_mocks.signing import Call, Refusal, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
#: Seconds of the longest validity.
MAX_LIFETIME = 604_800
_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
_SIGNATURE = "X-Amz-Signature"
_INVALID = "AuthorizationQueryParametersError"
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Temporary credentials of the storage account that signs: id of the key, its secret, and the session token."""

    key_id: str
    secret: bytes
    token: str
    region: str = "eu-west-1"


def signed_url(base: str, call: Call, account: Account, *, now: float, lifetime: int) -> str:
    """Return a signed URL.

    Args:
        base: Scheme and host.
        call: Verb, path and the headers that a request has to send as they are here; `host` is among them.
        account: The signing account.
        now: Start of validity, in epoch seconds.
        lifetime: Validity in seconds.
    """
    date = datetimes.format_compact(now)
    query = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{account.key_id}/{date[:8]}/{account.region}/s3/aws4_request",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(lifetime),
        "X-Amz-SignedHeaders": ";".join(sorted(call.headers)),
        "X-Amz-Security-Token": account.token,
    }
    signature = signature_of(call, query, sorted(call.headers), account)
    return f"{base}{call.path}?{_encoded([*query.items(), (_SIGNATURE, signature)])}"


def refusal(call: Call, account: Account, *, now: float) -> Refusal | None:
    """Verify a request to a signed URL.

    Args:
        call: The request.
        account: The account that signed it.
        now: Time of the request, in epoch seconds.

    Returns:
        The refusal; None if the request is valid.
    """
    query = dict(call.query)
    if found := _unusable(call, query) or _out_of_date(query, now):
        return found
    signed = query["X-Amz-SignedHeaders"].split(";")
    left_out = sorted(name for name in call.headers if name.startswith("x-amz-") and name not in signed)
    if left_out:
        message = "There were headers present in the request which were not signed"
        return Refusal(
            status=403, code="AccessDenied", message=message, more=(("HeadersNotSigned", ", ".join(left_out)),)
        )
    rest = {name: value for name, value in query.items() if name != _SIGNATURE}
    expected = signature_of(call, rest, signed, account)
    known = len(query) == len(call.query) and sorted(query) == sorted(_PARAMETERS)
    is_valid = known and hmac.compare_digest(expected.encode(), query[_SIGNATURE].encode())
    return None if is_valid else mismatch()


def _unusable(call: Call, query: Mapping[str, str]) -> Refusal | None:
    """Return the refusal of a request that is not authorized by the parameters of its URL alone."""
    if "authorization" in call.headers:
        message = (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified"
        )
        return Refusal(status=400, code="InvalidArgument", message=message)
    if _SIGNATURE not in query:
        return Refusal(status=403, code="AccessDenied", message="Access Denied")
    problem = _query_problem(query)
    return Refusal(status=400, code=_INVALID, message=problem) if problem else None


def _out_of_date(query: Mapping[str, str], now: float) -> Refusal | None:
    """Return the refusal of a request whose parameters are valid, if its URL has expired."""
    lifetime = int(query["X-Amz-Expires"])
    ends_at = (datetimes.parse_compact(query["X-Amz-Date"]) or 0) + lifetime
    return expired(ends_at, now, lifetime=lifetime) if now >= ends_at else None


def expired(at: float, now: float, *, lifetime: int) -> Refusal:
    """Return the refusal of a URL that expired.

    Args:
        at: End of its validity, in epoch seconds.
        now: Time of the request, in epoch seconds.
        lifetime: Its validity in seconds.
    """
    more = (
        ("X-Amz-Expires", str(lifetime)),
        ("Expires", datetimes.format_seconds(at)),
        ("ServerTime", datetimes.format_seconds(now)),
    )
    return Refusal(status=403, code="AccessDenied", message="Request has expired", more=more)


def _query_problem(query: Mapping[str, str]) -> str:
    """Return what is wrong with the parameters of a request; empty if nothing is."""
    lifetime = query.get("X-Amz-Expires", "")
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        return f'X-Amz-Algorithm only supports "{ALGORITHM}"'
    if datetimes.parse_compact(query.get("X-Amz-Date", "")) is None:
        return "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
    if not re.fullmatch(r"[0-9]{1,9}", lifetime):
        return "X-Amz-Expires should be a number"
    if int(lifetime) > MAX_LIFETIME:
        return "X-Amz-Expires must be less than a week (in seconds) that is 604800"
    if missing := [name for name in ("X-Amz-Credential", "X-Amz-SignedHeaders") if not query.get(name)]:
        return f"Query-string authentication version 4 requires the {', '.join(missing)} parameters"
    return ""


def signature_of(call: Call, query: Mapping[str, str], signed: Iterable[str], account: Account) -> str:
    """Return the signature of a request, in hexadecimal digits.

    Args:
        call: The request; its query is not read.
        query: The parameters that are signed: all but the signature.
        signed: Names of the signed headers, in order.
        account: The signing account.
    """
    headers = [f"{name}:{_BLANKS.sub(' ', call.headers.get(name, '')).strip()}\n" for name in signed]
    canonical = "\n".join(
        [
            call.verb,
            call.path,
            _encoded(sorted(query.items())),
            "".join(headers),
            ";".join(signed),
            "UNSIGNED-PAYLOAD",
        ]
    )
    date = query["X-Amz-Date"]
    scope = f"{date[:8]}/{account.region}/s3/aws4_request"
    text = "\n".join([ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + account.secret
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _encoded(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a query in the encoding that AWS signs."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
