"""`serve --metrics` and the service manager: documents over HTTP, health, readiness and signs of life."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.deployment import Deployment

SCHEDULE = ("    on_removed: delete\n", "    on_removed: delete\n    schedule: {every: 1h}\n")


@contextmanager
def serving(deployment: Deployment, *arguments: str, **variables: str) -> Iterator[Path]:
    """Run `serve` until the block ends by SIGTERM; yield the file of its stderr."""
    deployment.edit(*SCHEDULE)
    log = deployment.folder / "serve.log"
    with log.open("wb") as err:
        process = subprocess.Popen(
            deployment.command("serve", *arguments), cwd=deployment.folder,
            env=deployment.environ() | {"BATCHSYNC_SKIP_POLL_WAIT": "0"} | variables,
            stdout=subprocess.DEVNULL, stderr=err,
        )  # fmt: skip
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def wait_for(log: Path, pattern: str) -> str:
    """Return the first group of a pattern once the log has it."""
    deadline = time.monotonic() + 60
    while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.02)
    return found[1]


def answer(url: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Return status, content type and body of a document."""
    response = requests.request(method, url, timeout=20)
    return response.status_code, response.headers["Content-Type"], response.content


def test_metrics_health_and_readiness_are_served(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)
    deployment.mocks.advance(600)  # a poll is due
    with serving(deployment, "--metrics", "127.0.0.1:0") as log:
        url = wait_for(log, r"metrics at (http://127\.0\.0\.1:\d+)/metrics")
        wait_for(log, r"(waiting until)")
        status, kind, body = answer(f"{url}/metrics")
        families = {item.name: item for item in text_string_to_metric_families(body.decode())}
        found = [answer(f"{url}/{path}")[::2] for path in ("healthz", "readyz")]
        head, refused, lost = answer(f"{url}/metrics", "HEAD"), answer(f"{url}/metrics", "POST"), answer(f"{url}/x")

    assert status == 200
    assert kind.startswith("text/plain; version=")
    (tick,) = families["batchsync_next_tick_timestamp_seconds"].samples
    assert tick.labels == {"job": "guests"}
    assert families["batchsync_loop_last_turn_timestamp_seconds"].samples
    assert {sample.labels["call"] for sample in families["batchsync_vendor_call_duration_seconds"].samples} >= {"poll"}
    assert found == [(200, b"ok\n"), (200, b"ok\n")]
    assert (head[0], head[2]) == (200, b"")
    assert refused[0] == 405
    assert (lost[0], lost[2]) == (404, b"/metrics\n/healthz\n/readyz\n")


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_service_manager_is_notified(deployment: Deployment, kind: str) -> None:
    name = str(deployment.folder / "notify") if kind == "path" else f"@batchsync-{deployment.folder.name}"
    messages: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name if kind == "path" else f"\0{name[1:]}")

        def listen() -> None:
            while not messages or messages[-1] != "STOPPING=1":
                messages.append(manager.recv(4096).decode())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        with serving(deployment, NOTIFY_SOCKET=name, WATCHDOG_USEC="400000") as log:
            wait_for(log, r"(waiting until)")
            deployment.edit(SCHEDULE[1], SCHEDULE[0] + "    schedule: {every: 2h}\n")
        listener.join(timeout=30)

    assert messages[-1] == "STOPPING=1"
    ready = messages.index("READY=1\nSTATUS=serving 2 jobs")
    assert "WATCHDOG=1" in messages
    assert not [text for text in messages[:ready] if not text.startswith("WATCHDOG")]
    assert any(text.startswith("STATUS=waiting ") for text in messages[ready:])


@pytest.mark.parametrize(
    "address", ["192.0.2.1:9464", "127.0.0.1:99999", "127.0.0.1:x", "http://localhost:9464", "a b:1"]
)
def test_bad_address_is_refused(deployment: Deployment, address: str) -> None:
    deployment.edit(*SCHEDULE)
    expect = 3 if address == "192.0.2.1:9464" else 2
    deployment.run("serve", "--metrics", address, "--once", expect=expect)
    assert "--metrics" in deployment.shown()


def test_address_in_use_is_refused(deployment: Deployment) -> None:
    deployment.edit(*SCHEDULE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        deployment.run("serve", "--metrics", f"127.0.0.1:{taken.getsockname()[1]}", "--once", expect=3)
    assert "metrics cannot be served at 127.0.0.1" in deployment.shown()


def test_metrics_file_that_is_not_read_by_the_collector_is_refused(deployment: Deployment) -> None:
    deployment.edit(*SCHEDULE)
    deployment.run("sync", "--metrics-file", "metrics.txt", expect=2)
    assert "node_exporter reads *.prom only" in deployment.shown()
    deployment.run("resume", "--metrics-file", "missing/a.prom", expect=2)
    assert "no such folder" in deployment.shown()
    deployment.run("serve", "--metrics-file", "a.prom", expect=2)
    assert "add --once" in deployment.shown()


def test_metrics_file_is_written_by_serve_once_and_by_commands_that_fail(deployment: Deployment) -> None:
    deployment.edit(*SCHEDULE)
    deployment.run("serve", "--once", "--metrics-file", "a.prom")
    deployment.edit("version: 1", "version: 2")
    deployment.run("sync", "--metrics-file", "b.prom", expect=2)

    for name in ("a.prom", "b.prom"):
        text = (deployment.folder / name).read_text(encoding="utf-8")
        assert {item.name for item in text_string_to_metric_families(text)} >= {
            "batchsync_rows",
            "batchsync_build_info",
        }
    assert (deployment.folder / "a.prom").stat().st_mode & 0o777 == 0o644


def test_page_serves_the_metrics_on_its_port(deployment: Deployment) -> None:
    with serving(deployment, "--page", "127.0.0.1:0") as log:
        url = wait_for(log, r"page: (http://127\.0\.0\.1:\d+)/")
        wait_for(log, r"(waiting until)")
        status, kind, body = answer(f"{url}/metrics")
        probes = [answer(f"{url}/{path}")[::2] for path in ("healthz", "readyz")]

    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    assert "batchsync_loop_last_turn_timestamp_seconds" in {
        item.name for item in text_string_to_metric_families(body.decode())
    }
    assert probes == [(200, b"ok\n"), (200, b"ok\n")]
