"""`lading why KEY`: what is known of one key, from every place that knows it, and nothing is touched on the way."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from kit.deployment import CDP, Deployment
from lading.cli import main
from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def why(deployment: Deployment, *arguments: str, expect: int = 0, mocks: bool = True) -> Result:
    """Run `lading why` in this process; without `mocks` as somebody who means the vendors themselves."""
    unset = {} if mocks else {"LADING_MOCKS": None, "LADING_MOCKS_AT": None}
    environ: dict[str, str | None] = {**deployment.environ(), **unset}
    given = [*arguments, "--file", str(deployment.folder / "jobs.yaml")]
    said = CliRunner().invoke(main, ["why", *given], env=environ)
    assert said.exit_code == expect, said.output
    assert "Traceback" not in said.stderr
    return said


def known(deployment: Deployment, *arguments: str, mocks: bool = True) -> dict[str, Any]:
    """Return what each job knows, by its name."""
    told = json.loads(why(deployment, *arguments, "-o", "json", mocks=mocks).stdout)["result"]
    return {one["job"]: one for one in told["jobs"]}


def add_a_guest(deployment: Deployment, *lines: str) -> None:
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def state(folder: Path) -> dict[str, bytes]:
    """Return every file of the state folder, but those that SQLite keeps for its readers."""
    return {
        str(one): one.read_bytes()
        for one in (folder / ".lading").rglob("*")
        if one.is_file() and not one.name.endswith(("-wal", "-shm"))
    }


def test_a_key_is_asked_about_in_every_job(deployment: Deployment) -> None:
    deployment.run("sync")

    accepted = known(deployment, "G1")
    assert (accepted["guests"]["target"], accepted["guests"]["held"]) == ("accepted", True)
    assert (accepted["vehicles"]["target"], accepted["vehicles"]["held"]) == ("nothing", False)

    invalid = known(deployment, "G0")["guests"]
    assert invalid["target"] == "nothing"
    (one,) = invalid["rejects"]
    assert (one["kind"], one["run"], one["batch"], one["field"]) == ("invalid", "guests-1", None, "email")

    refused = known(deployment, "V0")["vehicles"]
    assert (refused["target"], refused["held"]) == ("rejected", False)
    (one,) = refused["rejects"]
    assert (one["kind"], one["run"], one["batch_line"], one["code"]) == (
        "rejected",
        "vehicles-1",
        20,
        "VALIDATION_ERROR",
    )
    assert one["batch"].startswith("vehicles-")
    assert one["reason"] == "VIN must be 17 letters and digits without I, O and Q"


def test_every_time_that_a_row_was_refused_is_told_oldest_first(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    add_a_guest(deployment, "G99,new,new@example.com")
    deployment.run("sync", "guests")

    told = known(deployment, "G0", "--job", "guests")
    assert list(told) == ["guests"]
    assert [one["run"] for one in told["guests"]["rejects"]] == ["guests-1", "guests-2"]


def test_a_version_under_way_is_told_with_its_batch_and_line(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)

    (one,) = known(deployment, "G7")["guests"]["in_flight"]
    assert (one["run"], one["phase"], one["batch_line"]) == ("guests-1", "submitted", 7)
    text = why(deployment, "G7").stdout
    assert (
        f"guests: nothing: the target is not known to hold it\n  in flight: batch {one['batch']}, submitted, line 7"
        in text
    )
    assert "resume guests` follows what is in flight to its end" in text.splitlines()[-1]

    deployment.run("resume")
    told = known(deployment, "G7")["guests"]
    assert (told["target"], told["in_flight"]) == ("accepted", [])


def test_an_unknown_outcome_is_told_with_the_way_to_end_it(deployment: Deployment) -> None:
    lost = Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=404, times=0)
    deployment.mocks.arm(lost)
    deployment.run("sync", "guests", expect=4)

    told = known(deployment, "G3")["guests"]
    assert (told["target"], told["held"], [one["kind"] for one in told["rejects"]]) == ("unknown", False, ["unknown"])
    batch = told["rejects"][0]["batch"]
    said = why(deployment, "G3").stdout.splitlines()[-1]
    assert all(f" resolve {batch} {answer}`" in said for answer in ("--delivered", "--resend"))

    deployment.run("resolve", batch, "--delivered")
    assert known(deployment, "G3")["guests"]["target"] == "accepted"
    assert "next:" not in why(deployment, "G3").stdout


def test_asking_changes_nothing_and_contacts_nobody(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    before = state(deployment.folder)
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path=".*", status=500, times=0))

    why(deployment, "G1")

    assert not any(one["struck"] for one in deployment.mocks.faults())
    assert state(deployment.folder) == before


def test_a_key_that_no_job_knows_is_an_error_that_names_the_jobs_asked(deployment: Deployment) -> None:
    deployment.run("sync", "guests")

    told = why(deployment, "G77", expect=2).stderr
    assert told.startswith("error: no job knows the key G77; asked: vehicles, guests\nnext: ")
    assert "asked: vehicles\n" in why(deployment, "G1", "--job", "vehicles", expect=2).stderr
    assert 'there is no job "gests"' in why(deployment, "G1", "--job", "gests", expect=2).stderr
    assert "a key is never empty" in why(deployment, "", expect=2).stderr


def test_before_the_first_run_nobody_knows_anything(deployment: Deployment) -> None:
    assert "no job knows the key G1: nothing was run yet" in why(deployment, "G1", expect=2).stderr
    assert not (deployment.folder / ".lading").exists()


def test_who_forgets_that_it_was_run_against_the_mocks_is_told(deployment: Deployment) -> None:
    deployment.run("sync", "guests")

    assert "add --mocks" in why(deployment, "G1", expect=2, mocks=False).stderr


@pytest.fixture
def without_credential(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment that ran, asked without mocks in an environment that holds no credential."""
    deployment.run("sync")
    shutil.copytree(deployment.folder / ".lading" / "mocks", deployment.folder / "state")
    (deployment.folder / "state").chmod(0o700)
    for name in list(os.environ):
        if name.startswith(("MOTORWEB_", "SITECORE_")):
            monkeypatch.delenv(name)
    return deployment


def test_without_the_credential_of_the_account_the_journal_is_asked_all_the_same(
    without_credential: Deployment,
) -> None:
    folder = str(without_credential.folder / "state")
    told = known(without_credential, "G0", "--state", folder, mocks=False)["guests"]

    assert (told["target"], told["held"]) == (None, None)
    assert [one["kind"] for one in told["rejects"]] == ["invalid"]
    assert "SITECORE_CLIENT_KEY is not set" in told["note"]
    text = why(without_credential, "G0", "--state", folder, mocks=False).stdout
    assert "guests: what the target holds could not be looked up" in text


def test_a_key_is_not_called_unknown_by_a_job_that_could_not_be_asked(without_credential: Deployment) -> None:
    folder = str(without_credential.folder / "state")
    said = why(without_credential, "G1", "--state", folder, expect=3, mocks=False)

    assert said.stderr.startswith("error: no job that could be asked knows the key G1 (asked: vehicles, guests)")
    assert "SITECORE_CLIENT_KEY is not set" in said.stderr


def test_a_job_that_left_the_jobs_file_and_a_broken_jobs_file_still_leave_the_journal(deployment: Deployment) -> None:
    deployment.run("sync")
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text(encoding="utf-8").replace("  guests:", "  people:"), encoding="utf-8")

    told = known(deployment, "G0")
    assert (told["guests"]["target"], len(told["guests"]["rejects"])) == (None, 1)
    assert "no longer in the jobs file" in told["guests"]["note"]
    assert told["people"]["target"] == "nothing"

    jobs.write_text("jobs: [", encoding="utf-8")
    told = known(deployment, "G0")
    assert (list(told), len(told["guests"]["rejects"])) == (["guests"], 1)
    assert "lading" in why(deployment, "G0").stdout


def test_a_damaged_baseline_is_told_and_is_not_an_unknown_key(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    (baseline,) = (deployment.folder / ".lading/mocks/baselines/guests").glob("*.parquet")
    baseline.write_bytes(b"PAR1")

    assert f"{baseline.name} in the state folder is missing or damaged" in why(deployment, "G1", expect=3).stderr


def test_a_key_is_told_in_every_form_of_output(deployment: Deployment) -> None:
    deployment.run("sync", "vehicles")

    text = why(deployment, "V0").stdout.splitlines()
    assert (
        text[0]
        == "vehicles: rejected: the target holds nothing of it; it is sent again when its row changes or on request"
    )
    assert text[1].split("  ")[1].strip() == "kind"
    assert "VALIDATION_ERROR" in text[2]
    assert text[3] == "guests: nothing: the target is not known to hold it"

    lines = [json.loads(line) for line in why(deployment, "V0", "-o", "ndjson").stdout.splitlines()]
    assert [(one["event"], one.get("job")) for one in lines] == [
        ("key", "vehicles"),
        ("key", "guests"),
        ("finished", None),
    ]
    page = why(deployment, "V0", "-o", "md").stdout
    assert page.startswith("### lading why: V0\n\n**vehicles**: rejected:")
    assert "| rejected | vehicles-1 |" in page
