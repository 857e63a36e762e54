"""The process `batchsync serve` runs a changed jobs.yaml, reports an invalid one, ends cleanly, and keeps real time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kit.deployment import Deployment


CDP = "sitecore-cdp"


@contextmanager
def serving(deployment: Deployment, *more: str, **variables: str) -> Iterator[Callable[[str], str]]:
    """Run `serve` in a subprocess; yield a function that waits for a pattern in its output and returns the match."""
    log = deployment.folder / "served.log"
    environ = deployment.environ() | variables
    with log.open("wb") as out:
        process = subprocess.Popen(
            deployment.command("serve", *more), cwd=deployment.folder, env=environ, stdout=out, stderr=out
        )

    def wait_for(pattern: str) -> str:
        deadline = time.monotonic() + 60
        while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.02)
        return found[0]

    try:
        yield wait_for
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143, log.read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def schedule_hourly(file: Path) -> str:
    """Give the job guests an hourly schedule; return the new text of the file."""
    text = file.read_text(encoding="utf-8").replace("    on_removed:", "    schedule: {every: 1h}\n    on_removed:")
    file.write_text(text, encoding="utf-8")
    return text


def test_changed_jobs_file_is_run_and_invalid_one_is_reported(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    text = schedule_hourly(file)
    with serving(deployment) as wait_for:
        wait_for(r"guests: settled")
        file.write_text(text.replace("=lower(email)", "=lowr(email)"), encoding="utf-8")
        kept = r"jobs\.yaml:\d+:\d+[^\0]*has changed and job guests cannot be used as it is now"
        assert "lowr" in wait_for(kept)
        file.write_text(text.replace("=initcap(name)", "=upper(name)"), encoding="utf-8")
        wait_for(r"has changed; active jobs: vehicles, guests")
        wait_for(r"0 added, [1-9]\d* changed, 0 removed")

    names = {item["ref"]: item["value"]["firstName"] for item in deployment.mocks.ledger(CDP, values=True)}
    assert names
    assert {name for name in names.values() if name != name.upper()} == set()


def test_reload_is_reported_as_ndjson(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    text = schedule_hourly(file)
    with serving(deployment, "-o", "ndjson", "--quiet") as wait_for:
        wait_for(r'"event": ?"waiting"')
        file.write_text("jobs: [", encoding="utf-8")
        refused = json.loads(wait_for(r'\{"event": ?"jobs_reload_failed".*\n'))
        assert refused["error"]["problems"][0]["file"] == "jobs.yaml"
        file.write_text(text, encoding="utf-8")
        reloaded = json.loads(wait_for(r'\{"event": ?"jobs_reloaded".*\n'))
        assert (reloaded["jobs"], reloaded["removed"]) == (["vehicles", "guests"], [])


def test_edit_during_serve_once_ends_cleanly(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    text = schedule_hourly(file)
    deployment.run("serve", "--once")
    deployment.mocks.advance(2 * 3600)
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=0.5))
    with subprocess.Popen(
        deployment.command("serve", "--once"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(fault["hits"] for fault in deployment.mocks.faults()):
            assert process.poll() is None
            time.sleep(0.01)
        file.write_text(text.replace("schedule: {every: 1h}", "compression: smaller"), encoding="utf-8")
        out, err = process.communicate(timeout=60)

    assert process.returncode == 5, err
    assert out.startswith("guests: in flight")
    assert "no active job has a schedule, so nothing will run" in err


@pytest.mark.parametrize("setting", ["", "0"])
def test_clock_of_mocks_keeps_real_time_by_default(deployment: Deployment, setting: str) -> None:
    schedule_hourly(deployment.folder / "jobs.yaml")
    with serving(deployment, "-o", "ndjson", "--quiet", BATCHSYNC_SKIP_POLL_WAIT=setting) as wait_for:
        wait_for(r'"event": ?"waiting"')
        before, shown, after = time.time(), deployment.mocks.clock.now(), time.time()
        # Clocks of one machine that read it one after the other: nothing advanced that of the mocks.
        assert before - 0.01 <= shown <= after + 0.01
        assert [batch["status"] for batch in deployment.mocks.batches(CDP)] != ["success"]
