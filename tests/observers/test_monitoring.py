"""What watches a command: missing extras, addresses, signs of life, and a service manager that is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.cli import monitoring
from batchsync.cli.session import Session
from batchsync.core.loop_health import WAIT_MARGIN, WORK_MARGIN
from batchsync.errors import UsageError
from batchsync.observers.loop_health import LoopHealth
from batchsync.observers.systemd import notifier
from batchsync.ports import Waiting

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from pathlib import Path

NOW = datetime(2026, 11, 30, 7, 30, 14, tzinfo=UTC)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ModuleSpec | None:
        if "." in name:
            raise ModuleNotFoundError(name)
        return None

    monkeypatch.setattr(monitoring, "find_spec", missing)


@pytest.mark.usefixtures("nothing_installed")
def test_missing_extra_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError) as raised,
        monitoring.metrics_written(Session(), (), tmp_path / "a.prom"),
    ):
        pass
    assert raised.value.hint == "Install it: pip install 'batchsync[metrics]'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("nothing_installed")
def test_variables_of_traces_have_no_effect_without_the_extra() -> None:
    with monitoring.traced({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as observers:
        assert observers == []


@pytest.mark.usefixtures("nothing_installed")
def test_serve_needs_no_extra() -> None:
    with monitoring.monitored_serve(Session(), (), address=None, file=None, page=True) as found:
        assert (found.documents, found.metrics) == ({}, None)
        assert found.is_alive() == (True, "ok")
        assert found.is_ready() == (False, "jobs are not loaded yet")
        found.ready(tuple)
        assert found.is_ready() == (True, "ok")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("9000", ("127.0.0.1", 9000)),
        (":0", ("127.0.0.1", 0)),
        ("10.0.0.7", ("10.0.0.7", 9464)),
        ("metrics.internal:80", ("metrics.internal", 80)),
        ("[::1]:9000", ("::1", 9000)),
        ("[::1]", ("::1", 9464)),
    ],
)
def test_address_may_leave_out_host_or_port(text: str, address: tuple[str, int]) -> None:
    assert monitoring._address(text) == address


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/"}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_no_service_manager_is_notified_where_there_is_none(environ: dict[str, str]) -> None:
    assert notifier(environ, lambda: True) is None


def test_lost_service_manager_is_no_failure(tmp_path: Path) -> None:
    found = notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "x"}, lambda: True)
    assert found is not None
    with found.running():
        found.ready(3)
        found.observe(Waiting(until=NOW), NOW)


def test_health_follows_the_events_of_the_loop() -> None:
    seconds = [0.0]
    health = LoopHealth(lambda: seconds[0])
    assert health.is_healthy()
    health.observe(Waiting(until=NOW + timedelta(minutes=5)), NOW)
    seconds[0] += (timedelta(minutes=5) + WAIT_MARGIN).total_seconds()
    assert health.is_healthy()
    seconds[0] += 1
    assert not health.is_healthy()
    health.beat()
    seconds[0] += WORK_MARGIN.total_seconds()
    assert health.is_healthy()
    health.transfer()
    seconds[0] += WORK_MARGIN.total_seconds()
    assert health.is_healthy()
    seconds[0] += 1
    assert not health.is_healthy()


def test_transfer_beside_a_wait_does_not_prolong_it() -> None:
    seconds = [0.0]
    health = LoopHealth(lambda: seconds[0], timedelta(minutes=30))
    health.observe(Waiting(until=NOW + timedelta(minutes=5)), NOW)
    health.transfer()
    seconds[0] += (timedelta(minutes=5) + WAIT_MARGIN).total_seconds() + 1
    assert not health.is_healthy()
    health.beat()
    seconds[0] += 1801
    assert not health.is_healthy()
