"""The real command line against real mocks: what a person sees, from the first plan to the last settlement."""

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

from lading.cli import main
from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from kit.deployment import Deployment

CDP = "sitecore-cdp"


@pytest.fixture
def lading(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run lading in this process, in the folder of the deployment, against its mocks."""
    monkeypatch.chdir(deployment.folder)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    environ = deployment.environ()
    yield lambda *arguments, **more: CliRunner().invoke(main, list(arguments), env=environ | more)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def result(said: Result) -> Any:
    """Return the result part of a JSON envelope."""
    return json.loads(said.stdout)["result"]


def guard(deployment: Deployment, guards: str) -> None:
    """Give the job guests a guard."""
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("on_removed: delete", f"on_removed: delete\n    {guards}"))


def keep_guests(deployment: Deployment, count: int) -> None:
    """Leave only so many guests in the source."""
    file = deployment.folder / "guests.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[: count + 1]) + "\n", encoding="utf-8")


def tree(folder: Path) -> set[str]:
    """List every file below a folder, but those that SQLite keeps for its readers."""
    files = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
    return {name for name in files if not name.endswith(("-wal", "-shm"))}


def test_a_sync_ends_with_an_equation_that_balances_and_the_way_to_the_reasons(lading: Callable[..., Result]) -> None:
    done = lading("sync", "guests")

    assert done.exit_code == 0, done.stderr
    assert re.sub(r"\(run 1, [^)]*\)|\([0-9.]+ k?B\)", "(...)", done.stdout) == (
        "guests: settled (...)\n"
        "  selected 30 = unchanged 0 + accepted 29 + invalid 1 + rejected 0 + unknown 0 + held 0"
        "   (budget: 5 invalid, 5 rejected: kept)\n"
        "  sent 29 records in 1 batch file (...): 29 added, 0 changed, 0 removed\n"
        "  why: `lading rejects guests`\n"
    )
    told = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    assert any(re.fullmatch(r"guests: batch guests-[0-9a-f]{12}: submitted", line) for line in told)
    assert len(told) == len(set(pairwise(told))) + 1, "a line was repeated"
    assert "\x1b" not in done.stdout + done.stderr


def test_a_plan_contacts_nobody_and_leaves_no_file(deployment: Deployment, lading: Callable[..., Result]) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path=".*", status=500, times=0))
    before = tree(deployment.folder)
    done = lading("plan", "guests")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(
        "guests: + 29 adds, ~ 0 changes, - 0 removes\n  selected 30 = unchanged 0 + to send 29"
    )
    assert not any(one["struck"] for one in deployment.mocks.faults())
    assert tree(deployment.folder) == before


def test_a_plan_after_a_sync_has_nothing_to_send(deployment: Deployment, lading: Callable[..., Result]) -> None:
    assert lading("plan", "guests", "--detailed-exitcode").exit_code == 10
    lading("sync", "guests")
    before = tree(deployment.folder)

    assert "guests: (nothing to send)" in lading("plan", "guests", "--detailed-exitcode").stdout
    assert tree(deployment.folder) == before


def test_a_plan_after_an_edit_of_the_record_says_why_every_row_is_another_one(
    deployment: Deployment, lading: Callable[..., Result]
) -> None:
    edited = "the job was edited since its last run"
    assert edited not in lading("plan", "guests").stdout
    lading("sync", "guests")
    file = deployment.folder / "jobs.yaml"
    plain = file.read_text(encoding="utf-8")
    file.write_text(plain.replace("on_removed: delete", "on_removed: ignore"), encoding="utf-8")
    assert edited not in lading("plan", "guests").stdout
    file.write_text(plain.replace("=initcap(name)", "=upper(name)"), encoding="utf-8")
    assert edited in lading("plan", "guests").stdout


def test_a_job_that_cannot_be_planned_does_not_hide_the_others(
    deployment: Deployment, lading: Callable[..., Result]
) -> None:
    (deployment.folder / "vehicles.csv").unlink()
    done = lading("plan")

    assert done.exit_code == 3
    assert done.stdout.startswith("guests: + 29 adds")
    assert "vehicles: no plan: " in done.stdout
    assert "vehicles.csv does not exist" in done.stdout


def test_a_guard_holds_until_the_very_plan_is_approved(deployment: Deployment, lading: Callable[..., Result]) -> None:
    guard(deployment, "guards: {max_remove: 5%}")
    lading("sync", "guests")
    keep_guests(deployment, 10)

    planned = lading("plan", "guests", "--detailed-exitcode", "--limit", "2")
    assert planned.exit_code == 6
    assert re.findall(r"^  - (.*)", planned.stdout, re.MULTILINE)[2:] == ["17 more: `--limit N` shows N of each kind"]
    removed = lading("plan", "guests", "--limit", "0").stdout
    assert "- 19 removes" in removed
    assert "\n  - " not in removed
    held = lading("sync", "guests")
    assert held.exit_code == 6
    assert "nothing was sent; the plan is 0 added, 0 changed, 19 removed" in held.stdout
    assert held.stdout.splitlines()[-1].startswith("next: `lading approve guests`")
    assert "next: `lading approve guests`" in lading("status").stdout

    approved = lading("approve", "guests", "--reason", "spring cleaning").stdout
    assert "0 added, 0 changed, 19 removed" in approved
    assert "next: `lading sync guests` sends the plan that was approved" in lading("status").stdout
    assert "19 removed" in lading("sync", "guests").stdout
    past = lading("history", "guests").stdout.splitlines()
    assert [line.split("  ")[-1].strip() for line in past] == ["approved", "spring cleaning", "spring cleaning", "-"]
    told = [one["approved"] for one in result(lading("-o", "json", "history", "guests"))["runs"]]
    assert [one and one["reason"] for one in told] == ["spring cleaning", "spring cleaning", None]
    assert "spring cleaning" in lading("settle", "guests").stdout
    again = lading("approve", "guests")
    assert again.exit_code == 2
    assert again.stderr.startswith("error: no guard holds guests")


def test_rejects_above_the_budget_are_shown_grouped_and_exported(
    deployment: Deployment, lading: Callable[..., Result]
) -> None:
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8").replace("    budget: {invalid: 5, rejected: 5}\n", "")
    jobs.write_text(text, encoding="utf-8")
    done = lading("sync", "vehicles")

    assert done.exit_code == 4
    assert "(budget: 0 invalid, 0 rejected: exceeded)" in done.stdout
    assert done.stdout.splitlines()[-1] == "next: `lading rejects vehicles` shows what did not get there and why"
    shown = result(lading("-o", "json", "rejects", "vehicles"))
    assert [(one["kind"], one["key"]) for one in shown["rejects"]] == [("rejected", "V0")]
    assert result(lading("-o", "json", "rejects", "vehicles", "--groups"))["total"] == 1
    assert result(lading("-o", "json", "rejects", "vehicles", "--kind", "invalid"))["rejects"] == []
    lading("rejects", "vehicles", "--export", "why.csv")
    exported = (deployment.folder / "why.csv").read_text(encoding="utf-8").splitlines()
    assert exported[0] == "job,run,batch,kind,key,field,code,reason,batch_line,source_row,retry"
    assert exported[1].startswith("vehicles,vehicles-1,vehicles-")
    assert len(exported) == 2
    assert (deployment.folder / "why.csv").stat().st_mode & 0o777 == 0o600
    piped = lading("rejects", "vehicles", "--export", "-")
    assert (piped.exit_code, piped.stdout.splitlines()) == (0, exported)
    assert not (deployment.folder / "-").exists()


def test_a_record_rejected_long_ago_is_not_forgotten(lading: Callable[..., Result]) -> None:
    lading("sync", "vehicles")
    lading("sync", "vehicles")

    shown = lading("rejects", "vehicles").stdout
    assert "1 record more, rejected or unknown in an earlier run and not changed since" in shown
    assert result(lading("-o", "json", "rejects", "vehicles", "--all"))["total"] == 1


def test_what_the_vendor_refused_is_sent_again_unchanged_on_request(lading: Callable[..., Result]) -> None:
    lading("sync", "vehicles")
    assert "nothing to send" in lading("plan", "vehicles").stdout

    assert "+ 1 add" in lading("plan", "vehicles", "--retry-rejected").stdout
    again = result(lading("-o", "json", "sync", "vehicles", "--retry-rejected"))

    assert again["jobs"][0]["runs"][-1]["settlement"]["rejected"] == 1
    assert "sent 1 record" in lading("settle", "vehicles").stdout


def test_without_waiting_a_sync_is_unsettled_and_resume_settles_it(lading: Callable[..., Result]) -> None:
    left = lading("sync", "guests", "--no-wait")
    told = json.loads(lading("resume", "--no-wait", "-o", "json").stdout)
    assert (told["ok"], told["exit_code"], told["error"]["code"]) == (False, 5, "unsettled")

    assert left.exit_code == 5
    assert "guests: in flight" in left.stdout
    assert left.stdout.splitlines()[-1] == "next: `lading resume guests` follows what is in flight to its end"
    status = lading("status").stdout
    assert status.startswith("open batch")
    assert "look again in" in status
    assert "guests: settled" in lading("resume").stdout
    settled = lading("status")
    assert (settled.exit_code, "open batch" in settled.stdout) == (0, False)


def test_status_counts_by_the_clock_of_the_mocks_which_runs_ahead(
    deployment: Deployment, lading: Callable[..., Result]
) -> None:
    deployment.mocks.advance(3600)
    lading("sync", "guests", "--no-wait")
    assert re.search(r"look again in \d+ s\n", lading("status").stdout)


def test_json_is_one_document_and_ndjson_one_event_a_line(lading: Callable[..., Result]) -> None:
    whole = lading("sync", "guests", "-o", "json")
    document = json.loads(whole.stdout)
    assert (document["ok"], document["command"], document["error"]) == (True, "sync", None)

    lines = lading("-o", "ndjson", "sync", "vehicles", "-q")
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.stdout.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "started"
    assert names[-3:] == ["settled", "job", "finished"]
    assert {"run_started", "batch_moved", "waiting"} <= set(names)
    assert lines.stderr == ""


def test_settle_and_history_name_runs_by_their_id(lading: Callable[..., Result]) -> None:
    lading("sync")

    assert lading("settle", "guests").stdout == lading("settle", "guests-1").stdout
    assert [one["job"] for one in result(lading("-o", "json", "settle"))["runs"]] == ["vehicles", "guests"]
    assert [one["run"] for one in result(lading("-o", "json", "history", "guests"))["runs"]] == ["guests-1"]
    unknown = lading("settle", "nobody")
    assert (unknown.exit_code, unknown.stderr.splitlines()[0]) == (2, 'error: there is no run and no job "nobody"')
    assert 'did you mean "guests"? jobs are: guests, vehicles' in lading("settle", "gests").stderr
    for command in ("plan", "history", "schedule", "sync"):
        assert 'did you mean "guests"?' in lading(command, "gests").stderr


def test_a_cancelled_batch_is_brought_to_its_end_by_resume(
    deployment: Deployment, lading: Callable[..., Result]
) -> None:
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=503, times=0))
    assert lading("sync", "guests", "--no-wait").exit_code == 5
    deployment.mocks.disarm()

    assert "given up, nothing of it was sent" in lading("cancel", "guests").stdout
    assert "accepted 0 + invalid 1 + rejected 29" in lading("resume", "guests").stdout
    gone = lading("cancel", "guests")
    assert (gone.exit_code, gone.stderr.splitlines()[0]) == (2, "error: nothing of guests is open")


def test_doctor_finds_a_good_deployment_good(lading: Callable[..., Result]) -> None:
    done = lading("doctor")

    assert done.exit_code == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "all is well"
    assert re.search(r"^ok +sitecore/guests +.* knows the target$", done.stdout, re.MULTILINE)


def test_doctor_names_the_credential_that_is_missing_and_shows_none(lading: Callable[..., Result]) -> None:
    bare = {"LADING_MOCKS": "0", "SITECORE_CLIENT_KEY": "s3cret-key"}
    done = lading("doctor", **bare)

    assert done.exit_code == 3
    assert "SITECORE_API_TOKEN" in done.stdout
    assert "s3cret-key" not in done.stdout + done.stderr


def test_unlock_says_from_whom_a_job_was_taken(lading: Callable[..., Result]) -> None:
    lading("sync", "guests")

    assert lading("unlock", "guests").stdout.startswith("guests: taken from nobody")


def test_the_bundled_mocks_stand_in_for_every_vendor(deployment: Deployment) -> None:
    """The whole program as a person starts it first: a process of its own, mocks of its own, no credentials."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LADING_")}
    done = subprocess.run(
        deployment.command("sync", "--mocks", "--quiet"),
        cwd=deployment.folder,
        env=bare,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "total: 2 runs: selected 50 = unchanged 0 + accepted 48 + invalid 1 + rejected 1 + unknown 0 + held 0"
    )


