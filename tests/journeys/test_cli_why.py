"""`batchsync why KEY` reports the state of a key in every job, without changing anything."""

from __future__ import annotations

import json
import os
import re
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
    """Run `batchsync why` in this process; without `mocks`, for the state of the vendors themselves."""
    unset = {} if mocks else {"BATCHSYNC_MOCKS": None, "BATCHSYNC_MOCKS_AT": None}
    environ: dict[str, str | None] = {**deployment.environ(), **unset}
    options = [*arguments, "--file", str(deployment.folder / "jobs.yaml")]
    result = CliRunner().invoke(main, ["why", *options], env=environ)
    assert result.exit_code == expect, result.output
    assert "Traceback" not in result.stderr
    return result


def job_states(deployment: Deployment, *arguments: str, mocks: bool = True) -> dict[str, Any]:
    """Return the result of `batchsync why` by job name."""
    result = json.loads(why(deployment, *arguments, "-o", "json", mocks=mocks).stdout)["result"]
    return {item["job"]: item for item in result["jobs"]}


def add_guests(deployment: Deployment, *lines: str) -> None:
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def state(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in the state folder except those that SQLite creates for readers."""
    return {
        str(path): path.read_bytes()
        for path in (folder / ".batchsync").rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_why_searches_every_job(deployment: Deployment) -> None:
    deployment.run("sync")

    accepted = job_states(deployment, "G1")
    assert (accepted["guests"]["target"], accepted["guests"]["in_baseline"]) == ("accepted", True)
    assert (accepted["vehicles"]["target"], accepted["vehicles"]["in_baseline"]) == ("nothing", False)

    invalid = job_states(deployment, "G0")["guests"]
    assert invalid["target"] == "nothing"
    (reject,) = invalid["rejects"]
    assert (reject["kind"], reject["run"], reject["batch"], reject["field"]) == ("invalid", "guests-1", None, "email")

    refused = job_states(deployment, "V0")["vehicles"]
    assert (refused["target"], refused["in_baseline"]) == ("rejected", False)
    (reject,) = refused["rejects"]
    assert (reject["kind"], reject["run"], reject["batch_line"], reject["code"]) == (
        "rejected",
        "vehicles-1",
        20,
        "VALIDATION_ERROR",
    )
    assert reject["batch"].startswith("vehicles-")
    assert reject["reason"] == "VIN must be 17 letters and digits without I, O and Q"


def test_why_lists_rejects_oldest_first(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    add_guests(deployment, "G99,new,new@example.com")
    deployment.run("sync", "guests")

    jobs = job_states(deployment, "G0", "--job", "guests")
    assert list(jobs) == ["guests"]
    assert [item["run"] for item in jobs["guests"]["rejects"]] == ["guests-1", "guests-2"]


def test_why_shows_batch_and_line_of_version_in_flight(deployment: Deployment) -> None:
    deployment.run("sync", "guests", "--no-wait", expect=5)

    (batch,) = job_states(deployment, "G7")["guests"]["in_flight"]
    assert (batch["run"], batch["phase"], batch["batch_line"]) == ("guests-1", "submitted", 7)
    text = why(deployment, "G7").stdout
    assert (
        f"guests: nothing: the baseline does not hold it\n  in flight: batch {batch['batch']}, submitted, line 7"
        in text
    )
    assert "resume guests` completes the batches in flight" in text.splitlines()[-1]

    deployment.run("resume")
    guests = job_states(deployment, "G7")["guests"]
    assert (guests["target"], guests["in_flight"]) == ("accepted", [])


def test_why_shows_resolve_command_for_unknown_outcome(deployment: Deployment) -> None:
    lost = Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=404, times=0)
    deployment.mocks.arm(lost)
    deployment.run("sync", "guests", expect=8)

    guests = job_states(deployment, "G3")["guests"]
    assert (guests["target"], guests["in_baseline"], [item["kind"] for item in guests["rejects"]]) == (
        "unknown",
        False,
        ["unknown"],
    )
    batch = guests["rejects"][0]["batch"]
    hint = why(deployment, "G3").stdout.splitlines()[-1]
    assert all(f" resolve {batch} {option}`" in hint for option in ("--delivered", "--resend"))

    deployment.run("resolve", batch, "--delivered")
    assert job_states(deployment, "G3")["guests"]["target"] == "accepted"
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

    error = why(deployment, "G77", expect=2).stderr
    assert error.startswith("error: unknown key G77; searched jobs: vehicles, guests [BS-C010]\nnext: ")
    assert "searched jobs: vehicles [BS-C010]\n" in why(deployment, "G1", "--job", "vehicles", expect=2).stderr
    assert 'unknown job "gests"' in why(deployment, "G1", "--job", "gests", expect=2).stderr
    assert "error: the key is empty" in why(deployment, "", expect=2).stderr


def test_why_before_first_run_is_an_error(deployment: Deployment) -> None:
    assert "unknown key G1: no runs yet" in why(deployment, "G1", expect=2).stderr
    assert not (deployment.folder / ".batchsync").exists()


def test_why_without_mocks_option_hints_at_mocks_state(deployment: Deployment) -> None:
    deployment.run("sync", "guests")

    assert "add --mocks" in why(deployment, "G1", expect=2, mocks=False).stderr


@pytest.fixture
def without_credential(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment after a sync, with a copy of its state, in an environment without credentials."""
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
    guests = job_states(without_credential, "G0", "--state", folder, mocks=False)["guests"]

    assert (guests["target"], guests["in_baseline"]) == (None, None)
    assert [item["kind"] for item in guests["rejects"]] == ["invalid"]
    assert "SITECORE_CLIENT_KEY is not set" in guests["note"]
    text = why(without_credential, "G0", "--state", folder, mocks=False).stdout
    assert "guests: the baseline could not be read" in text


def test_why_without_credentials_does_not_call_key_unknown(without_credential: Deployment) -> None:
    folder = str(without_credential.folder / "state")
    result = why(without_credential, "G1", "--state", folder, expect=3, mocks=False)

    assert result.stderr.startswith("error: unknown key G1 in the jobs that could be searched (vehicles, guests)")
    assert "SITECORE_CLIENT_KEY is not set" in result.stderr


def test_why_reads_journal_with_removed_job_or_invalid_jobs_file(deployment: Deployment) -> None:
    deployment.run("sync")
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("  guests:", "  people:"), encoding="utf-8")

    known = job_states(deployment, "G0")
    assert (known["guests"]["target"], len(known["guests"]["rejects"])) == (None, 1)
    assert "no longer in the jobs file" in known["guests"]["note"]
    assert known["people"]["target"] == "nothing"

    file.write_text("jobs: [", encoding="utf-8")
    known = job_states(deployment, "G0")
    assert (list(known), len(known["guests"]["rejects"])) == (["guests"], 1)
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
    assert text[3].split() == ["run", "sent", "batch", "line", "change", "version", "answer"]
    assert re.search(r"^  vehicles-1 .* rejected: VIN must be 17 letters", text[4])
    assert text[5].startswith("  now in the source: row 20, version ")
    assert text[-1] == "guests: nothing: the baseline does not hold it"

    lines = [json.loads(line) for line in why(deployment, "V0", "-o", "ndjson").stdout.splitlines()]
    assert [(item["event"], item.get("job")) for item in lines] == [
        ("key", "vehicles"),
        ("key", "guests"),
        ("finished", None),
    ]
    page = why(deployment, "V0", "-o", "md").stdout
    assert page.startswith("### batchsync why: V0\n\n**vehicles**: rejected:")
    assert "| rejected | vehicles-1 |" in page


