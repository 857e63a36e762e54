"""`--log-format json`: every line on stderr is an object with the documented members, whatever the command."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.report.log_entry import FIELDS
from batchsync_mocks.faults import Fault
from kit.command_forks import command_forks
from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment


def log_of(deployment: Deployment, *arguments: str, expect: int = 0, **variables: str) -> list[dict[str, Any]]:
    """Return the lines on stderr of a command, each checked for its members."""
    environ = deployment.environ() | variables
    done = command_forks().run(arguments, cwd=deployment.folder, environ=environ, timeout=60)
    assert done.returncode == expect, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        assert list(line) == list(FIELDS)
        assert datetime.fromisoformat(line["time"]).utcoffset() is not None
        assert line["level"] in {"info", "warning", "error"}
        assert line["message"]
    return lines


def test_run_is_logged_as_json(deployment: Deployment) -> None:
    lines = log_of(deployment, "sync", "guests", "--log-format", "json")

    changed = [line for line in lines if line["event"] == "batch_changed"]
    assert {(line["job"], line["run"]) for line in changed} == {("guests", "guests-1")}
    assert {line["batch"].partition("-")[0] for line in changed} == {"guests"}
    (ended,) = [line for line in lines if line["event"] == "run_finished"]
    assert (ended["level"], ended["batch"]) == ("info", None)
    assert ended["message"].startswith("guests: run guests-1 settled: selected 30 = ")


def test_attention_errors_and_warnings_are_json(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path="/inspect/", status=404, times=0))
    attention = log_of(deployment, "sync", "guests", expect=8, BATCHSYNC_LOG_FORMAT="json")
    deployment.edit("=lower(email)", "=lowr(email)")
    refused = log_of(deployment, "sync", expect=2, BATCHSYNC_LOG_FORMAT="json")
    unknown = log_of(deployment, "sync", "--log-format", "json", "--nope", expect=2)

    (line,) = [line for line in attention if line["event"] == "needs_attention"]
    assert (line["level"], line["job"], line["run"]) == ("error", "guests", "guests-1")
    invalid = [line for line in refused if line["event"] in ("problem", "failed")]
    assert [line["event"] for line in invalid] == ["problem", "failed"]
    assert "lowr" in invalid[0]["message"]
    assert [(line["event"], line["level"]) for line in unknown] == [("failed", "error")]


@pytest.mark.parametrize("value", ["yaml", "JSON"])
def test_unknown_format_is_refused(deployment: Deployment, value: str) -> None:
    done = subprocess.run(
        deployment.command("sync", "guests"), cwd=deployment.folder,
        env=deployment.environ() | {"BATCHSYNC_LOG_FORMAT": value}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "BATCHSYNC_LOG_FORMAT" in done.stderr
