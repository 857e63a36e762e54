"""Authentication of API requests as frozen values: fixed headers, tokens, signed assertions and signed requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class AuthKind(StrEnum):
    """Kind of authentication."""

    BASIC = "basic"
    OAUTH2 = "oauth2_client_credentials"
    HEADER = "header"
    #: each request is signed with a shared key
    HMAC = "hmac"


class JwtAlgorithm(StrEnum):
    """Algorithm that signs an assertion with a private key (RFC 7518, section 3.1)."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    ES256 = "ES256"
    ES384 = "ES384"


class HmacDigest(StrEnum):
    """Hash function of an HMAC."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class ByteForm(StrEnum):
    """Bytes as text."""

    HEX = "hex"
    BASE64 = "base64"
    BASE64URL = "base64url"


class KeyForm(StrEnum):
    """What the text of a shared key is."""

    TEXT = "text"
    HEX = "hex"
    BASE64 = "base64"


#: Placeholders of times and random values, which are the same in all texts of one request.
MOMENT_PLACEHOLDERS = frozenset(
    {"time.unix", "time.unix_ms", "time.iso", "time.basic", "time.date", "time.http", "nonce"}
)
#: Placeholders of claims besides those: the end of validity, and the absolute URL of the token call.
CLAIM_PLACEHOLDERS = MOMENT_PLACEHOLDERS | {"time.end", "token_url"}
#: Placeholders of what an HMAC signs besides those of times: parts of the request and digests of its body.
REQUEST_PLACEHOLDERS = frozenset(
    {f"request.{part}" for part in ("method", "url", "host", "path", "query", "sorted_query", "content_type")}
    | {f"body.{digest}_{form}" for digest in ("md5", "sha1", "sha256", "sha512") for form in ("hex", "base64")}
    | {"body.size"}
)
#: The bytes of the body, in the signed text alone.
RAW_BODY = "body.raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """JSON Web Token that a token call sends as `{assertion}` (RFC 7523), signed with a private key.

    `key` names the credential that is the key in PEM. `claims` and `headers` are templates over `{credentials.x}`,
    `{token_url}` and `CLAIM_PLACEHOLDERS`; a claim that is a single placeholder keeps the type of its value, so that
    times are numbers. `lifetime` is the time until `{time.end}`.
    """

    key: str
    claims: Mapping[str, object]
    algorithm: JwtAlgorithm = JwtAlgorithm.RS256
    headers: Mapping[str, str] = field(default_factory=dict)
    lifetime: timedelta = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSignature:
    """HMAC of each API request, which headers send as `{signature}`.

    `key` names the credential that is the key, whose text is a `key_form`. `text` is the template of what is signed,
    over `REQUEST_PLACEHOLDERS`, `MOMENT_PLACEHOLDERS`, `{credentials.x}` and `{body.raw}`. `form` is that of the
    signature.
    """

    key: str
    text: str
    digest: HmacDigest = HmacDigest.SHA256
    form: ByteForm = ByteForm.HEX
    key_form: KeyForm = KeyForm.TEXT
