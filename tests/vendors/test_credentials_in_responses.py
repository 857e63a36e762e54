"""A vendor or gateway that quotes the request, in whatever encoding, brings no credential into an error or a file."""

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
from vendor_kit import GUESTS_ONE_BAD, MockedClock, ScriptedServer, asking

from kit.gateway import BDP, CARRIERS, CREDENTIALS, ENCODINGS, TOKEN, VERBS, Gateway, b64, gateway, leaks, secrets_of
from lading.core.batch import Slot, Verdict
from lading.errors import EnvironmentProblem, Unclear, VendorFailure
from lading.spec.vendor_spec import load_vendor
from lading.vendors.client import HttpVendor, connect
from lading.vendors.doors import redacted
from lading.vendors.redaction import MARK, WITHHELD, Redactor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    import lading_mocks
    from lading.vendors.http import Http

PAIRS = [(vendor, verb) for vendor, verbs in VERBS.items() for verb in verbs]
#: Every encoding in words for people, in each member that is read, and in one more place by turns.
QUOTATIONS = [
    (encoding, carrier)
    for number, encoding in enumerate(ENCODINGS)
    for carrier in dict.fromkeys(("message", "members", list(CARRIERS)[number % len(CARRIERS)]))
]
STATUSES = (200, 302, 400, 401, 403, 409, 500, 503)


def opened(at: Gateway) -> HttpVendor:
    rules = load_vendor(at.vendor)
    assert rules.dialect is not None
    return connect(
        replace(rules, dialect=replace(rules.dialect, limits=replace(rules.dialect.limits, read=timedelta(seconds=5)))),
        base_url=at.url,
        credentials=CREDENTIALS[at.vendor],
        ca_bundle=None,
        clock=MockedClock(),
        user_agent="lading tests",
    )


class Caller:
    """A batch that was taken to its end once, and every call on it again."""

    def __init__(self, at: Gateway, folder: Path, mocks: lading_mocks.Running) -> None:
        self.at, self.folder = at, folder
        text = None if at.vendor == BDP else GUESTS_ONE_BAD
        self.delivery = Delivery(opened(at), at.vendor, folder, text)
        self.open = self.delivery.allocated()
        self.slot = self.delivery.uploaded() if at.vendor != BDP else self._second()
        self.verdict = self.delivery.followed(self.slot, mocks)

    def _second(self) -> Slot:
        second = Delivery(self.delivery.vendor, BDP, self.folder, attempt=2)
        return second.uploaded()

    def call(self, verb: str, into: Path) -> str:
        """Make the calls that lead to a verb, and return everything that they show or return."""
        vendor = opened(self.at)
        target, delivery = TARGETS[self.at.vendor], self.delivery
        calls: dict[str, Callable[[], Any]] = {
            "allocate": lambda: vendor.allocate(delivery.ticket, delivery.file, delivery.params),
            "find": lambda: vendor.find(delivery.ticket, {}),
            "upload": lambda: vendor.upload(self.open, delivery.file),
            "poll": lambda: vendor.poll(self.slot),
            "locate": lambda: vendor.collect(self.slot, Verdict.PROCESSED, into),
            "results": lambda: vendor.collect(self.slot, Verdict.PROCESSED, into),
            "errors": lambda: vendor.collect(self.slot, Verdict.MIXED, into),
            "cancel": lambda: vendor.cancel(self.slot),
        }
        try:
            found = calls.get(verb, lambda: vendor.describe(target))()
            # A slot's URL lives in memory alone.
            return repr(replace(found, url=None) if isinstance(found, Slot) else found)
        except (VendorFailure, EnvironmentProblem) as error:
            return "\n".join([str(error), repr(error.args), repr(error.__cause__), repr(error.__context__)])


