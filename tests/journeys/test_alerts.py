"""Alerts of real commands: each transition arrives once, whatever restarts, and nothing of it stops a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug import Request, Response

from batchsync_mocks.faults import Fault
from kit.deployment import CDP, JOBS
from kit.smtp_server import SmtpServer

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

    from kit.deployment import Deployment

ALERTS = """\
alerts:
  channels:
    ops: {webhook: json, url: "${OPS_HOOK}"}
    night: {webhook: slack, url: "${NIGHT_HOOK}", on: [failing], jobs: [tag:nightly]}
    away: {webhook: slack, url: "${AWAY_HOOK}"}
  ping: ${CHECK_URL}
"""


@dataclass
class Receiver:
    """Receiver of alerts on loopback; `status` is its answer."""

    received: list[tuple[str, Any]]
    status: int = 200

    def answer(self, request: Request) -> Response:
        body = request.get_data()
        if self.status == 200:
            self.received.append((request.path, json.loads(body) if body else None))
        return Response("", self.status)

    def taken(self, path: str) -> list[Any]:
        """Return what arrived at a path since the last call."""
        found = [body for where, body in self.received if where == path]
        self.received = [item for item in self.received if item[0] != path]
        return found

    def transitions(self) -> list[tuple[str, str]]:
        """Return job and transition of the alerts of the channel ops since the last call."""
        return [(item["job"], item["transition"]) for item in self.taken("/ops")]

    def pings(self) -> list[str]:
        """Return the pings since the last call."""
        found = [where.removeprefix("/check") for where, _ in self.received if where.startswith("/check")]
        self.received = [item for item in self.received if not item[0].startswith("/check")]
        return found


@pytest.fixture
def receiver(deployment: Deployment, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A receiver, to which the alerts of the deployment go."""
    found = Receiver([])
    for path in ("/ops", "/night", "/check", "/check/start", "/check/fail", "/check/log"):
        httpserver.expect_request(path).respond_with_handler(found.answer)
    for name, path in (("OPS_HOOK", "/ops"), ("NIGHT_HOOK", "/night"), ("CHECK_URL", "/check")):
        monkeypatch.setenv(name, httpserver.url_for(path))
    # Runs against mocks send nothing to other machines.
    monkeypatch.setenv("AWAY_HOOK", "https://hooks.example.com/x")
    (deployment.folder / "jobs.yaml").write_text(JOBS + ALERTS, encoding="utf-8")
    deployment.edit("  guests:\n", "  guests:\n    tags: [nightly]\n")
    return found


def test_failure_and_recovery_of_commands_from_cron_are_reported_once(
    deployment: Deployment, receiver: Receiver
) -> None:
    source = deployment.folder / "guests.csv"
    content = source.read_text(encoding="utf-8")
    source.write_text('id,name,email\n"G1,unbalanced zubizarreta,x@example.com\n', encoding="utf-8")
    deployment.run("sync", expect=3)
    (failing,) = receiver.taken("/ops")
    assert (failing["job"], failing["transition"]) == ("guests", "failing")
    assert failing["subject"] == "batchsync: guests is failing"
    assert failing["command"] == "batchsync status guests"
    assert len(receiver.taken("/night")) == 1
    deployment.run("sync", expect=3)
    deployment.run("resume")
    assert receiver.transitions() == []

    source.write_text(content, encoding="utf-8")
    deployment.run("sync")
    assert receiver.transitions() == [("guests", "recovered")]
    assert receiver.taken("/night") == []
    assert receiver.pings() == ["/start", "/fail", "/start", "/fail", "/start", "", "/start", ""]


def test_held_run_is_reported_until_it_is_approved(deployment: Deployment, receiver: Receiver) -> None:
    deployment.run("sync")
    source = deployment.folder / "guests.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    source.write_text("\n".join([lines[0], *lines[-3:], ""]), encoding="utf-8")
    for _ in range(2):
        deployment.run("sync", expect=6)
    (held,) = receiver.taken("/ops")
    assert (held["transition"], held["command"]) == ("awaiting_approval", "batchsync plan guests")
    assert held["reason"] == "run guests-2 exceeds a guard, and nothing of it was sent"
    receiver.pings()
    deployment.run("approve", "guests", "--reason", "shrunk")
    assert (receiver.transitions(), receiver.pings()) == ([("guests", "recovered")], [])
    deployment.run("sync")
    assert receiver.transitions() == []


def test_job_names_its_channels_or_none(deployment: Deployment, receiver: Receiver) -> None:
    deployment.edit("  guests:\n", "  guests:\n    alerts: [night]\n")
    deployment.edit("  vehicles:\n", "  vehicles:\n    alerts: []\n")
    for name in ("guests.csv", "vehicles.csv"):
        (deployment.folder / name).unlink()
    deployment.run("sync", expect=3)
    assert receiver.transitions() == []
    assert [body["text"].splitlines()[0] for body in receiver.taken("/night")] == ["*batchsync: guests is failing*"]


def test_receiver_that_fails_changes_no_run_and_gets_the_alert_later(
    deployment: Deployment, receiver: Receiver
) -> None:
    receiver.status = 503
    source = (deployment.folder / "guests.csv").rename(deployment.folder / "elsewhere.csv")
    deployment.run("sync", "guests", expect=3)
    assert "warning: alerts: ops: HTTP 503; what waits is sent by the next command, or by serve" in deployment.shown()
    status = deployment.json("status")
    assert [(item["job"], item["condition"]) for item in status["alerts"]] == [("guests", "failing")]
    assert [(item["channel"], item["messages"], item["attempts"]) for item in status["channels"]] == [
        ("night", 1, 1),
        ("ops", 1, 1),
    ]
    shown = deployment.run("status", "guests")
    assert "alert: guests is failing since 20" in shown
    assert "`batchsync alerts test ops` says why" in shown
    assert "alert" not in deployment.run("status", "vehicles", "-o", "ndjson")
    source.rename(deployment.folder / "guests.csv")
    deployment.run("sync", "guests")
    receiver.status = 200
    deployment.mocks.advance(7200)
    deployment.run("sync", "guests")
    assert receiver.transitions() == [("guests", "failing"), ("guests", "recovered")]
    deployment.run("sync", "guests")
    assert receiver.transitions() == []
    status = deployment.json("status")
    assert (status["alerts"], status["channels"]) == ([], [])


def test_missing_secret_of_a_channel_stops_nothing(
    deployment: Deployment, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWAY_HOOK", "CHECK_URL"):
        monkeypatch.delenv(name)
    (deployment.folder / "guests.csv").unlink()
    deployment.run("sync", "guests", expect=3)
    assert receiver.transitions() == [("guests", "failing")]
    assert 'credential "ping" of connection "alerts": CHECK_URL is not set' in deployment.shown()


def test_attention_is_reported_without_words_of_the_vendor(deployment: Deployment, receiver: Receiver) -> None:
    words = "guest7@example.com"
    deployment.mocks.arm(
        Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=400, text=words, times=0)
    )
    deployment.run("sync", "guests", expect=8)
    (alert,) = receiver.taken("/ops")
    assert (alert["transition"], alert["reason"]) == ("needs_attention", "batches that need attention: 1")
    assert words not in json.dumps(alert)
    deployment.mocks.disarm()
    (batch,) = deployment.json("status", expect=8)["open"]
    deployment.run("resolve", batch["batch"], "--delivered", "--reason", "confirmed by the vendor")
    assert receiver.transitions() == [("guests", "recovered")]
    deployment.run("sync", "guests")
    assert receiver.transitions() == []


def test_tick_that_did_not_begin_is_late_until_it_begins(deployment: Deployment, receiver: Receiver) -> None:
    deployment.edit("  vehicles:\n", "  vehicles:\n    schedule: {every: 1h}\n    depends_on: [guests]\n")
    source = (deployment.folder / "guests.csv").rename(deployment.folder / "elsewhere.csv")
    deployment.run("serve", "--once")
    deployment.mocks.advance(10800)
    deployment.run("serve", "vehicles", "--once", expect=5)
    assert receiver.transitions() == [("vehicles", "late")]
    # `sync` knows no ticks.
    deployment.run("sync", "guests", expect=3)
    assert receiver.transitions() == [("guests", "failing")]
    source.rename(deployment.folder / "guests.csv")
    deployment.run("sync", "guests")
    deployment.run("serve", "vehicles", "--once", expect=5)
    assert receiver.transitions() == [("guests", "recovered"), ("vehicles", "recovered")]


def test_killed_controller_reports_once(deployment: Deployment, receiver: Receiver) -> None:
    deployment.edit("    on_removed: delete\n", "    on_removed: delete\n    schedule: {every: 1h}\n")
    deployment.run("serve", "--once")
    deployment.mocks.advance(7200)
    (deployment.folder / "guests.csv").unlink()
    receiver.received.clear()

    def pinged() -> bool:
        return any(where == "/check" for where, _ in receiver.received)

    # A controller pings after it has evaluated, and recorded what it sent.
    for _ in range(2):
        deployment.kill_when(pinged, "serve")
        receiver.pings()
    assert receiver.transitions() == [("guests", "failing")]


def test_alerts_test_reports_each_channel(
    deployment: Deployment, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpServer().running() as server:
        away = '    away: {webhook: slack, url: "${AWAY_HOOK}"}\n'
        mail = (
            f"email: [ops@example.com], sender: batchsync@example.com, host: localhost, port: {server.port}, tls: none"
        )
        deployment.edit(away, f"    mail: {{{mail}}}\n")
        shown = deployment.run("alerts", "test")
    assert [line.split() for line in shown.splitlines()] == [
        ["ok", "ops", "accepted"],
        ["ok", "night", "accepted"],
        ["ok", "mail", "accepted"],
        ["ok", "ping", "accepted"],
        ["no", "problems", "found"],
    ]
    assert server.mails[0].message["Subject"] == "batchsync: test of the alert channel mail"
    assert [item["transition"] for item in receiver.taken("/ops")] == ["test"]
    assert receiver.pings() == ["/log"]
    monkeypatch.delenv("NIGHT_HOOK")
    found = deployment.json("alerts", "test", "night", "mail", expect=3)
    assert [(item["check"], item["ok"], item["fix"]) for item in found["checks"]] == [
        ("night", False, "export NIGHT_HOOK=..."),
        ("mail", False, "correct it, then run `batchsync alerts test mail`"),
    ]
    deployment.run("alerts", "test", "opps", expect=2)
    assert 'unknown channel "opps"' in deployment.shown()
    assert "ops" in deployment.shown()


def test_doctor_checks_channels_and_sends_nothing(
    deployment: Deployment, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate", encoding="utf-8")
    deployment.edit(
        '    away: {webhook: slack, url: "${AWAY_HOOK}"}\n',
        "    mail: {email: [a@example.com], sender: b@example.com, host: localhost, ca_bundle: ca.pem}\n"
        '    chat: {apprise: ["${CHAT}"]}\n'
        '    signed: {webhook: json, url: "${OPS_HOOK}", secret: "${SIGN}"}\n',
    )
    monkeypatch.setenv("CHAT", "nothing://x")
    monkeypatch.setenv("SIGN", "whsec_?")
    monkeypatch.setenv("NIGHT_HOOK", "http://hooks.example.com/x")
    monkeypatch.delenv("CHECK_URL")
    found = deployment.json("doctor", expect=3)
    alerts = {item["check"]: (item["ok"], item["found"]) for item in found["checks"] if "alerts/" in item["check"]}
    assert alerts == {
        "alerts/ops": (True, "complete; `batchsync alerts test ops` sends a message"),
        "alerts/night": (False, "its URL is not https"),
        "alerts/mail": (False, "its ca_bundle is no file of certificates"),
        "alerts/chat": (False, "one of its URLs is none of apprise"),
        "alerts/signed": (False, "its secret begins with whsec_, and the rest is not base64"),
        "alerts/ping": (
            True,
            'credential "ping" of connection "alerts": CHECK_URL is not set, which runs against mocks do not need',
        ),
    }
    assert receiver.received == []


def test_alerts_test_without_alerts(deployment: Deployment) -> None:
    deployment.run("alerts", "test", expect=2)
    assert "the jobs file declares no alerts" in deployment.shown()
