"""Dispatch of events: to every observer in order, whatever one of them does, and to observers of installed packages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.observers.dispatch import Dispatcher
from batchsync.ports import Waiting
from batchsync_mocks.faults import Fault
from kit.deployment import CDP

if TYPE_CHECKING:
    from batchsync.ports import RunEvent
    from kit.deployment import Deployment

NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
EVENT = Waiting(until=NOW)

#: An observer as another package would ship it: it writes each event with its time to a file.
OBSERVER = """
import dataclasses, os

class EventFile:
    def observe(self, event, at):
        with open(os.environ["EVENT_FILE"], "a", encoding="utf-8") as file:
            print(at.isoformat(), type(event).__name__, getattr(event, "job", ""), file=file)

class Defective:
    def observe(self, event, at):
        raise RuntimeError("SECRET")

def not_created():
    raise RuntimeError("SECRET")
"""


class Recorder:
    """Observer that keeps its events."""

    def __init__(self) -> None:
        self.seen: list[tuple[RunEvent, datetime]] = []

    def observe(self, event: RunEvent, at: datetime) -> None:
        self.seen.append((event, at))


class Defective:
    """Observer that raises at each event."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def observe(self, *_: object) -> None:
        self.calls += 1
        raise self.error


def test_defective_observer_is_dropped_and_others_go_on() -> None:
    first, defective, last = Recorder(), Defective(ValueError("row value")), Recorder()
    warnings: list[str] = []
    dispatcher = Dispatcher([first, defective, last], now=lambda: NOW, warn=warnings.append)

    dispatcher.emit(EVENT)
    dispatcher.emit(EVENT)

    assert first.seen == last.seen == [(EVENT, NOW)] * 2
    assert defective.calls == 1
    assert len(warnings) == 1
    assert "Defective failed and is ignored from now on: ValueError" in warnings[0]
    assert "row value" not in warnings[0]


def test_interruption_in_an_observer_ends_the_command() -> None:
    """A signal that arrives while an observer runs is not swallowed."""
    dispatcher = Dispatcher([Defective(KeyboardInterrupt())], now=lambda: NOW, warn=pytest.fail)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.emit(EVENT)


def run_with_package(
    deployment: Deployment, folder: Path, observers: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run batchsync with an installed package that registers these observers."""
    package = folder / "site"
    info = package / "acme_observers-1.dist-info"
    info.mkdir(parents=True)
    (package / "acme_observers.py").write_text(OBSERVER, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-observers\nVersion: 1\n", encoding="utf-8")
    points = "".join(f"{name} = acme_observers:{target}\n" for name, target in observers.items())
    (info / "entry_points.txt").write_text(f"[batchsync.observers]\n{points}", encoding="utf-8")
    paths = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    environ = deployment.environ() | {"PYTHONPATH": paths, "EVENT_FILE": str(folder / "events.txt")}
    return subprocess.run(
        [sys.executable, "-m", "batchsync", *arguments],
        cwd=deployment.folder, env=environ, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_observer_of_a_package_receives_the_events_of_a_run(deployment: Deployment, tmp_path: Path) -> None:
    done = run_with_package(deployment, tmp_path, {"file": "EventFile"}, "sync", "guests")

    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in (tmp_path / "events.txt").read_text("utf-8").splitlines()]
    times = [datetime.fromisoformat(line[0]) for line in lines]
    assert all(time.utcoffset() is not None for time in times)
    assert times == sorted(times)
    names = [line[1] for line in lines]
    assert names[:3] == ["CommandStarted", "VendorCalled", "Progress"]
    assert names[-2:] == ["RunFinished", "JobFinished"]
    order = [names.index(name) for name in ("RunStarted", "BatchChanged", "RunFinished")]
    assert order == sorted(order)
    assert {line[2] for line in lines if len(line) > 2} == {"guests"}


def test_defective_observers_of_packages_harm_no_run(deployment: Deployment, tmp_path: Path) -> None:
    observers = {"bad": "Defective", "file": "EventFile", "missing": "NoSuchName", "none": "not_created"}

    done = run_with_package(deployment, tmp_path, observers, "sync", "guests")

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "SECRET" not in done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: observer missing (acme_observers:NoSuchName) cannot be created: AttributeError",
        "warning: observer none (acme_observers:not_created) cannot be created: RuntimeError",
        "warning: observer acme_observers.Defective failed and is ignored from now on: RuntimeError",
    ]
    assert "JobFinished" in (tmp_path / "events.txt").read_text("utf-8")


def ndjson(output: str) -> list[dict[str, object]]:
    """Return the objects of an NDJSON stream, after checking that each has its kind and a time with zone."""
    lines = [json.loads(line) for line in output.splitlines()]
    times = [datetime.fromisoformat(line["timestamp"]) for line in lines]
    assert all(time.utcoffset() is not None for time in times)
    assert times == sorted(times)
    assert all(isinstance(line["event"], str) for line in lines)
    return lines


def test_ndjson_stream_has_kind_and_time_in_each_line(deployment: Deployment) -> None:
    lines = ndjson(deployment.run("-o", "ndjson", "sync"))

    kinds = [line["event"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("started", "finished")
    assert {"stage", "run_started", "batch_changed", "run_finished", "job_finished", "settled"} <= set(kinds)
    started = [line for line in lines if line["event"] == "run_started"]
    assert [line["run"] for line in started] == ["vehicles-1", "guests-1"]
    assert all(line["selected"] and line["to_send"] for line in started)
    (guests,) = [line for line in lines if line["event"] == "run_finished" and line["job"] == "guests"]
    assert guests["state"] == "settled"


def test_tripped_guard_and_attention_are_events(deployment: Deployment) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(
        jobs.read_text("utf-8").replace(
            "    on_removed: delete\n", "    on_removed: delete\n    guards: {min_rows: 1000}\n"
        ),
        "utf-8",
    )

    stopped = ndjson(deployment.run("-o", "ndjson", "sync", "guests", expect=6))

    (tripped,) = [line for line in stopped if line["event"] == "guard_tripped"]
    assert (tripped["job"], tripped["run"], tripped["guard"]) == ("guests", "guests-1", "min_rows")
    deployment.run("approve", "guests")
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path="/inspect/", status=404, times=0))
    lost = ndjson(deployment.run("-o", "ndjson", "sync", "guests", expect=8))
    (attention,) = [line for line in lost if line["event"] == "needs_attention"]
    assert attention["reason"] == "29 of 29 records have an unknown outcome"
    assert [line["exit_code"] for line in lost if line["event"] == "job_finished"] == [8]


def test_log_lines_have_time_with_zone_and_level(deployment: Deployment) -> None:
    done = subprocess.run(
        deployment.command("sync", "guests"), cwd=deployment.folder, env=deployment.environ(),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    lines = [line.split(maxsplit=2) for line in done.stderr.splitlines()]
    assert lines
    assert all(datetime.fromisoformat(line[0]).utcoffset() is not None for line in lines)
    assert {line[1] for line in lines} == {"INFO"}
    assert any(line[2].startswith("guests: run guests-1 settled: selected 30 = ") for line in lines)


def test_documented_events_are_those_of_the_code() -> None:
    """docs/observers.md has a row for each kind of event, with its members."""
    page = (Path(__file__).parents[2] / "docs" / "observers.md").read_text("utf-8").partition("## NDJSON")[2]
    documented = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE))))
    code = (Path(__file__).parents[2] / "engine" / "batchsync" / "observers" / "ndjson.py").read_text("utf-8")

    assert documented - {"finished"} == set(re.findall(r'"event": "(\w+)"', code))
