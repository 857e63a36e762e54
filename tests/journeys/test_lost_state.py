"""A missing state is an error where jobs.yaml requires it; what targets hold can be recorded on a person's word."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync.journal import Journal
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

LOST = "--reason=the disk was lost; nothing was edited since"


def require_state(deployment: Deployment) -> None:
    """Let jobs.yaml require the state folder."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace("version: 1\n", "version: 1\nstate: {required: true}\n")
    file.write_text(text, encoding="utf-8")


def lose_state(deployment: Deployment) -> None:
    """Delete the state folder; the vendors keep what they have."""
    shutil.rmtree(deployment.folder / ".batchsync")


def log(deployment: Deployment) -> str:
    """Return the output of the last command."""
    return (deployment.folder / "last.log").read_text(encoding="utf-8")


@pytest.fixture
def required(deployment: Deployment) -> Deployment:
    """Return a deployment that requires its state, with everything delivered."""
    require_state(deployment)
    deployment.run("state", "init")
    deployment.run("sync")
    return deployment


@pytest.mark.parametrize("part", ["the whole folder", "the journal"])
@pytest.mark.parametrize("command", ["sync", "resume", "plan", "status", "history"])
def test_missing_state_is_an_error_where_it_is_required(required: Deployment, command: str, part: str) -> None:
    before = {vendor: required.delivered(vendor) for vendor in (BDP, CDP)}
    if part == "the whole folder":
        lose_state(required)
    else:
        for file in (required.folder / ".batchsync" / "mocks").glob("journal.db*"):
            file.unlink()

    required.run(*command.split(), expect=3)

    assert "there is no state in" in log(required)
    assert "`batchsync state init`" in log(required)
    assert {vendor: required.delivered(vendor) for vendor in (BDP, CDP)} == before
    assert not (required.folder / ".batchsync" / "mocks" / "journal.db").exists()


def test_state_that_is_not_required_is_begun_by_the_first_run(deployment: Deployment) -> None:
    assert "accepted 29" in deployment.run("sync", "guests")


def test_state_of_mocks_that_end_with_the_command_is_not_required(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_state(deployment)
    monkeypatch.chdir(deployment.folder)
    for name in list(os.environ):
        if name.startswith("BATCHSYNC_"):
            monkeypatch.delenv(name)

    done = CliRunner().invoke(main, ["sync", "--mocks"])

    assert (done.exit_code, "accepted 29" in done.stdout) == (0, True)


def test_state_is_begun_once(required: Deployment) -> None:
    before = (required.folder / ".batchsync" / "mocks" / "journal.db").read_bytes()

    required.run("state", "init", expect=2)

    assert "there is a state in" in log(required)
    assert (required.folder / ".batchsync" / "mocks" / "journal.db").read_bytes() == before


@pytest.mark.parametrize("value", ["{required: yes please}", "{required: 1}", "{needed: true}", "required"])
def test_wrong_state_block_is_refused(deployment: Deployment, value: str) -> None:
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("version: 1\n", f"version: 1\nstate: {value}\n"))

    deployment.run("validate", expect=2)

    assert "jobs.yaml:2" in log(deployment)


def assumed(deployment: Deployment) -> Any:
    """Lose the state, begin another one, and take the source of the guests as delivered; return its run."""
    lose_state(deployment)
    deployment.run("state", "init")
    deployment.run("state", "assume-delivered", "guests", LOST)
    return deployment.json("history", "guests")["runs"][0]


def test_assumed_rows_are_not_sent_and_the_equation_balances(required: Deployment) -> None:
    before = required.delivered(CDP)

    run = assumed(required)

    settlement = run["settlement"]
    assert (settlement["selected"], settlement["assumed"], settlement["invalid"]) == (30, 29, 1)
    assert (settlement["accepted"], settlement["batches"]) == (0, 0)
    assert "nothing was edited since" in run["reason"]
    assert "guests: (nothing to send)" in required.run("plan", "guests")
    required.run("sync", "guests")
    assert required.delivered(CDP) == before
    with Journal.open(required.folder / ".batchsync" / "mocks", read_only=True) as journal:
        assert journal.audit() == ()


def test_assumed_rows_are_shown_as_such(required: Deployment) -> None:
    assumed(required)

    assert "assumed 29" in required.run("status", "guests")
    assert "assumed to be delivered: the disk was lost" in required.run("show", "guests")
    assert "assumed" in required.run("history", "guests").splitlines()[0]
    assert "on the word given to `batchsync state assume-delivered`" in required.run("why", "G3")
    assert "assumed" not in required.run("sync", "guests")


def test_changes_after_the_assumption_are_sent(required: Deployment) -> None:
    assumed(required)
    required.edit("guest 2,", "guest two,", "guests.csv")
    required.edit("G3,guest 3,guest3@example.com\n", "", "guests.csv")

    assert "0 added, 1 changed, 1 removed" in required.run("sync", "guests")

    assert required.json("why", "G2")["jobs"][-1]["target"] == "accepted"
    assert required.json("why", "G4")["jobs"][-1]["target"] == "assumed"
    assert "guests: (nothing to send)" in required.run("plan", "guests")


@pytest.mark.parametrize("send", ["all", "{since: id}"])
def test_assumption_with_other_selections_of_rows(required: Deployment, send: str) -> None:
    file = required.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace("    on_removed: delete\n", f"    send: {send}\n")
    file.write_text(text, encoding="utf-8")

    assert assumed(required)["settlement"]["assumed"] == 29


def test_assumption_beside_a_baseline_counts_differences_and_keeps_removals(required: Deployment) -> None:
    required.edit("guest 2,", "guest two,", "guests.csv")
    required.edit("G3,guest 3,guest3@example.com\n", "", "guests.csv")

    required.run("state", "assume-delivered", "guests", LOST)

    settlement = required.json("history", "guests")["runs"][0]["settlement"]
    assert (settlement["assumed"], settlement["unchanged"], settlement["deferred"]) == (1, 27, 1)
    assert "+ 0 adds, ~ 0 changes, - 1 remove" in required.run("plan", "guests")


def test_rows_in_flight_are_not_assumed(required: Deployment) -> None:
    required.edit("guest 2,", "guest two,", "guests.csv")
    required.run("sync", "guests", "--no-wait", expect=5)

    required.run("state", "assume-delivered", "guests", LOST)

    settlement = required.json("history", "guests")["runs"][0]["settlement"]
    assert (settlement.get("assumed", 0), settlement["deferred"]) == (0, 1)
    required.run("resume")


def test_answers_of_a_lookup_are_not_assumed(required: Deployment) -> None:
    lose_state(required)
    required.run("state", "init")

    required.run("state", "assume-delivered", "vehicles", LOST, expect=2)

    assert "is a lookup" in log(required)


@pytest.mark.parametrize("arguments", [["guests"], ["guests", "--reason", " "], ["gests", LOST]])
def test_assumption_needs_a_job_and_a_reason(required: Deployment, arguments: list[str]) -> None:
    required.run("state", "assume-delivered", *arguments, expect=2)


def test_new_deployment_requires_its_state(deployment: Deployment) -> None:
    deployment.run("init", "fresh", "--vendor", "sitecore-cdp")

    assert "\nstate: {required: true}\n" in (deployment.folder / "fresh" / "jobs.yaml").read_text(encoding="utf-8")
