"""Channels of alerts: what a webhook and a mail server receive, and what is reported when they do not take it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme
from werkzeug import Request, Response

from batchsync.core.alert_channels import AppriseChannel, EmailChannel, WebhookChannel
from batchsync.core.alert_text import Message
from batchsync.observers import channels, delivery
from batchsync.observers.channels import is_local, ping, send
from batchsync.observers.delivery import DeliveryError, Secrets, bounded
from batchsync.observers.webhook import shaped
from kit.smtp_server import SmtpServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_httpserver import HTTPServer

    from batchsync.core.alert_channels import AnyChannel

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HIDDEN = "hunter2-topsecret"
MESSAGE = Message(
    id="guests.late.1",
    transition="late",
    condition="late",
    job="guests",
    environment="prod",
    subject="batchsync: guests <!channel> is late",
    reason="a & b",
    command="batchsync status guests",
    since="2026-11-30T12:00:00Z",
    at="2026-11-30T12:00:00Z",
)
HOOK = WebhookChannel(name="ops", shape="json", url="${URL}")


def test_json_webhook_is_signed_as_standard_webhooks_are(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("", 204)
    key = b"0123456789abcdef"
    for secret, used in ((HIDDEN, HIDDEN.encode()), (f"whsec_{base64.b64encode(key).decode()}", key)):
        send(HOOK, Secrets(values={"url": httpserver.url_for("/hook"), "secret": secret}), MESSAGE, NOW)
        request = httpserver.log[-1][0]
        assert request.get_json() == MESSAGE.to_dict()
        assert request.headers["webhook-id"] == MESSAGE.id
        signed = f"{MESSAGE.id}.{int(NOW.timestamp())}.".encode() + request.get_data()
        expected = base64.b64encode(hmac.new(used, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
    with pytest.raises(DeliveryError, match="not base64"):
        send(HOOK, Secrets(values={"url": httpserver.url_for("/hook"), "secret": "whsec_?"}), MESSAGE, NOW)


def test_slack_text_mentions_no_person_and_teams_gets_a_card() -> None:
    text = shaped("slack", MESSAGE)["text"]
    assert text.startswith("*batchsync: guests &lt;!channel&gt; is late*\nreason: a &amp; b\n")
    (attachment,) = shaped("teams", MESSAGE)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["text"] for block in attachment["content"]["body"]] == [MESSAGE.subject, *MESSAGE.body.splitlines()]


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500])
def test_refusal_of_a_webhook_says_the_status_and_nothing_of_the_url(httpserver: HTTPServer, status: int) -> None:
    answer = Response(HIDDEN, status, {"Location": httpserver.url_for("/elsewhere")})
    httpserver.expect_request(f"/{HIDDEN}").respond_with_response(answer)
    with pytest.raises(DeliveryError) as refused:
        send(HOOK, Secrets(values={"url": httpserver.url_for(f"/{HIDDEN}")}), MESSAGE, NOW)
    assert str(refused.value) == f"HTTP {status}"
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com/x", "its URL is not https"),
        ("ftp://localhost/x", "its URL is not https"),
        ("not a url", "its URL is not valid"),
        ("https://[::1", "its URL is not valid"),
        ("https://localhost:99999/", "its URL is not valid"),
        ("https://ex\nample/", "its URL is not valid"),
        ("http://127.0.0.1:1/", "the server cannot be reached"),
    ],
)
def test_url_that_cannot_be_asked(url: str, reason: str) -> None:
    with pytest.raises(DeliveryError) as refused:
        send(HOOK, Secrets(values={"url": url}), MESSAGE, NOW)
    assert str(refused.value) == reason
    assert refused.value.__cause__ is None


def test_untrusted_certificate_of_a_webhook(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with SmtpServer(context=context, implicit=True).running() as server:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(DeliveryError, match=r"^untrusted certificate$"):
            send(HOOK, Secrets(values={"url": url}), MESSAGE, NOW)
        bundle = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(bundle)
        with pytest.raises(DeliveryError, match=r"^the server cannot be reached$"):
            send(replace(HOOK, ca_bundle=str(bundle)), Secrets(values={"url": url}), MESSAGE, NOW)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a delivery only briefly."""
    monkeypatch.setattr(channels, "bounded", lambda call: bounded(call, 0.2))


@pytest.mark.usefixtures("impatient")
def test_server_that_does_not_answer_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(DeliveryError, match=r"^no answer in 0\.2 s$"):
            send(HOOK, Secrets(values={"url": url}), MESSAGE, NOW)


def test_unexpected_failure_shows_no_text() -> None:
    def fail() -> None:
        raise RuntimeError(HIDDEN)

    with pytest.raises(DeliveryError, match=r"^the delivery failed unexpectedly$"):
        bounded(fail)
    assert delivery.SECONDS > 0


