"""Pydantic models of `connection.auth` of a `vendor.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from batchsync.core.vendor_auth import AuthKind, ByteForm, HmacDigest, JwtAlgorithm, KeyForm
from batchsync.spec.record_spec import Text
from batchsync.spec.vendor_call_models import CallModel, Documented, Duration
from batchsync.spec.vendor_problems import BASE_URL


class AssertionModel(Documented):
    """JSON Web Token that the token call sends as `{assertion}`, signed with a private key (RFC 7523).

    `key` is the credential with the key in PEM. `claims` and `headers` may use `{credentials.NAME}`, times such as
    `{time.unix}`, `{time.end}` after `lifetime`, `{nonce}` and `{token_url}`.
    """

    algorithm: JwtAlgorithm = JwtAlgorithm.RS256
    key: Text
    claims: Annotated[dict[Text, JsonValue], Field(min_length=1)]
    headers: dict[Text, Text] = Field(default_factory=dict)
    lifetime: Duration = "3m"


class SignatureModel(Documented):
    """HMAC of each API request, which `headers` send as `{signature}`.

    `text` is what is signed: a template over parts of the request, digests of its body, times and credentials.
    """

    key: Text
    key_form: KeyForm = KeyForm.TEXT
    digest: HmacDigest = HmacDigest.SHA256
    form: ByteForm = ByteForm.HEX
    text: Text


class AuthModel(Documented):
    """Authentication of a connection. `base_url` is that of the token call, if it is not the one of the API."""

    kind: AuthKind
    base_url: Annotated[str, Field(pattern=BASE_URL)] | None = None
    headers: dict[Text, Text] = Field(default_factory=dict)
    user: str = ""
    password: str = ""
    token: CallModel | None = None
    renew_before: Duration = "60s"
    lifetime: Duration = "5m"
    assertion: AssertionModel | None = None
    signature: SignatureModel | None = None
