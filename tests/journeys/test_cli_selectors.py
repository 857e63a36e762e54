"""Selectors of jobs on the command line, and suspended jobs, with the real commands against mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment


def edit(deployment: Deployment, *pairs: tuple[str, str]) -> None:
    """Replace texts of jobs.yaml, each of which must be in it."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


TAGS = (("  vehicles:\n", "  vehicles:\n    tags: [cars]\n"), ("  guests:\n", "  guests:\n    tags: [crm, nightly]\n"))
SUSPENDED = ("  guests:\n", "  guests:\n    suspend: true\n")
SCHEDULES = ("    mode: ", "    schedule: {every: 1h}\n    mode: ")


def ran(result: dict[str, object]) -> dict[str, int]:
    """Return the number of runs of each job of a report."""
    jobs = result["jobs"]
    assert isinstance(jobs, list)
    return {job["job"]: len(job["runs"]) for job in jobs}


def failure(deployment: Deployment, *arguments: str) -> str:
    """Return the messages of a command that exits with 2."""
    deployment.run(*arguments, expect=2)
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


def test_sync_runs_the_selected_jobs_only(deployment: Deployment) -> None:
    edit(deployment, *TAGS)
    assert ran(deployment.json("sync", "tag:crm")) == {"guests": 1}
    assert deployment.delivered(BDP) == {}
    assert ran(deployment.json("sync", "*", "--exclude", "vendor:sitecore-cdp")) == {"vehicles": 1}
    assert len(deployment.delivered(CDP)) == 29


def test_state_and_result_are_those_of_the_journal(deployment: Deployment) -> None:
    edit(deployment, *TAGS)
    assert [job["job"] for job in deployment.json("schedule", "state:new")["jobs"]] == []
    deployment.json("sync", "guests")
    assert ran(deployment.json("resume", "state:new")) == {"vehicles": 0}
    assert "matches no job" in failure(deployment, "resume", "state:modified")
    edit(deployment, ("=initcap(name)", "=upper(name)"))
    assert ran(deployment.json("resume", "state:modified")) == {"guests": 0}
    deployment.json("sync", "vehicles")
    assert ran(deployment.json("resume", "result:rejected")) == {"vehicles": 0}
    assert "matches no job" in failure(deployment, "resume", "result:attention")


def test_a_job_that_exceeded_its_budget_has_failed(deployment: Deployment) -> None:
    edit(deployment, ("budget: {invalid: 5, rejected: 5}", "budget: {invalid: 0}"))
    deployment.run("sync", "guests", expect=4)
    assert ran(deployment.json("resume", "result:failed")) == {"guests": 0}


def test_parked_batches_are_found_by_attention(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="status", status=400, vendor=CDP, method="PUT", path=r"^/v2/batches/", times=0))
    deployment.run("sync", expect=8)
    deployment.mocks.disarm()
    status = deployment.json("status", "result:attention", expect=8)
    assert [job["job"] for job in status["jobs"]] == ["guests"]
    assert ran(deployment.json("resume", "result:attention")) == {"guests": 1}
    assert len(deployment.delivered(CDP)) == 29


@pytest.mark.parametrize("command", ["sync", "plan", "validate", "status", "resume", "schedule", "serve"])
def test_a_selector_without_match_names_what_exists(command: str, deployment: Deployment) -> None:
    edit(deployment, *TAGS, SCHEDULES)
    assert 'did you mean "guests"? jobs are: guests, vehicles' in failure(deployment, command, "guest")
    assert 'did you mean "nightly"? tags are: cars, crm, nightly' in failure(deployment, command, "tag:nigtly")
    assert "every selected job is excluded" in failure(deployment, command, "guests", "--exclude", "tag:crm")
    assert deployment.delivered(CDP) == {}


def test_plan_validate_and_status_take_selectors(deployment: Deployment) -> None:
    edit(deployment, *TAGS, SCHEDULES)
    plan = deployment.json("plan", "tag:nightly,connection:sitecore")
    assert [job["job"] for job in plan["jobs"]] == ["guests"]
    assert list(deployment.json("validate", "--exclude", "tag:crm")["guards"]) == ["vehicles"]
    assert [job["job"] for job in deployment.json("status", "g*")["jobs"]] == ["guests"]
    assert [job["job"] for job in deployment.json("status", "--exclude", "g*")["jobs"]] == ["vehicles"]
    assert [job["job"] for job in deployment.json("schedule", "tag:cars")["jobs"]] == ["vehicles"]


def test_upstream_jobs_are_added(deployment: Deployment) -> None:
    edit(deployment, ("  guests:\n", "  guests:\n    depends_on: [vehicles]\n"))
    assert list(ran(deployment.json("sync", "+guests"))) == ["vehicles", "guests"]
    assert list(ran(deployment.json("sync", "vehicles+", "--exclude", "vehicles"))) == ["guests"]


def test_serve_once_runs_the_selected_jobs_only(deployment: Deployment) -> None:
    edit(deployment, *TAGS, SCHEDULES, ("every: 1h", "cron: '* * * * *'"))
    deployment.json("serve", "--once", "tag:crm")
    assert "none of the selected jobs has a schedule" not in (deployment.folder / "last.log").read_text()


def test_suspended_job_is_not_run_unless_it_is_named(deployment: Deployment) -> None:
    edit(deployment, SUSPENDED)
    result = deployment.json("sync")
    assert ran(result) == {"vehicles": 1, "guests": 0}
    assert result["jobs"][1]["skipped"] == "suspended; `batchsync sync guests` runs it nevertheless"
    assert result["next"] == []
    assert ran(deployment.json("sync", "g*")) == {"guests": 0}
    assert deployment.delivered(CDP) == {}
    assert ran(deployment.json("sync", "guests")) == {"guests": 1}
    assert len(deployment.delivered(CDP)) == 29


def test_suspended_job_is_shown_in_status_plan_and_schedule(deployment: Deployment) -> None:
    edit(deployment, SUSPENDED, SCHEDULES)
    status = {job["job"]: job for job in deployment.json("status")["jobs"]}
    assert (status["guests"]["suspended"], status["guests"]["next_tick"]) == (True, None)
    assert (status["vehicles"]["suspended"], status["vehicles"]["next_tick"] is None) == (False, False)
    assert "guests: never ran, suspended" in deployment.run("status")
    plan = deployment.json("plan")
    assert [job["job"] for job in plan["jobs"]] == ["vehicles"]
    assert any(note.startswith("guests: suspended") for note in plan["notes"])
    named = deployment.json("plan", "guests")
    assert [job["job"] for job in named["jobs"]] == ["guests"]
    assert any(note.startswith("guests: suspended") for note in named["notes"])
    schedule = {job["job"]: job for job in deployment.json("schedule", "-n", "3")["jobs"]}
    assert (schedule["guests"]["suspended"], schedule["guests"]["ticks"]) == (True, [])
    assert len(schedule["vehicles"]["ticks"]) == 3
    assert "(suspended: no run begins)" in deployment.run("schedule")
    assert "| guests | suspended |" in deployment.run("-o", "md", "schedule")


@pytest.mark.parametrize("command", [["sync"], ["serve", "--once"]])
def test_open_batches_of_a_suspended_job_are_followed(command: list[str], deployment: Deployment) -> None:
    edit(deployment, SCHEDULES)
    deployment.run("sync", "guests", "--no-wait", expect=5)
    edit(deployment, SUSPENDED)
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write("G77,later,later@example.com\n")
    deployment.mocks.advance(3600)
    jobs = deployment.json(*command)["jobs"]
    assert [run["state"] for job in jobs for run in job["runs"] if job["job"] == "guests"] == ["settled"]
    assert deployment.json("status", "guests")["open"] == []
    assert len(deployment.delivered(CDP)) == 29


def test_all_jobs_suspended_is_nothing_to_do_for_sync_and_an_error_for_serve(deployment: Deployment) -> None:
    edit(deployment, SUSPENDED, ("  vehicles:\n", "  vehicles:\n    suspend: true\n"), SCHEDULES)
    assert ran(deployment.json("sync")) == {"vehicles": 0, "guests": 0}
    assert "they are suspended" in failure(deployment, "serve", "--once")
    assert deployment.delivered(CDP) == {}


def test_suspended_upstream_counts_as_its_last_run(deployment: Deployment) -> None:
    edit(deployment, ("  guests:\n", "  guests:\n    depends_on: [vehicles]\n"))
    edit(deployment, ("  vehicles:\n", "  vehicles:\n    suspend: true\n"))
    waiting = deployment.json("sync", expect=5)["jobs"]
    assert waiting[1]["skipped"] == 'waiting for "vehicles", which has never run: run `batchsync sync vehicles` first'
    deployment.json("sync", "vehicles")
    assert ran(deployment.json("sync")) == {"vehicles": 0, "guests": 1}


def test_suspended_job_needs_no_credentials(deployment: Deployment) -> None:
    edit(deployment, SUSPENDED, ("vendor: sitecore-cdp\n", "vendor: sitecore-cdp\n    proxy: ${UNSET_PROXY}\n"))
    assert ran(deployment.json("sync")) == {"vehicles": 1, "guests": 0}
