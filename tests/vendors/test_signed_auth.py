"""Authentication by signatures: JSON Web Tokens with a private key, and HMACs of requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.client import HTTPConnection
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from batchsync.core.vendor_auth import Assertion, ByteForm, JwtAlgorithm, KeyForm, RequestSignature
from batchsync.core.vendor_calls import Endpoint
from batchsync.errors import UnavailableError, UsageError
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors import auth as auth_module
from batchsync.vendors import signing
from batchsync.vendors.assertion import AssertionSigner
from batchsync.vendors.auth import Auth
from batchsync.vendors.wire import Request, Response
from batchsync_mocks import Clock, serve
from batchsync_mocks.generic.keys import private_key
from kit.deployment import Deployment
from kit.folder_vendors import START, deploy, write_vendor

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync_mocks.running import VendorMock

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
KEY = private_key("RS256")
RULES = Assertion(
    key="pem",
    claims={"iss": "{credentials.id}", "aud": ["{token_url}"], "exp": "{time.end}", "iat": "{time.unix}", "v": 1},
    headers={"kid": "{credentials.id}"},
)


def signer(rules: Assertion = RULES, key: str = KEY) -> AssertionSigner:
    return AssertionSigner(rules, {"id": "app-1", "pem": key}, "https://login.acme.example/token")


@pytest.mark.parametrize("algorithm", list(JwtAlgorithm))
def test_assertion_has_the_claims_and_is_signed_by_the_key(algorithm: JwtAlgorithm) -> None:
    pem = private_key(algorithm)
    # A variable of the environment has the line ends of a key as two characters.
    token = signer(replace(RULES, algorithm=algorithm), pem.replace("\n", "\\n")).sign(NOW)
    public: Any = load_pem_private_key(pem.encode(), None).public_key()
    claims = jwt.decode(
        token, public, [algorithm], audience="https://login.acme.example/token", options={"verify_exp": False}
    )
    at = int(NOW.timestamp())
    assert claims == {"iss": "app-1", "aud": ["https://login.acme.example/token"], "exp": at + 180, "iat": at, "v": 1}
    assert jwt.get_unverified_header(token)["kid"] == "app-1"


def _pem(*, password: bytes = b"", public: bool = False) -> str:
    key: Any = load_pem_private_key(KEY.encode(), None)
    if public:
        return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


@pytest.mark.parametrize(
    "key",
    [
        "a-word-that-is-no-key",
        KEY[:400],
        KEY.replace("M", "?"),
        _pem(password=b"x"),
        _pem(public=True),
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
    ],
    ids=["word", "cut", "damaged", "passphrase", "public", "other-kind"],
)
def test_credential_that_is_no_private_key_is_refused_without_its_text(key: str) -> None:
    with pytest.raises(
        UnavailableError, match="pem is no private key in PEM, without a passphrase, for RS256"
    ) as raised:
        signer(key=key)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert not any(line in str(raised.value) for line in key.splitlines() if len(line) > 8)


def test_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(auth_module, "import_module", absent)
    rules = load_vendor("salesforce-bulk", {"auth_by": "jwt_bearer"}).dialect
    assert rules is not None
    with pytest.raises(UsageError, match="needs the package PyJWT") as raised:
        Auth(rules.auth, {}, lambda _: Response(status=200), base_url="https://x.example", clock=_Clock())
    assert raised.value.hint == "Install it: pip install 'batchsync[jwt]'"


class _Clock:
    def now(self) -> datetime:
        return NOW

    def sleep(self, duration: timedelta) -> None: ...


def test_assertion_is_signed_anew_with_the_time_of_a_vendor_that_refuses_ours() -> None:
    rules = load_vendor("salesforce-bulk", {"auth_by": "jwt_bearer"}).dialect
    assert rules is not None
    theirs, sent = NOW + timedelta(hours=1), []

    def send(request: Request) -> Response:
        sent.append(request)
        assert request.body is not None
        form = dict(part.split("=", 1) for part in request.body.decode().split("&"))
        assert form["grant_type"] == "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
        claims = jwt.decode(form["assertion"], options={"verify_signature": False})
        assert (claims["iss"], claims["sub"], claims["aud"]) == (
            "app",
            "ada@example.com",
            "https://login.salesforce.com",
        )
        good = claims["exp"] > theirs.timestamp()
        body = b'{"access_token": "t0ken"}' if good else b'{"error": "invalid_grant"}'
        return Response(status=200 if good else 400, headers={"date": format_datetime(theirs, usegmt=True)}, body=body)

    credentials = {"client_id": "app", "username": "ada@example.com", "private_key": KEY}
    auth = Auth(rules.auth, credentials, send, base_url="https://x.my.salesforce.com", clock=_Clock())
    request = Request(method="GET", url="https://x.my.salesforce.com/", endpoint=Endpoint.API)
    assert auth.headers(request) == {"Authorization": "Bearer t0ken"}
    assert len(sent) == 2


SALESFORCE = """\
version: 1
connections:
  salesforce:
    vendor: salesforce-bulk
    base_url: https://example.my.salesforce.com
    auth_by: jwt_bearer
    credentials: {client_id: "${ID}", username: "${USER_NAME}", private_key: "${file:/run/secrets/key.pem}"}
jobs:
  contacts:
    source: {path: contacts.csv, key: id}
    target: {connection: salesforce, object: Contact, externalIdFieldName: Ext__c}
    mode: upsert
    record: {Ext__c: =id, LastName: =name}