def test_pings_extend_the_path_of_the_check(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/uuid").respond_with_data("OK")
    httpserver.expect_request("/uuid/start").respond_with_data("OK")
    httpserver.expect_request("/uuid/fail", query_string="create=1").respond_with_data("OK")
    ping(Secrets(values={"ping": httpserver.url_for("/uuid/")[:-1]}), "")
    ping(Secrets(values={"ping": httpserver.url_for("/uuid")}), "start")
    ping(Secrets(values={"ping": httpserver.url_for("/uuid?create=1")}), "fail")
    httpserver.check_assertions()
    with pytest.raises(DeliveryError, match="HTTP 500"):
        ping(Secrets(values={"ping": httpserver.url_for("/other")}), "")


MAIL = EmailChannel(
    name="mail", to=("ops@example.com", "dba@example.com"), sender="batchsync@example.com", host="localhost", port=0
)


@pytest.fixture
def certified(tmp_path: Path) -> Callable[..., SmtpServer]:
    """Return a function that makes a mail server with a certificate, whose authority is in ca.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return lambda **arguments: SmtpServer(context=context, **arguments)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_is_sent_over_tls_after_a_login(tmp_path: Path, certified: Callable[..., SmtpServer], tls: str) -> None:
    login = Secrets(values={"user": "bot", "password": HIDDEN})
    with certified(implicit=tls == "implicit", logins={"bot": HIDDEN}).running() as server:
        channel = replace(MAIL, port=server.port, tls=tls, ca_bundle=str(tmp_path / "ca.pem"))
        send(channel, login, MESSAGE, NOW)
    (mail,) = server.mails
    assert (mail.encrypted, mail.login, mail.sender) == (True, ("bot", HIDDEN), MAIL.sender)
    assert mail.recipients == MAIL.to
    assert mail.message["Subject"] == MESSAGE.subject
    assert mail.message["Message-ID"] == "<guests.late.1@example.com>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message.get_content().splitlines() == [MESSAGE.subject, "", *MESSAGE.body.splitlines()]


def test_mail_without_tls_only_where_the_channel_says_so() -> None:
    with SmtpServer().running() as server:
        channel = replace(MAIL, port=server.port)
        with pytest.raises(DeliveryError, match="does not offer what is needed: STARTTLS"):
            send(channel, Secrets(), MESSAGE, NOW)
        assert server.mails == []
        send(replace(channel, tls="none"), Secrets(), MESSAGE, NOW)
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (SmtpServer(refused=frozenset(MAIL.to)), "the server refused all recipients"),
        (SmtpServer(refused=frozenset({"dba@example.com"})), "the server refused 1 of 2 recipients"),
        (SmtpServer(answers={"DATA": f"554 {HIDDEN}"}), "the server answered 554"),
        (SmtpServer(answers={"EHLO": f"421 {HIDDEN}", "HELO": "421 no"}), "the server answered 421"),
    ],
)
def test_refused_mail_says_why_without_the_words_of_the_server(server: SmtpServer, reason: str) -> None:
    with server.running(), pytest.raises(DeliveryError) as refused:
        send(replace(MAIL, port=server.port, tls="none"), Secrets(), MESSAGE, NOW)
    assert str(refused.value) == reason


def test_failures_of_tls_and_login(tmp_path: Path, certified: Callable[..., SmtpServer]) -> None:
    login = Secrets(values={"user": "bot", "password": "wrong"})
    with certified(logins={"bot": HIDDEN}).running() as server:
        channel = replace(MAIL, port=server.port)
        trusted = replace(channel, ca_bundle=str(tmp_path / "ca.pem"))
        for found, reason in (
            (channel, "untrusted certificate, or no TLS"),
            (replace(channel, ca_bundle=str(tmp_path / "none.pem")), "its ca_bundle is no file of certificates"),
            (trusted, "the server refused the login"),
            (replace(channel, port=1), "the server cannot be reached, or does not speak SMTP"),
        ):
            with pytest.raises(DeliveryError) as refused:
                send(found, login, MESSAGE, NOW)
            assert str(refused.value) == reason
    assert server.mails == []


@pytest.mark.usefixtures("impatient")
def test_silent_mail_server_is_left() -> None:
    with SmtpServer(silent=True).running() as server, pytest.raises(DeliveryError, match=r"no answer in 0\.2 s"):
        send(replace(MAIL, port=server.port, tls="none"), Secrets(), MESSAGE, NOW)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_services_of_apprise(httpserver: HTTPServer) -> None:
    received: list[Request] = []
    answered = threading.Event()

    def answer(request: Request) -> Response:
        received.append(request)
        answered.set()
        return Response("", 200)

    httpserver.expect_request("/notify").respond_with_handler(answer)
    channel = AppriseChannel(name="pager", urls=("${A}",))
    host = f"{httpserver.host}:{httpserver.port}"
    send(channel, Secrets(values={"apprise 1": f"json://{host}/notify"}), MESSAGE, NOW)
    assert received[0].get_json()["title"] == MESSAGE.subject
    with pytest.raises(DeliveryError, match="none of apprise"):
        send(channel, Secrets(values={"apprise 1": f"nothing-{HIDDEN}"}), MESSAGE, NOW)
    with pytest.raises(DeliveryError, match="one of 1 services did not accept"):
        send(channel, Secrets(values={"apprise 1": f"json://{host}/refuses/{HIDDEN}"}), MESSAGE, NOW)


def test_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name="apprise")

    monkeypatch.setattr(channels, "import_module", missing)
    with pytest.raises(DeliveryError) as refused:
        send(AppriseChannel(name="pager", urls=("${A}",)), Secrets(), MESSAGE, NOW)
    assert refused.value.hint == "Install it: pip install 'batchsync[alerts]'"


@pytest.mark.parametrize(
    ("channel", "urls", "expected"),
    [
        (HOOK, {"url": "http://localhost:8/x", "secret": "x"}, True),
        (HOOK, {"url": "https://hooks.slack.com/x"}, False),
        (HOOK, {"url": "https://[::1"}, False),
        (MAIL, {}, True),
        (replace(MAIL, host="smtp.example.com"), {}, False),
        (AppriseChannel(name="a", urls=()), {"apprise 1": "json://localhost", "apprise 2": "ntfy://ntfy.sh/x"}, False),
    ],
)
def test_channels_on_this_machine(channel: AnyChannel, urls: dict[str, str], expected: object) -> None:
    assert is_local(channel, Secrets(values=urls)) is expected
