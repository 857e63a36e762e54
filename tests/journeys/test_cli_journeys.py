"""The real command line against real mocks: the output of each command, from the first plan to the settlement."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from kit.deployment import Deployment

CDP = "sitecore-cdp"


@pytest.fixture
def batchsync(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run batchsync in this process, in the folder of the deployment, against its mocks."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environ = deployment.environ()
    yield lambda *arguments, **more: CliRunner().invoke(main, list(arguments), env=environ | more)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def json_result(result: Result) -> Any:
    """Return the result part of a JSON envelope."""
    return json.loads(result.stdout)["result"]


def add_setting(deployment: Deployment, setting: str) -> None:
    """Add a setting to the job guests."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("on_removed: delete", f"on_removed: delete\n    {setting}")
    )


def keep_guests(deployment: Deployment, count: int) -> None:
    """Keep only the first `count` guests in the source."""
    file = deployment.folder / "guests.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[: count + 1]) + "\n", encoding="utf-8")


def tree(folder: Path) -> set[str]:
    """Return every file below a folder except those that SQLite creates for readers."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if not name.endswith(("-wal", "-shm"))}


def test_sync_prints_balanced_settlement_and_next_command(
    batchsync: Callable[..., Result],
) -> None:
    result = batchsync("sync", "guests")

    assert result.exit_code == 0, result.stderr
    assert re.sub(r"\(run 1, [^)]*\)|\([0-9.]+ k?B\)", "(...)", result.stdout) == (
        "guests: settled (...)\n"
        "  selected 30 = unchanged 0 + accepted 29 + invalid 1 + rejected 0 + unknown 0 + deferred 0"
        "   (budget: 5 invalid, 5 rejected: met)\n"
        "  sent 29 records in 1 batch file (...): 29 added, 0 changed, 0 removed\n"
        "  why: `batchsync rejects guests`\n"
    )
    progress = [line.split(maxsplit=2)[2] for line in result.stderr.splitlines()]
    assert any(re.fullmatch(r"guests: batch guests-[0-9a-f]{12}: submitted", line) for line in progress)
    assert len(progress) == len(set(pairwise(progress))) + 1, "a line was repeated"
    assert "\x1b" not in result.stdout + result.stderr


def test_plan_makes_no_requests_and_leaves_no_files(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path=".*", status=500, times=0))
    before = tree(deployment.folder)
    result = batchsync("plan", "guests")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(
        "guests: + 29 adds, ~ 0 changes, - 0 removes\n  selected 30 = unchanged 0 + to send 29"
    )
    assert not any(fault["hits"] for fault in deployment.mocks.faults())
    assert tree(deployment.folder) == before


def test_plan_after_sync_has_nothing_to_send(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    assert batchsync("plan", "guests", "--detailed-exitcode").exit_code == 10
    batchsync("sync", "guests")
    before = tree(deployment.folder)

    assert "guests: (nothing to send)" in batchsync("plan", "guests", "--detailed-exitcode").stdout
    assert tree(deployment.folder) == before


def test_plan_after_record_edit_reports_edited_job(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    edited = "the job was edited since its last run; {} records in the baseline differ"
    assert "the job was edited" not in batchsync("plan", "guests").stdout
    batchsync("sync", "guests")
    file = deployment.folder / "jobs.yaml"
    original = file.read_text(encoding="utf-8")
    file.write_text(original.replace("on_removed: delete", "on_removed: ignore"), encoding="utf-8")
    assert edited.format("0 of 29") in batchsync("plan", "guests").stdout
    file.write_text(original.replace("=initcap(name)", "=trim(initcap(name))"), encoding="utf-8")
    assert edited.format("0 of 29") in batchsync("plan", "guests").stdout
    file.write_text(original.replace("=initcap(name)", "=upper(name)"), encoding="utf-8")
    assert edited.format("29 of 29") in batchsync("plan", "guests").stdout


def test_unplannable_job_does_not_hide_others(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    (deployment.folder / "vehicles.csv").unlink()
    result = batchsync("plan")

    assert result.exit_code == 3
    assert result.stdout.startswith("guests: + 29 adds")
    assert "vehicles: no plan: " in result.stdout
    assert "vehicles.csv does not exist" in result.stdout


def test_guard_blocks_run_until_plan_is_approved(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    add_setting(deployment, "guards: {max_remove: 5%}")
    batchsync("sync", "guests")
    keep_guests(deployment, 10)

    planned = batchsync("plan", "guests", "--detailed-exitcode", "--limit", "2")
    assert planned.exit_code == 6
    assert re.findall(r"^  - (.*)", planned.stdout, re.MULTILINE)[2:] == ["17 more: `--limit N` shows N of each kind"]
    removed = batchsync("plan", "guests", "--limit", "0").stdout
    assert "- 19 removes" in removed
    assert "\n  - " not in removed
    blocked = batchsync("sync", "guests")
    assert blocked.exit_code == 6
    assert "nothing was sent; the plan is 0 added, 0 changed, 19 removed" in blocked.stdout
    assert blocked.stdout.splitlines()[-1].startswith("next: `batchsync approve guests`")
    assert "next: `batchsync approve guests`" in batchsync("status").stdout

    approved = batchsync("approve", "guests", "--reason", "spring cleaning").stdout
    assert "0 added, 0 changed, 19 removed" in approved
    assert "next: `batchsync sync guests` sends the approved plan" in batchsync("status").stdout
    assert "19 removed" in batchsync("sync", "guests").stdout
    history = batchsync("history", "guests").stdout.splitlines()
    assert [line.split("  ")[-1].strip() for line in history] == ["approved", "spring cleaning", "spring cleaning", "-"]
    approvals = [item["approved"] for item in json_result(batchsync("-o", "json", "history", "guests"))["runs"]]
    assert [item and item["reason"] for item in approvals] == ["spring cleaning", "spring cleaning", None]
    assert "spring cleaning" in batchsync("show", "guests").stdout
    again = batchsync("approve", "guests")
    assert again.exit_code == 2
    assert again.stderr.startswith("error: guests does not await approval")


def test_rejects_above_budget_are_listed_grouped_and_exported(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8").replace("    budget: {invalid: 5, rejected: 5}\n", "")
    jobs.write_text(text, encoding="utf-8")
    result = batchsync("sync", "vehicles")

    assert result.exit_code == 4
    assert "(budget: 0 invalid, 0 rejected: exceeded)" in result.stdout
    assert (
        result.stdout.splitlines()[-1]
        == "next: `batchsync rejects vehicles` lists invalid and rejected rows with reasons"
    )
    shown = json_result(batchsync("-o", "json", "rejects", "vehicles"))
    assert [(item["kind"], item["key"]) for item in shown["rejects"]] == [("rejected", "V0")]
    assert json_result(batchsync("-o", "json", "rejects", "vehicles", "--groups"))["total"] == 1
    assert json_result(batchsync("-o", "json", "rejects", "vehicles", "--kind", "invalid"))["rejects"] == []
    batchsync("rejects", "vehicles", "--export", "why.csv")
    exported = (deployment.folder / "why.csv").read_text(encoding="utf-8").splitlines()
    assert exported[0] == "job,run,batch,kind,key,field,code,reason,batch_line,source_row,retry"
    assert exported[1].startswith("vehicles,vehicles-1,vehicles-")
    assert len(exported) == 2
    assert (deployment.folder / "why.csv").stat().st_mode & 0o777 == 0o600
    piped = batchsync("rejects", "vehicles", "--export", "-")
    assert (piped.exit_code, piped.stdout.splitlines()) == (0, exported)
    assert not (deployment.folder / "-").exists()


def test_earlier_rejects_are_still_reported(batchsync: Callable[..., Result]) -> None:
    batchsync("sync", "vehicles")
    batchsync("sync", "vehicles")

    shown = batchsync("rejects", "vehicles").stdout
    assert "1 record more, rejected or unknown in an earlier run and not changed since" in shown
    assert json_result(batchsync("-o", "json", "rejects", "vehicles", "--all"))["total"] == 1


def test_retry_rejected_resends_unchanged_rows(batchsync: Callable[..., Result]) -> None:
    batchsync("sync", "vehicles")
    assert "nothing to send" in batchsync("plan", "vehicles").stdout

    assert "+ 1 add" in batchsync("plan", "vehicles", "--retry-rejected").stdout
    again = json_result(batchsync("-o", "json", "sync", "vehicles", "--retry-rejected"))

    assert again["jobs"][0]["runs"][-1]["settlement"]["rejected"] == 1
    assert "sent 1 record" in batchsync("show", "vehicles").stdout


def test_sync_no_wait_is_unsettled_until_resume(batchsync: Callable[..., Result]) -> None:
    started = batchsync("sync", "guests", "--no-wait")
    envelope = json.loads(batchsync("resume", "--no-wait", "-o", "json").stdout)
    assert (envelope["ok"], envelope["exit_code"], envelope["error"]["code"]) == (False, 5, "unsettled")

    assert started.exit_code == 5
    assert "guests: in flight" in started.stdout
    assert started.stdout.splitlines()[-1] == "next: `batchsync resume guests` completes the batches in flight"
    status = batchsync("status").stdout
    assert status.startswith("open batch")
    assert "check again in" in status
    assert "guests: settled" in batchsync("resume").stdout
    settled = batchsync("status")
    assert (settled.exit_code, "open batch" in settled.stdout) == (0, False)


def test_status_uses_clock_of_mocks(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    deployment.mocks.advance(3600)
    batchsync("sync", "guests", "--no-wait")
    assert re.search(r"check again in \d+ s\n", batchsync("status").stdout)


def test_json_is_one_document_and_ndjson_one_event_per_line(batchsync: Callable[..., Result]) -> None:
    result = batchsync("sync", "guests", "-o", "json")
    document = json.loads(result.stdout)
    assert (document["ok"], document["command"], document["error"]) == (True, "sync", None)

    lines = batchsync("-o", "ndjson", "sync", "vehicles", "-q")
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "started"
    assert names[-3:] == ["settled", "job", "finished"]
    assert {"run_started", "batch_changed", "waiting"} <= set(names)
    assert lines.stderr == ""


def test_show_and_history_use_run_ids(batchsync: Callable[..., Result]) -> None:
    batchsync("sync")

    assert batchsync("show", "guests").stdout == batchsync("show", "guests-1").stdout
    assert [item["job"] for item in json_result(batchsync("-o", "json", "show"))["runs"]] == ["vehicles", "guests"]
    assert [item["run"] for item in json_result(batchsync("-o", "json", "history", "guests"))["runs"]] == ["guests-1"]
    unknown = batchsync("show", "orders")
    assert (unknown.exit_code, unknown.stderr.splitlines()[0]) == (2, 'error: unknown run or job "orders" [BS-C008]')
    assert 'did you mean "guests"? jobs are: guests, vehicles' in batchsync("show", "gests").stderr
    for command in ("plan", "history", "schedule", "sync"):
        assert 'did you mean "guests"?' in batchsync(command, "gests").stderr


def test_resume_completes_cancelled_batch(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=503, times=0))
    assert batchsync("sync", "guests", "--no-wait").exit_code == 5
    deployment.mocks.disarm()

    assert "cancelled, nothing was sent" in batchsync("cancel", "guests").stdout
    assert "accepted 0 + invalid 1 + rejected 29" in batchsync("resume", "guests").stdout
    refused = batchsync("cancel", "guests")
    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (2, "error: guests has no open batches [BS-C009]")


def test_doctor_with_valid_deployment_finds_no_problem(batchsync: Callable[..., Result]) -> None:
    result = batchsync("doctor")

    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "no problems found"
    assert re.search(r"^ok +sitecore/guests +.* knows the target$", result.stdout, re.MULTILINE)


def test_doctor_reports_missing_credential_without_secrets(batchsync: Callable[..., Result]) -> None:
    bare = {"BATCHSYNC_MOCKS": "0", "SITECORE_CLIENT_KEY": "s3cret-key"}
    result = batchsync("doctor", **bare)

    assert result.exit_code == 3
    assert "SITECORE_API_TOKEN" in result.stdout
    assert "s3cret-key" not in result.stdout + result.stderr


def test_unlock_reports_previous_holder(batchsync: Callable[..., Result]) -> None:
    batchsync("sync", "guests")

    assert batchsync("unlock", "guests").stdout.startswith("guests: lease of no process broken")


def test_mocks_option_uses_bundled_mocks_for_every_vendor(deployment: Deployment) -> None:
    """Run the program in a process of its own, with mocks of its own and without credentials."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("BATCHSYNC_")}
    completed = subprocess.run(
        deployment.command("sync", "--mocks", "--quiet"),
        cwd=deployment.folder,
        env=bare,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.splitlines()[-1] == (
        "total: 2 runs: selected 50 = unchanged 0 + accepted 48 + invalid 1 + rejected 1 + unknown 0 + deferred 0"
    )


def test_ctrl_c_during_sync_saves_state(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=1.0))
    with subprocess.Popen(
        deployment.command("sync", "guests"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(fault["hits"] for fault in deployment.mocks.faults()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=30)[1]

    assert process.returncode == 130
    assert stderr.splitlines()[-2:] == [
        "error: interrupted; state saved",
        "next: run the same command to continue, or `batchsync resume` to finish only what is in flight",
    ]
    assert "Traceback" not in stderr
    assert "accepted 29" in deployment.run("resume")


def test_status_works_with_invalid_jobs_file(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    batchsync("sync", "guests", "--no-wait")
    (deployment.folder / "jobs.yaml").write_text("jobs: [", encoding="utf-8")
    result = batchsync("status")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("open batch")
    assert "`batchsync validate` shows them" in result.stdout


def test_status_of_selected_job_omits_others(batchsync: Callable[..., Result]) -> None:
    batchsync("sync", "--no-wait")

    status = json_result(batchsync("-o", "json", "status", "guests"))
    assert {item["job"] for item in (*status["open"], *status["jobs"])} == {"guests"}
    unknown = batchsync("status", "gests")
    assert (unknown.exit_code, "jobs are: guests, vehicles" in unknown.stderr) == (2, True)


def test_serve_once_runs_due_jobs_and_exits(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    add_setting(deployment, "schedule: {every: 1h}")

    result = batchsync("serve", "--once")
    assert result.exit_code == 0, result.stderr
    assert re.match(r"nothing is due; the next tick is [-0-9]+ [:0-9]+Z \(guests\)$", result.stdout)

    deployment.mocks.advance(2 * 3600)
    result = batchsync("serve", "--once")
    assert (result.exit_code, "guests: in flight (run 1" in result.stdout) == (5, True)


@pytest.mark.parametrize("arguments", [[], ["--once"], ["guests"]])
def test_serve_without_schedule_is_refused(batchsync: Callable[..., Result], arguments: list[str]) -> None:
    result = batchsync("serve", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert " has a schedule: nothing to serve" in result.stderr