def edit_guest(deployment: Deployment, old: str, new: str) -> None:
    source = deployment.folder / "guests.csv"
    source.write_text(source.read_text("utf-8").replace(old, new), encoding="utf-8")


def test_why_lists_accepted_deliveries_with_their_versions(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    edit_guest(deployment, "G7,", "G7,New ")
    deployment.run("sync", "guests")

    guests = job_states(deployment, "G7")["guests"]

    first, second = guests["deliveries"]
    assert [(item["run"], item["answer"]) for item in (first, second)] == [
        ("guests-1", "accepted"),
        ("guests-2", "accepted"),
    ]
    assert first["version"] != second["version"]
    assert second["version"] == guests["now"]["version"] == guests["now"]["version_held"]
    assert first["batch"] != second["batch"]
    assert second["sent_at"] >= first["sent_at"]
    assert guests["now"]["valid"] is True


def test_why_knows_lines_while_row_manifests_are_kept(deployment: Deployment) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(f"{jobs.read_text('utf-8')}retention: {{batch_files: 7d}}\n", encoding="utf-8")
    deployment.run("sync", "guests")

    (delivery,) = job_states(deployment, "G7")["guests"]["deliveries"]

    assert (delivery["batch_line"], delivery["change"]) == (7, "add")


def test_why_shows_the_record_now_masked_unless_asked(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    edit_guest(deployment, "G7,", "G7,Quixote ")

    masked = why(deployment, "G7").stdout
    assert "another than the target holds" in masked
    assert "Quixote" not in masked
    assert "Quixote" in why(deployment, "G7", "--show-values").stdout
    hidden = why(deployment, "G7", "--show-values", "-o", "md")
    assert "Quixote" not in hidden.stdout
    assert "--show-personal" in hidden.stderr


def test_why_of_a_key_that_left_the_source_says_so(deployment: Deployment) -> None:
    deployment.run("sync", "guests")
    source = deployment.folder / "guests.csv"
    kept = [line for line in source.read_text("utf-8").splitlines() if not line.startswith("G7,")]
    source.write_text("\n".join([*kept, ""]), encoding="utf-8")

    assert "now in the source: no selected row has this key" in why(deployment, "G7").stdout
