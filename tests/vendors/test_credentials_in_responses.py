"""Redaction of credentials that a vendor or gateway quotes in its response, in any encoding."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from delivery import TARGETS, Delivery
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_kit import GUESTS_WITH_INVALID, MockedClock, ScriptedServer, make_request

from batchsync.core.batch import Allocation, Verdict
from batchsync.errors import AmbiguousOutcomeError, UnavailableError, VendorError
from batchsync.spec.vendor_spec import load_vendor
from batchsync.vendors.allowed_urls import redacted
from batchsync.vendors.connect import connect
from batchsync.vendors.redaction import MARK, WITHHELD, Redactor
from kit.gateway import BDP, CARRIERS, CREDENTIALS, ENCODINGS, TOKEN, VERBS, Gateway, b64, gateway, leaks, secrets_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    import batchsync_mocks
    from batchsync.vendors.client import HttpVendor
    from batchsync.vendors.http import HttpTransport

PAIRS = [(vendor, verb) for vendor, verbs in VERBS.items() for verb in verbs]
#: Every encoding in an error message, in each member that is read, and in one more carrier in rotation.
QUOTATIONS = [
    (encoding, carrier)
    for number, encoding in enumerate(ENCODINGS)
    for carrier in dict.fromkeys(("message", "members", list(CARRIERS)[number % len(CARRIERS)]))
]
STATUSES = (200, 302, 400, 401, 403, 409, 500, 503)


def connect_to(at: Gateway) -> HttpVendor:
    rules = load_vendor(at.vendor)
    assert rules.dialect is not None
    return connect(
        replace(rules, dialect=replace(rules.dialect, limits=replace(rules.dialect.limits, read=timedelta(seconds=5)))),
        base_url=at.url,
        credentials=CREDENTIALS[at.vendor],
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="batchsync tests",
    )


class Caller:
    """A finished batch on which every call can be repeated."""

    def __init__(self, at: Gateway, folder: Path, mocks: batchsync_mocks.Running) -> None:
        self.at, self.folder = at, folder
        text = None if at.vendor == BDP else GUESTS_WITH_INVALID
        self.delivery = Delivery(connect_to(at), at.vendor, folder, text)
        self.open = self.delivery.allocate()
        self.allocation = self.delivery.upload() if at.vendor != BDP else self._second()
        self.verdict = self.delivery.wait_for_verdict(self.allocation, mocks)

    def _second(self) -> Allocation:
        second = Delivery(self.delivery.vendor, BDP, self.folder, attempt=2)
        return second.upload()

    def call(self, verb: str, into: Path) -> str:
        """Make the calls that lead to a verb; return their results and errors as text."""
        vendor = connect_to(self.at)
        target, delivery = TARGETS[self.at.vendor], self.delivery
        calls: dict[str, Callable[[], Any]] = {
            "allocate": lambda: vendor.allocate(delivery.idempotency_key, delivery.file, delivery.params),
            "find": lambda: vendor.find(delivery.idempotency_key, {}),
            "upload": lambda: vendor.upload(self.open, delivery.file),
            "poll": lambda: vendor.poll(self.allocation),
            "counts": lambda: vendor.collect(self.allocation, Verdict.PROCESSED, into),
            "results": lambda: vendor.collect(self.allocation, Verdict.PROCESSED, into),
            "errors": lambda: vendor.collect(self.allocation, Verdict.MIXED, into),
            "cancel": lambda: vendor.cancel(self.allocation),
        }
        try:
            found = calls.get(verb, lambda: vendor.describe(target))()
            # The URL of an allocation is never stored.
            return repr(replace(found, url=None) if isinstance(found, Allocation) else found)
        except (VendorError, UnavailableError) as error:
            return "\n".join([str(error), repr(error.args), repr(error.__cause__), repr(error.__context__)])


@pytest.mark.parametrize(("name", "verb"), PAIRS)
def test_response_that_quotes_request_shows_no_credential(
    name: str, verb: str, mocks: batchsync_mocks.Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = secrets_of(name)
    all_shown: list[tuple[str, str]] = []
    shown_with: list[tuple[str, str, int]] = []
    with gateway(name, mocks) as at:
        caller = Caller(at, tmp_path, mocks)
        assert caller.open.url
        secrets |= {"signature": re.split("[Ss]ignature=", caller.open.url)[1].partition("&")[0]}
        for number, (encoding, carrier) in enumerate(QUOTATIONS):
            status = STATUSES[number % len(STATUSES)]
            at.quote(verb, encoding, carrier, status, times=3)
            into = tmp_path / "collected" / str(number)
            into.mkdir(parents=True)
            shown = caller.call(verb, into)
            assert at.quoted, f"{verb} was not called"
            shown += "".join(file.read_text("latin-1") for file in into.iterdir())
            all_shown.append((encoding, shown))
            if leaks(shown, secrets):
                shown_with.append((encoding, carrier, status))
        # Each look-up names a document by a URL with a signature of its own.
        signatures = {text[:24]: text for text in at.signatures}
    assert not shown_with
    assert signatures
    assert [encoding for encoding, shown in all_shown if leaks(shown, signatures)] == []
    assert not leaks("".join(capfd.readouterr()), secrets)


def test_refusal_that_quotes_token_is_redacted(mocks: batchsync_mocks.Running) -> None:
    with gateway(BDP, mocks) as at:
        vendor = connect_to(at)
        vendor.describe(TARGETS[BDP])
        at.quote("choice", "base64", "message", 401, times=2)
        with pytest.raises(VendorError) as caught:
            vendor.describe(TARGETS[BDP])
    assert MARK in caught.value.reason
    assert not leaks(caught.value.reason, secrets_of(BDP))


def test_id_that_contains_credential_is_refused(mocks: batchsync_mocks.Running, tmp_path: Path) -> None:
    with gateway(BDP, mocks) as at:
        delivery = Delivery(connect_to(at), BDP, tmp_path)
        at.quote("allocate", "cut values", "members", 200)
        with pytest.raises(VendorError, match="contains no id"):
            delivery.allocate()


def test_unparsable_headers_are_not_printed(
    scripted: Callable[..., ScriptedServer], http: HttpTransport, capfd: pytest.CaptureFixture[str]
) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        quoted = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization"))
        connection.sendall(b"HTTP/1.1 400 Bad\r\nNo header at all\r\n" + quoted + b"\r\nContent-Length: 0\r\n\r\n")

    logger = logging.getLogger("urllib3")
    logger.addHandler(handler := logging.StreamHandler(sys.stderr))
    try:
        http.send(make_request(scripted(script).url + "/a", headers={"Authorization": "Bearer " + TOKEN}))
    finally:
        logger.removeHandler(handler)
    shown = "".join(capfd.readouterr())
    assert "Failed to parse headers" in shown
    assert TOKEN[:16] not in shown


def known(*secrets: str) -> Redactor:
    return Redactor(secrets)


def test_ordinary_words_and_header_values_are_not_redacted() -> None:
    redactor = known("gzip-key-77", "abc")
    redactor.add_headers({
        "Accept": "application/json",
        "Content-Type": "text/csv; charset=utf-8",
        "Content-MD5": "Q2hlY2sgSW50ZWdyaXR5IQ==",
        "Idempotency-Key": "3ee694e5-0b77-5d1e-af19-1aa78f500785",
        "x-amz-server-side-encryption": "AES256",
    })  # fmt: skip
    text = "abc: application/json, text/csv, AES256, 3ee694e5-0b77-5d1e-af19-1aa78f500785, Q2hlY2sgSW50ZWdyaXR5IQ=="
    assert redactor.redact(text) == text


@pytest.mark.parametrize("name", ["X-Api-Key", "Cookie", "x-amz-security-token", "Ocp-Apim-Subscription-Key"])
def test_authentication_header_is_redacted_with_and_without_scheme(name: str) -> None:
    redactor = known()
    redactor.add_headers({name: "Scheme value-of-77-letters"})
    assert redactor.redact("you sent Scheme value-of-77-letters.") == f"you sent {MARK}."
    assert redactor.redact("you sent [value-of-77-letters]") == f"you sent [{MARK}]"


def test_header_that_contains_credential_is_redacted_whole() -> None:
    redactor = known("hunter22hunter22")
    redactor.add_headers({"X-Tenant": "tenant=7,with=hunter22hunter22"})
    assert redactor.redact("(tenant=7,with=hunter22hunter22)") == f"({MARK})"


@pytest.mark.parametrize("secret", ["hunter22", "pa ss&word", "é漢字-key", 'a/b+c=d~e f"g', "x" * 300])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_secret_in_sentence_is_redacted_in_every_encoding(secret: str, encoding: str) -> None:
    around = f"Authorization: Basic {secret}\nHost: example"
    clean = known(secret).redact(f"wrong key ({ENCODINGS[encoding](around)}) given")
    assert not leaks(clean, {"secret": secret})
    assert clean == WITHHELD or (clean.startswith("wrong key (") and clean.endswith(" given"))


#: Header values: no spaces at the ends, no invisible characters.
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=8, max_size=60)


@settings(max_examples=200)
@given(secret=SECRETS, before=st.text(max_size=7), names=st.tuples(*[st.sampled_from(sorted(ENCODINGS))] * 2))
def test_any_secret_is_redacted_in_two_nested_encodings(secret: str, before: str, names: tuple[str, str]) -> None:
    inner, outer = (ENCODINGS[name] for name in names)
    clean = known(secret).redact(outer(inner(f"X: {before} {secret} end")))
    assert not leaks(clean, {"secret": secret}, depth=2)


def test_document_is_redacted_whatever_its_chunks() -> None:
    redactor = Redactor(("account-7", "s3cr3t/T0ken+with"), account="account-7")
    redactor.add_headers({"Authorization": f"Bearer {TOKEN}"})
    line = f'{{"a": "account-7", "b": "Bearer {TOKEN}", "c": "{b64("x" + TOKEN)}", "d": "s3cr3t/T0ken+with"}}\n'
    wanted = f'{{"a": "account-7", "b": "{MARK}", "c": "{MARK}", "d": "{MARK}"}}\n'.encode()
    for size in (1, 7, 1000, 65_536):
        whole = (line * (40 if size == 1 else 400)).encode()
        chunks = (whole[at : at + size] for at in range(0, len(whole), size))
        assert b"".join(redactor.redact_stream(chunks)) == wanted * (len(whole) // len(line.encode()))


def test_document_with_nested_credential_is_refused() -> None:
    redactor = known("s3cr3t/T0ken+with")
    with pytest.raises(AmbiguousOutcomeError, match="contains credentials"):
        list(redactor.redact_stream([b64(b64("s3cr3t/T0ken+with")).encode()]))


def test_document_without_secrets_is_unchanged() -> None:
    data = bytes(range(256)) * 3000
    assert b"".join(known("s3cr3t/T0ken+with").redact_stream([data[:70_000], data[70_000:]])) == data
    assert list(known("s3cr3t/T0ken+with").redact_stream([])) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/b?X-Amz-Date=1&X-Amz-Signature=0badc0ffee&x=1", "/b?X-Amz-Date=1&X-Amz-Signature=<redacted>&x=1"),
        ("X-Amz-Credential=AKIA/2026/eu: bad", "X-Amz-Credential=<redacted> bad"),
        ("sig=abc%2Bd%3D and so on", "sig=<redacted> and so on"),
        ("a&amp;sig=abc%2Bd&amp;se=7", "a&amp;sig=<redacted>&amp;se=7"),
        ("%26X-Goog-Signature%3D0badc0ffee%26x%3D1", "%26X-Goog-Signature%3D<redacted>%26x%3D1"),
        ("%2526x-amz-security-token%253DAb%252Bc%2526x", "%2526x-amz-security-token%253D<redacted>%2526x"),
        ("X%2DAmz%2DSignature=0badc0ffee", "X%2DAmz%2DSignature=<redacted>"),
        ("a\\u0026X-Goog-Credential\\u003dme\\u0026b", "a\\u0026X-Goog-Credential\\u003d<redacted>\\u0026b"),
        ("X-Amz-Security-Token=Ab&#43;cd&#x2F;e&#61;&amp;x", "X-Amz-Security-Token=<redacted>&amp;x"),
        ("X-Amz-Security-Token&#61;Ab&#43;cd", "X-Amz-Security-Token&#61;<redacted>"),
        ('{"X-Amz-Signature": "0badc0ffee"}', '{"X-Amz-Signature": "<redacted>"}'),
        ('{\\"X-Goog-Signature\\":\\"0badc0ffee\\"}', '{\\"X-Goog-Signature\\":\\"<redacted>\\"}'),
        ("AWS4-HMAC Credential=AK/1, Signature=0bad", "AWS4-HMAC Credential=<redacted>, Signature=<redacted>"),
        ("HTTPS://h/p?a=b&c='d e", "HTTPS://h/p?<redacted>'d e"),
        ("https://h/p?a=<redacted>&b=c d", "https://h/p?<redacted> d"),
        ("the design=new, Signature is wrong; sig: no", "the design=new, Signature is wrong; sig: no"),
    ],
)
def test_signing_parameters_are_redacted_anywhere(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown
