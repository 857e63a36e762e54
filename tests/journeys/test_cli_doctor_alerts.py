"""`batchsync doctor` checks channels of alerts without mocks: a missing secret is a problem there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.cli.doctor_alerts import examine_alerts
from batchsync.core.alert_channels import AlertSettings, WebhookChannel

if TYPE_CHECKING:
    import pytest

SETTINGS = AlertSettings(channels=(WebhookChannel(name="ops", shape="json", url="${OPS}"),), ping="${PING}")


def test_missing_secret_and_wrong_url_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS", raising=False)
    monkeypatch.setenv("PING", "ftp://127.0.0.1/check")
    ops, ping = examine_alerts(SETTINGS, is_trial=False)
    assert (ops.ok, ops.fix) == (False, "export OPS=...")
    assert (ping.ok, ping.found, ping.fix) == (False, "its URL is not https", "correct alerts/ping in the jobs file")


def test_complete_channels_are_found_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS", "https://hooks.example.com/secret")
    monkeypatch.setenv("PING", "https://hc.example.com/secret")
    found = list(examine_alerts(SETTINGS, is_trial=False))
    assert all(item.ok for item in found)
    assert "secret" not in " ".join(item.found for item in found)