"""


def test_job_is_delivered_with_a_signed_assertion_and_the_key_is_stored_nowhere(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(SALESFORCE)
    (tmp_path / "contacts.csv").write_text("id,name\n1,Ada\n2,Bo\n")
    vendor = "salesforce-bulk"
    folder = f"{vendor}={files('batchsync_specs') / vendor}"
    clock = Clock(START, frozen=True, auto=True)
    with serve([folder], clock=clock, seed=1, settings={vendor: {"auth_by": "jwt_bearer"}}) as mocks:
        deployment = Deployment(tmp_path, mocks)
        assert mocks.credentials(vendor)["private_key"] == KEY
        assert deployment.json("sync")["total"]["accepted"] == 2
        shown = deployment.shown()
        stored = [path for path in (tmp_path / ".batchsync").rglob("*") if path.is_file()]
        for text in (shown.encode(), *(path.read_bytes() for path in stored)):
            assert not any(line.encode() in text for line in KEY.splitlines()[1:-1])
            assert b"eyJ" not in text, "an assertion"


def test_settings_of_a_connection_are_those_of_the_bundled_mock(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(SALESFORCE)
    (tmp_path / "contacts.csv").write_text("id,name\n1,Ada\n2,Bo\n")
    with serve(seed=1) as other:
        deployment = Deployment(tmp_path, other)
        environ = {name: text for name, text in deployment.environ().items() if not name.startswith("BATCHSYNC_")}
        process = subprocess.run(
            deployment.command("sync", "--mocks"),
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    assert "accepted 2" in process.stdout


HMAC = """\
  auth:
    kind: hmac
    headers:
      Authorization: "ACME {credentials.key_id}:{signature}"
      X-Date: "{time.http}"
      X-Nonce: "{nonce}"
    signature:
      key: secret
      key_form: base64
      digest: sha512
      form: base64
      text: |-
        {request.method}
        {request.path}?{request.sorted_query}
        {time.http} {nonce} {body.size}
        {body.sha256_hex}
        {body.raw}
      source: assumed
    source: assumed
"""
PLAIN = '  auth: {kind: header, headers: {Authorization: "Bearer {credentials.token}"}, source: assumed}\n'


def hmac_vendor(folder: Path) -> Path:
    """Write a vendor whose requests are signed; return its folder."""
    vendor = write_vendor(folder, "acme")
    text = (vendor / "vendor.yaml").read_text()
    assert PLAIN in text
    text = text.replace(PLAIN, HMAC).replace("[token]", "[key_id, secret]").replace("account: token", "account: key_id")
    (vendor / "vendor.yaml").write_text(text)
    return vendor


def test_requests_are_signed_with_their_bodies_and_the_mock_computes_the_same(tmp_path: Path) -> None:
    vendor = hmac_vendor(tmp_path)
    with serve([str(vendor)], clock=Clock(START, frozen=True, auto=True), seed=1) as mocks:
        deployment = deploy(tmp_path, "acme", {"A": "a", "B": "b"}, mocks)
        deployment.edit('{token: "${T}"}', '{key_id: "${I}", secret: "${S}"}')
        assert deployment.json("sync")["total"]["accepted"] == 2
        assert {item["status"] for item in mocks.requests()} <= {200, 201}
        # The same request is refused with another key, another body, or an old time.
        secret = mocks.credentials("acme")["secret"]
        for key, size, at in (
            (secret, 0, NOW_AT_MOCK),
            (base64.b64encode(b"other").decode(), 0, NOW_AT_MOCK),
            (secret, 1, NOW_AT_MOCK),
            (secret, 0, NOW_AT_MOCK - timedelta(hours=1)),
        ):
            good = (key, size, at) == (secret, 0, NOW_AT_MOCK)
            assert _status(mocks.of("acme"), key, size, at) == (200 if good else 401)


NOW_AT_MOCK = datetime(2026, 1, 1, tzinfo=UTC)


def _status(mock: VendorMock, secret: str, size: int, at: datetime) -> int:
    """Return the status of the answer to a request that is signed with some values."""
    shift = mock.clock.now() - NOW_AT_MOCK.timestamp()
    date = format_datetime(at + timedelta(seconds=shift), usegmt=True)
    text = f"GET\n/jobs?limit=1\n{date} abc {size}\n{hashlib.sha256().hexdigest()}\n"
    signature = base64.b64encode(hmac.digest(base64.b64decode(secret), text.encode(), "sha512")).decode()
    headers = {"Authorization": f"ACME {mock.credentials['key_id']}:{signature}", "X-Date": date, "X-Nonce": "abc"}
    connection = HTTPConnection(mock.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/jobs?limit=1", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_signature_is_that_of_its_parts() -> None:
    key = bytes(range(32))
    rules = RequestSignature(key="k", text="{request.method}\n{time.unix}\n{body.raw}", form=ByteForm.BASE64URL)
    body = b'{"a": 1}'
    request = Request(method="POST", url="https://a.example/x?b=2&a=1", endpoint=Endpoint.API, body=body)
    for form, text in ((KeyForm.HEX, key.hex()), (KeyForm.BASE64, base64.b64encode(key).decode())):
        made = signing.RequestSigner(replace(rules, key_form=form), {"k": text, "id": "app"})
        found = made.headers({"X-Sign": "{credentials.id} {signature}", "X-Time": "{time.unix}"}, request, NOW)
        signed = f"POST\n{int(NOW.timestamp())}\n".encode() + body
        expected = base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).decode().rstrip("=")
        assert found == {"X-Sign": f"app {expected}", "X-Time": str(int(NOW.timestamp()))}
    with pytest.raises(UnavailableError, match="the credential k is not written in hex"):
        signing.RequestSigner(replace(rules, key_form=KeyForm.HEX), {"k": "no hex", "id": "app"})
