"""`batchsync preview` and the records of `batchsync plan`, through the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import CDP, Deployment
from kit.state_search import contents

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "id,name,email\nG1,ada lovelace,ada@example.com\nG2,grace hopper,grace@example.com\n"


@pytest.fixture
def guests(deployment: Deployment) -> Deployment:
    """A deployment with two guests."""
    (deployment.folder / "guests.csv").write_text(ROWS, encoding="utf-8")
    return deployment


def edit(deployment: Deployment, name: str, old: str, new: str) -> None:
    """Edit a file of the deployment."""
    file = deployment.folder / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def keep(deployment: Deployment, what: str) -> None:
    """Let the job of guests keep content."""
    edit(
        deployment, "jobs.yaml", "    on_removed: delete\n", f"    on_removed: delete\n    baseline: {{keep: {what}}}\n"
    )


def planned(deployment: Deployment, *options: str) -> dict[str, Any]:
    """Return the plan of the guests."""
    (job,) = deployment.json("plan", "guests", *options)["jobs"]
    found: dict[str, Any] = job
    return found


def state(folder: Path) -> set[str]:
    """Return the files of the state folder."""
    return {str(path) for path in (folder / ".batchsync").rglob("*") if path.is_file()}


def test_preview_shows_records_beside_rows_without_state(guests: Deployment) -> None:
    text = guests.run("preview", "guests", "--show-values")

    assert text.startswith("guests G1 (row 1): valid\n  row\n")
    assert "firstName                    Ada Lovelace" in text
    assert state(guests.folder) == set()
    assert not guests.delivered(CDP)


def test_preview_of_keys_shows_these_masked(guests: Deployment) -> None:
    text = guests.run("preview", "guests", "G2")

    assert "guests G2 (row 2): valid" in text
    assert "G1" not in text
    assert "grace@example.com" not in text
    assert "g***m (17 characters)" in text


def test_preview_of_an_unknown_key_is_refused(guests: Deployment) -> None:
    guests.run("preview", "guests", "G9", expect=2)

    log = (guests.folder / "last.log").read_text("utf-8")
    assert "no selected row of the source has the key G9" in log
    assert "`batchsync preview guests` shows the first records" in log


def test_preview_of_an_unknown_job_is_refused(guests: Deployment) -> None:
    guests.run("preview", "gests", expect=2)

    assert 'unknown job "gests"' in (guests.folder / "last.log").read_text("utf-8")


def test_preview_shows_invalid_rows_and_rows_without_a_key(guests: Deployment) -> None:
    (guests.folder / "guests.csv").write_text(f"{ROWS},keyless,x@example.com\nG4,bad,not-an-address\n", "utf-8")

    records = guests.json("preview", "guests", "--limit", "9")["records"]

    assert [(item["key"], item["source_rows"], item["valid"]) for item in records] == [
        ("G1", [1], True),
        ("G2", [2], True),
        (None, [3], False),
        ("G4", [4], False),
    ]
    assert records[2]["record"] is None
    assert records[2]["violations"][0]["code"] == "key"
    assert records[3]["violations"][0]["field"] == "email"
    assert records[3]["record"]["email"] == "n***s (14 characters)"


def test_preview_shows_each_row_of_a_duplicate_key(guests: Deployment) -> None:
    (guests.folder / "guests.csv").write_text(f"{ROWS}G1,other,other@example.com\n", encoding="utf-8")

    text = guests.run("preview", "guests", "G1")

    assert "(row 1)" in text
    assert "(row 3)" in text
    assert "2 rows have this key; source.duplicates is fail" in text


def test_preview_of_an_empty_source(guests: Deployment) -> None:
    (guests.folder / "guests.csv").write_text("id,name,email\n", encoding="utf-8")

    assert guests.run("preview", "guests") == "guests: the source has no selected row\n"


def test_preview_of_rows_that_make_one_record(guests: Deployment) -> None:
    rows = "id,name,email,ext\nG1,ada,ada@example.com,a\nG2,grace,grace@example.com,b\nG1,ada,ada@example.com,c\n"
    (guests.folder / "guests.csv").write_text(rows, encoding="utf-8")
    edit(
        guests,
        "jobs.yaml",
        "identifiers: [{provider: CRM, id: =id}]",
        "identifiers: [{each: {provider: CRM, id: =ext}}]",
    )
    edit(guests, "jobs.yaml", "    on_removed: delete\n", "")

    (record,) = guests.json("preview", "guests", "G1", "--show-values")["records"]

    assert record["source_rows"] == [1, 3]
    assert [item["id"] for item in record["record"]["identifiers"]] == ["a", "c"]
    first, _ = guests.json("preview", "guests", "--limit", "2")["records"]
    assert first["source_rows"] == [1, 3]


def test_preview_hides_values_in_markdown(guests: Deployment) -> None:
    page = guests.run("-o", "md", "preview", "guests", "--show-values")

    assert "ada" not in page.lower().replace("data", "")
    assert "| firstName | \\[value\\] |" in page
    shown = guests.run("-o", "md", "preview", "guests", "--show-values", "--show-personal")
    assert "Ada Lovelace" in shown


@pytest.mark.parametrize("what", ["members", "records"])
def test_kept_content_shows_what_changes_and_a_change_of_keep_sends_nothing(guests: Deployment, what: str) -> None:
    guests.run("sync", "guests")
    keep(guests, what)
    assert planned(guests)["to_send"] == 0
    sent = guests.delivered(CDP)
    guests.run("sync", "guests")
    assert guests.delivered(CDP) == sent

    edit(guests, "guests.csv", "ada@", "countess@")
    plan = planned(guests, "--show-values")

    assert plan["records"]["changed_members"] == {"email": 1}
    (change,) = plan["records"]["change"]
    assert change["changed_members"] == ["email"]
    assert change["record"]["email"] == "countess@example.com"
    before = change["before"]
    assert (before and before["email"]) == ("ada@example.com" if what == "records" else None)


def test_edit_of_the_mapping_counts_changes_by_member(guests: Deployment) -> None:
    keep(guests, "members")
    guests.run("sync", "guests")
    edit(guests, "jobs.yaml", "=initcap(name)", "=upper(name)")

    text = guests.run("plan", "guests")

    assert "  members that change in 2 records: firstName in 2\n" in text
    assert "  ~ G1 (row 1): ~ firstName\n" in text


def test_records_are_not_kept_any_longer_after_the_next_run(guests: Deployment) -> None:
    keep(guests, "records")
    guests.run("sync", "guests")
    edit(guests, "jobs.yaml", "    baseline: {keep: records}\n", "")
    guests.run("sync", "guests")

    folder = guests.folder / ".batchsync" / "mocks" / "baselines" / "guests"
    newest = {path.name for path in folder.glob("*.parquet")}
    edit(guests, "guests.csv", "ada@", "countess@")
    assert planned(guests)["records"]["members_unknown"] == 1
    assert len(newest) == 1
    assert b"grace@example.com" not in (folder / newest.pop()).read_bytes()


def test_forgotten_key_is_in_no_file_of_the_state(guests: Deployment) -> None:
    keep(guests, "records")
    guests.run("sync", "guests")
    guests.run("forget", "G1", "--reason", "request")

    files = [path for path in (guests.folder / ".batchsync" / "mocks" / "baselines").rglob("*") if path.is_file()]
    assert files
    assert not any(b"ada@example.com" in path.read_bytes() for path in files)


def test_forgotten_key_is_in_no_kept_row_manifest(guests: Deployment) -> None:
    keep(guests, "records")
    jobs = guests.folder / "jobs.yaml"
    jobs.write_text(f"{jobs.read_text('utf-8')}retention: {{batch_files: 7d}}\n", encoding="utf-8")
    guests.run("sync", "guests")
    (manifest,) = (guests.folder / ".batchsync" / "mocks" / "staging").rglob("*.manifest.parquet")
    assert b"ada@example.com" in b"\n".join(contents(manifest))
    guests.run("forget", "G1", "--reason", "request")

    for path in (guests.folder / ".batchsync" / "mocks" / "staging").rglob("*.manifest.parquet"):
        assert b"ada@example.com" not in b"\n".join(contents(path))


def test_in_flight_limit_of_a_connection_counts_in_the_forecast(guests: Deployment) -> None:
    edit(guests, "jobs.yaml", "    vendor: sitecore-cdp\n", "    vendor: sitecore-cdp\n    in_flight: 3\n")

    expected = planned(guests)["expected"]
    assert (expected["in_flight"], expected["in_flight_from"]) == (3, "connection")


def test_wrong_values_of_keep_are_refused_with_their_place(guests: Deployment) -> None:
    keep(guests, "everything")
    guests.run("validate", expect=2)

    log = (guests.folder / "last.log").read_text("utf-8")
    assert 'jobs.yaml:29:22: "keep" cannot be "everything"' in log
    assert "one of fingerprints, members, records" in log


def test_each_format_of_a_plan_says_the_same(guests: Deployment) -> None:
    guests.run("sync", "guests")
    edit(guests, "jobs.yaml", "=initcap(name)", "=upper(name)")

    text = guests.run("plan", "guests")
    page = guests.run("-o", "md", "plan", "guests")
    plan = planned(guests)

    assert plan["edited"] is True
    assert len(plan["remarks"]) >= 3
    for remark in plan["remarks"]:
        assert remark in text
        assert remark.replace("_", "\\_") in page
    assert any("the job was edited since its last run" in remark for remark in plan["remarks"])
    assert any(remark.startswith("expected time: about ") for remark in plan["remarks"])
    expected = plan["expected"]
    assert (expected["past_batches"], expected["seconds_from"]) == (1, "batches_of_job")
    assert (expected["bytes_from"], expected["measured_records"]) == ("batches_of_job", 2)


def test_first_plan_measures_records_and_says_that_there_is_no_past_batch(guests: Deployment) -> None:
    plan = planned(guests, "--out", "first.plan")
    guests.run("sync", "guests")

    assert "expected time: not known, because there is no past batch of sitecore-cdp" in plan["remarks"]
    expected = plan["expected"]
    assert (expected["seconds"], expected["seconds_from"], expected["upload_seconds"]) == (None, None, None)
    assert (expected["bytes_from"], expected["measured_records"]) == ("sample", 2)
    # A plan file keeps what was expected when it was made.
    assert guests.json("show", "first.plan")["jobs"][0]["expected"] == expected


def test_plan_without_keys_shows_no_records(guests: Deployment) -> None:
    plan = planned(guests, "--limit", "0")

    assert plan["records"]["add"] == []
    assert planned(guests, "--records", "0")["records"]["add"] == []
    assert len(planned(guests, "--records", "1")["records"]["add"]) == 1


def test_values_are_hidden_in_the_log_of_a_pipeline(guests: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    text = guests.run("plan", "guests", "--show-values")

    assert "Ada" not in text
    assert "firstName: [value]" in text
    assert "Ada Lovelace" in guests.run("plan", "guests", "--show-values", "--show-personal")


def test_plot_of_runs_is_drawn(guests: Deployment) -> None:
    guests.run("sync", "guests")

    lines = guests.run("history", "guests", "--plot").splitlines()

    assert lines[0].split() == ["run", "started", "sent"]
    assert "█" in lines[1]
    assert max(map(len, lines)) <= 80
    assert json.loads(guests.run("-o", "json", "history", "guests", "--plot"))["result"]["runs"][0]["run"] == "guests-1"
