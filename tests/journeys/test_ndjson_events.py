"""Every event of NDJSON, with every member that is documented, is written by real runs against the mocks."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.observers.ndjson import NdjsonObserver
from batchsync.ports import ClockDiffers, LimitReached, OriginChecked, PartialRead, TickSkipped
from batchsync.report.output_results import EVENTS
from batchsync.report.text_format import iso
from batchsync_mocks.faults import Fault
from kit.deployment import CDP
from kit.schemas import output_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.ports import RunEvent
    from kit.deployment import Deployment

PAGE = (
    (Path(__file__).parents[2] / "docs" / "observers.md")
    .read_text(encoding="utf-8")
    .partition("## NDJSON")[2]
    .partition("## ")[0]
)
#: Events of the page's table.
DOCUMENTED = set(
    re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| .* \|$", PAGE, re.MULTILINE)))
)


def lines_of(deployment: Deployment, *arguments: str, expect: int = 0) -> list[dict[str, Any]]:
    """Return the lines of a command, each checked against its schema."""
    return [json.loads(line) for line in deployment.run("-o", "ndjson", *arguments, expect=expect).splitlines()]


def missing_members(lines: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the documented members that no line of its event has, by event."""
    members: dict[str, set[str]] = {}
    for line in lines:
        members.setdefault(line["event"], set()).update(line)
    wanted = {
        name: {member.removesuffix("?") for form in EVENTS[name] for member in form} - {"*"}
        for name in DOCUMENTED & set(members)
    }
    return {name: rest for name, found in wanted.items() if (rest := found - members[name])}


def reload_lines(deployment: Deployment) -> list[dict[str, Any]]:
    """Return the lines of a `serve` whose jobs file became invalid, then valid."""
    file, log = deployment.folder / "jobs.yaml", deployment.folder / "served.ndjson"
    text = file.read_text(encoding="utf-8").replace("    on_removed:", "    schedule: {every: 1h}\n    on_removed:")
    file.write_text(text, encoding="utf-8")
    with log.open("wb") as out:
        process = subprocess.Popen(
            deployment.command("serve", "-o", "ndjson"), cwd=deployment.folder, env=deployment.environ(),
            stdout=out, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        for event, content in (("waiting", "jobs: ["), ("jobs_reload_failed", text), ("jobs_reloaded", "")):
            deadline = time.monotonic() + 60
            while f'"event":"{event}"' not in log.read_text(encoding="utf-8"):
                assert process.poll() is None
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.02)
            if content:
                file.write_text(content, encoding="utf-8")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert output_errors(log.read_text(encoding="utf-8")) == []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def lines_of_events(*events: RunEvent) -> list[dict[str, Any]]:
    """Return the lines of some events, each checked against its schema."""
    at = datetime(2026, 11, 30, 7, 30, 14, tzinfo=UTC)
    lines: list[dict[str, Any]] = []
    observer = NdjsonObserver(lambda line, at: lines.append({"timestamp": iso(at), **line}))
    for event in events:
        observer.observe(event, at)
    assert output_errors("\n".join(map(json.dumps, lines))) == []
    return lines


def test_each_documented_event_and_member_is_written(deployment: Deployment) -> None:
    guards = ("    on_removed: delete\n", "    on_removed: delete\n    guards: {min_rows: 1000}\n")
    deployment.edit(*guards)
    found = lines_of(deployment, "sync", "guests", expect=6)
    deployment.run("approve", "guests")
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path="/inspect/", status=404, times=0))
    deployment.run("sync", "guests", "--no-wait", expect=5)
    found += lines_of(deployment, "resume", "guests", expect=8)
    deployment.mocks.disarm()
    deployment.edit(*reversed(guards))
    found += reload_lines(deployment)
    # A server of databases, another clock, a branch, limits and late ticks: other tests have such runs.
    found += lines_of_events(
        PartialRead(job="guests", column="at", start="2026-11-29", full_at=None),
        ClockDiffers(job="guests", connection="sitecore", offset=timedelta(minutes=2)),
        OriginChecked(origin="main", error=None),
        LimitReached(job="guests", batch="guests-1f0c2a9be77d", limit="10,000 rows a day", until=None),
        TickSkipped(job="guests", tick=datetime(2026, 11, 30, tzinfo=UTC), reason="catch_up: none"),
    )

    assert DOCUMENTED - {line["event"] for line in found} == set()
    assert missing_members(found) == {}