def test_ctrl_c_in_the_middle_saves_the_state(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="delay", vendor=CDP, method="PUT", path=r"^/_storage", seconds=1.0))
    with subprocess.Popen(
        deployment.command("sync", "guests"),
        cwd=deployment.folder,
        env=deployment.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(one["struck"] for one in deployment.mocks.faults()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]

    assert process.returncode == 130
    assert said.splitlines()[-2:] == [
        "error: interrupted; state saved",
        "next: the same command goes on where it was; `lading resume` only ends what is under way",
    ]
    assert "Traceback" not in said
    assert "accepted 29" in deployment.run("resume")


def test_status_works_when_the_jobs_file_does_not(deployment: Deployment, lading: Callable[..., Result]) -> None:
    lading("sync", "guests", "--no-wait")
    (deployment.folder / "jobs.yaml").write_text("jobs: [", encoding="utf-8")
    done = lading("status")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("open batch")
    assert "`lading validate` shows them" in done.stdout


def test_status_of_one_job_tells_of_no_other(lading: Callable[..., Result]) -> None:
    lading("sync", "--no-wait")

    told = result(lading("-o", "json", "status", "guests"))
    assert {one["job"] for one in (*told["open"], *told["jobs"])} == {"guests"}
    unknown = lading("status", "gests")
    assert (unknown.exit_code, "jobs are: guests, vehicles" in unknown.stderr) == (2, True)


def test_serve_once_runs_what_is_due_and_ends(deployment: Deployment, lading: Callable[..., Result]) -> None:
    guard(deployment, "schedule: {every: 1h}")

    done = lading("serve", "--once")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("nothing is due; the next slot is that of guests, ")

    deployment.mocks.advance(2 * 3600)
    done = lading("serve", "--once")
    assert (done.exit_code, "guests: in flight (run 1" in done.stdout) == (5, True)


@pytest.mark.parametrize("arguments", [[], ["--once"], ["guests"]])
def test_serving_without_any_schedule_is_refused(lading: Callable[..., Result], arguments: list[str]) -> None:
    done = lading("serve", *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert " has a schedule: there would be nothing to serve" in done.stderr