@pytest.mark.parametrize(("name", "verb"), PAIRS)
def test_answer_that_quotes_the_request_shows_no_credential(
    name: str, verb: str, mocks: lading_mocks.Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = secrets_of(name)
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
            assert at.quoted, f"{verb} was not asked for"
            shown += "".join(file.read_text("latin-1") for file in into.iterdir())
            if leaks(shown, secrets):
                shown_with.append((encoding, carrier, status))
    assert not shown_with
    assert not leaks("".join(capfd.readouterr()), secrets)


def test_refusal_that_quotes_the_token_is_shown_without_it(mocks: lading_mocks.Running) -> None:
    with gateway(BDP, mocks) as at:
        vendor = opened(at)
        vendor.describe(TARGETS[BDP])
        at.quote("choice", "base64", "message", 401, times=2)
        with pytest.raises(VendorFailure) as caught:
            vendor.describe(TARGETS[BDP])
    assert MARK in caught.value.reason
    assert not leaks(caught.value.reason, secrets_of(BDP))


def test_id_that_repeats_a_credential_is_no_id(mocks: lading_mocks.Running, tmp_path: Path) -> None:
    with gateway(BDP, mocks) as at:
        delivery = Delivery(opened(at), BDP, tmp_path)
        at.quote("allocate", "cut values", "members", 200)
        with pytest.raises(VendorFailure, match="holds no id"):
            delivery.allocated()


def test_headers_that_cannot_be_parsed_are_not_printed(
    scripted: Callable[..., ScriptedServer], http: Http, capfd: pytest.CaptureFixture[str]
) -> None:
    def script(connection: socket.socket, head: bytes) -> None:
        quoted = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization"))
        connection.sendall(b"HTTP/1.1 400 Bad\r\nNo header at all\r\n" + quoted + b"\r\nContent-Length: 0\r\n\r\n")

    logger = logging.getLogger("urllib3")
    logger.addHandler(handler := logging.StreamHandler(sys.stderr))
    try:
        http.ask(asking(scripted(script).url + "/a", headers={"Authorization": "Bearer " + TOKEN}))
    finally:
        logger.removeHandler(handler)
    shown = "".join(capfd.readouterr())
    assert "Failed to parse headers" in shown
    assert TOKEN[:16] not in shown


def known(*secrets: str) -> Redactor:
    return Redactor(secrets)


def test_ordinary_words_and_header_values_stay() -> None:
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
def test_header_whose_name_says_proof_is_redacted_whole_and_without_scheme(name: str) -> None:
    redactor = known()
    redactor.add_headers({name: "Scheme value-of-77-letters"})
    assert redactor.redact("you sent Scheme value-of-77-letters.") == f"you sent {MARK}."
    assert redactor.redact("you sent [value-of-77-letters]") == f"you sent [{MARK}]"


def test_header_that_holds_a_credential_is_redacted_whole() -> None:
    redactor = known("hunter22hunter22")
    redactor.add_headers({"X-Tenant": "tenant=7,with=hunter22hunter22"})
    assert redactor.redact("(tenant=7,with=hunter22hunter22)") == f"({MARK})"


@pytest.mark.parametrize("secret", ["hunter22", "pa ss&word", "é漢字-key", 'a/b+c=d~e f"g', "x" * 300])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_secret_in_a_sentence_is_redacted_in_every_encoding(secret: str, encoding: str) -> None:
    around = f"Authorization: Basic {secret}\nHost: example"
    clean = known(secret).redact(f"wrong key ({ENCODINGS[encoding](around)}) given")
    assert not leaks(clean, {"secret": secret})
    assert clean == WITHHELD or (clean.startswith("wrong key (") and clean.endswith(" given"))


#: What may stand in a header: no spaces at its ends, nothing invisible.
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=8, max_size=60)


@settings(max_examples=200)
@given(secret=SECRETS, before=st.text(max_size=7), names=st.tuples(*[st.sampled_from(sorted(ENCODINGS))] * 2))
def test_any_secret_is_redacted_in_two_nested_encodings(secret: str, before: str, names: tuple[str, str]) -> None:
    inner, outer = (ENCODINGS[name] for name in names)
    clean = known(secret).redact(outer(inner(f"X: {before} {secret} end")))
    assert not leaks(clean, {"secret": secret}, depth=2)


def test_document_is_redacted_wherever_it_is_cut_into_chunks() -> None:
    redactor = Redactor(("account-7", "s3cr3t/T0ken+with"), account="account-7")
    redactor.add_headers({"Authorization": f"Bearer {TOKEN}"})
    line = f'{{"a": "account-7", "b": "Bearer {TOKEN}", "c": "{b64("x" + TOKEN)}", "d": "s3cr3t/T0ken+with"}}\n'
    wanted = f'{{"a": "account-7", "b": "{MARK}", "c": "{MARK}", "d": "{MARK}"}}\n'.encode()
    for size in (1, 7, 1000, 65_536):
        whole = (line * (40 if size == 1 else 400)).encode()
        chunks = (whole[at : at + size] for at in range(0, len(whole), size))
        assert b"".join(redactor.redact_stream(chunks)) == wanted * (len(whole) // len(line.encode()))


def test_document_that_hides_a_credential_deeper_is_refused() -> None:
    redactor = known("s3cr3t/T0ken+with")
    with pytest.raises(Unclear, match="repeats credentials"):
        list(redactor.redact_stream([b64(b64("s3cr3t/T0ken+with")).encode()]))


def test_document_without_secrets_stays_as_it_is() -> None:
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
def test_parameters_that_sign_are_redacted_wherever_they_stand(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown
