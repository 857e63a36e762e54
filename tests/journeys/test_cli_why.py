"""`batchsync why KEY`: what is known of one key, from every place that knows it, and nothing is touched on the way."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from batchsync.cli import main
from batchsync_mocks.faults import Fault
from kit.deployment import CDP, Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def why(deployment: Deployment, *arguments: str, expect: int = 0, mocks: bool = True) -> Result:
    """Run `batchsync why` in this process; without `mocks` as somebody who means the vendors themselves."""
    unset = {} if mocks else {"BATCHSYNC_MOCKS": None, "BATCHSYNC_MOCKS_AT": None}
    environ: dict[str, str | None] = {**deployment.environ(), **unset}
    given = [*arguments, "--file", str(deployment.folder / "jobs.yaml")]
    said = CliRunner().invoke(main, ["why", *given], env=environ)
    assert said.exit_code == expect, said.output
    assert "Traceback" not in said.stderr
    return said


def known(deployment: Deployment, *arguments: str, mocks: bool = True) -> dict[str, Any]:
    """Return what each job knows, by its name."""
    told = json.loads(why(deployment, *arguments, "-o", "json", mocks=mocks).stdout)["result"]
    return {item["job"]: item for item in told["jobs"]}


def add_a_guest(deployment: Deployment, *lines: str) -> None:
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def state(folder: Path) -> dict[str, bytes]:
    """Return every file of the state folder, but those that SQLite keeps for its readers."""
    return {
        str(path): path.read_bytes()
        for path in (folder / ".batchsync").rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_why_searches_every_job(deployment: Deployment) -> None:
    deployment.run("sync")

    accepted = known(deployment, "G1")
    assert (accepted["guests"]["target"], accepted["guests"]["in_baseline"]) == ("accepted", True)
    assert (accepted["vehicles"]["target"], accepted["vehicles"]["in_baseline"]) == ("nothing", False)

    invalid = known(deployment, "G0")["guests"]
    assert invalid["target"] == "nothing"
    (one,) = invalid["rejects"]
    assert (one["kind"], one["run"], one["batch"], one["field"]) == ("invalid", "guests-1", None, "email")

    refused = known(deployment, "V0")["vehicles"]
    assert (refused["target"], refused["in_baseline"]) == ("rejected", False)
    (one,) = refused["rejects"]
    assert (one["kind"], one["run"], one["batch_line"], one["code"]) == (
        "rejected",
        "vehicles-1",
        20,
        "VALIDATION_ERROR",
    )
    assert one["batch"].startswith("vehicles-")
    assert one["reason"] == "VIN must be 17 letters and digits without I, O and Q"


def test_why_lists_rejects_oldest_first(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    add_a_guest(deployment, "G99,new,new@example.com")
    deployment.run("sync", "guests")

    told = known(deployment, "G0", "--job", "guests")
    assert list(told) == ["guests"]
    assert [item["run"] for item in told["guests"]["rejects"]] == ["guests-1", "guests-2"]


def test_why_shows_batch_and_line_of_version_in_flight(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)

    (one,) = known(deployment, "G7")["guests"]["in_flight"]
    assert (one["run"], one["phase"], one["batch_line"]) == ("guests-1", "submitted", 7)
    text = why(deployment, "G7").stdout
    assert (
        f"guests: nothing: the baseline does not hold it\n  in flight: batch {one['batch']}, submitted, line 7" in text
    )
    assert "resume guests` completes the batches in flight" in text.splitlines()[-1]

    deployment.run("resume")
    told = known(deployment, "G7")["guests"]
    assert (told["target"], told["in_flight"]) == ("accepted", [])


def test_why_shows_resolve_command_for_unknown_outcome(deployment: Deployment) -> None:
    lost = Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=404, times=0)
    deployment.mocks.arm(lost)
    deployment.run("sync", "guests", expect=4)

    told = known(deployment, "G3")["guests"]
    assert (told["target"], told["in_baseline"], [item["kind"] for item in told["rejects"]]) == (
        "unknown",
        False,
        ["unknown"],
    )
    batch = told["rejects"][0]["batch"]
    said = why(deployment, "G3").stdout.splitlines()[-1]
    assert all(f" resolve {batch} {answer}`" in said for answer in ("--delivered", "--resend"))

    deployment.run("resolve", batch, "--delivered")
    assert known(deployment, "G3")["guests"]["target"] == "accepted"
    assert "next:" not in why(deployment, "G3").stdout


def test_why_changes_nothing_and_makes_no_requests(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    before = state(deployment.folder)
    deployment.mocks.arm(Fault(kind="status", vendor=CDP, method="GET", path=".*", status=500, times=0))

    why(deployment, "G1")

    assert not any(fault["hits"] for fault in deployment.mocks.faults())
    assert state(deployment.folder) == before


def test_why_with_unknown_key_names_searched_jobs(deployment: Deployment) -> None:
    deployment.run("sync", "guests")

    told = why(deployment, "G77", expect=2).stderr
    assert told.startswith("error: unknown key G77; searched jobs: vehicles, guests\nnext: ")
    assert "asked: vehicles\n" in why(deployment, "G1", "--job", "vehicles", expect=2).stderr
    assert 'unknown job "gests"' in why(deployment, "G1", "--job", "gests", expect=2).stderr
    assert "a key is never empty" in why(deployment, "", expect=2).stderr


def test_why_before_first_run_is_an_error(deployment: Deployment) -> None:
    assert "unknown key G1: no runs yet" in why(deployment, "G1", expect=2).stderr
    assert not (deployment.folder / ".batchsync").exists()


def test_why_without_mocks_option_hints_at_mocks_state(deployment: Deployment) -> None:
    deployment.run("sync", "guests")

    assert "add --mocks" in why(deployment, "G1", expect=2, mocks=False).stderr


@pytest.fixture
def without_credential(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment that ran, asked without mocks in an environment that holds no credential."""
    deployment.run("sync")
    shutil.copytree(deployment.folder / ".batchsync" / "mocks", deployment.folder / "state")
    (deployment.folder / "state").chmod(0o700)
    for name in list(os.environ):
        if name.startswith(("MOTORWEB_", "SITECORE_")):
            monkeypatch.delenv(name)
    return deployment


def test_why_without_account_credential_searches_journal(
    without_credential: Deployment,
) -> None:
    folder = str(without_credential.folder / "state")
    told = known(without_credential, "G0", "--state", folder, mocks=False)["guests"]

    assert (told["target"], told["in_baseline"]) == (None, None)
    assert [item["kind"] for item in told["rejects"]] == ["invalid"]
    assert "SITECORE_CLIENT_KEY is not set" in told["note"]
    text = why(without_credential, "G0", "--state", folder, mocks=False).stdout
    assert "guests: the baseline could not be read" in text


def test_why_without_credentials_does_not_call_key_unknown(without_credential: Deployment) -> None:
    folder = str(without_credential.folder / "state")
    said = why(without_credential, "G1", "--state", folder, expect=3, mocks=False)

    assert said.stderr.startswith("error: no job that could be asked knows the key G1 (asked: vehicles, guests)")
    assert "SITECORE_CLIENT_KEY is not set" in said.stderr


def test_why_reads_journal_with_removed_job_or_invalid_jobs_file(deployment: Deployment) -> None:
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
    assert "batchsync" in why(deployment, "G0").stdout


def test_damaged_baseline_is_reported_instead_of_unknown_key(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    (baseline,) = (deployment.folder / ".batchsync/mocks/baselines/guests").glob("*.parquet")
    baseline.write_bytes(b"PAR1")

    assert f"{baseline.name} in the state folder is missing or damaged" in why(deployment, "G1", expect=3).stderr


def test_why_supports_every_output_format(deployment: Deployment) -> None:
    deployment.run("sync", "vehicles")

    text = why(deployment, "V0").stdout.splitlines()
    assert (
        text[0]
        == "vehicles: rejected: the target holds no version; it is sent again when its row changes or on request"
    )
    assert text[1].split("  ")[1].strip() == "kind"
    assert "VALIDATION_ERROR" in text[2]
    assert text[3] == "guests: nothing: the baseline does not hold it"

    lines = [json.loads(line) for line in why(deployment, "V0", "-o", "ndjson").stdout.splitlines()]
    assert [(item["event"], item.get("job")) for item in lines] == [
        ("key", "vehicles"),
        ("key", "guests"),
        ("finished", None),
    ]
    page = why(deployment, "V0", "-o", "md").stdout
    assert page.startswith("### batchsync why: V0\n\n**vehicles**: rejected:")
    assert "| rejected | vehicles-1 |" in page
