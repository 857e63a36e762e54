"""Nothing is sent to persons on the suppression list of a job, whenever they came onto it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import CDP
from kit.planned import PLAN, edit, sent, stderr, write_guests

if TYPE_CHECKING:
    from kit.deployment import Deployment

ALLOCATE = Fault(kind="status", vendor=CDP, method="PUT", path=r"^/v2/batches/", status=400, text="no")


def suppress(deployment: Deployment, block: str = "{path: optouts.csv, key: email}") -> None:
    """Give the job guests a suppression list."""
    edit(deployment, "    on_removed: delete\n", f"    on_removed: delete\n    suppress: {block}\n")


def write_list(deployment: Deployment, *values: str, header: str = "email") -> None:
    """Write optouts.csv."""
    (deployment.folder / "optouts.csv").write_text("\n".join([header, *values, ""]), encoding="utf-8")


def outcomes(deployment: Deployment) -> dict[str, int]:
    """Return the outcomes of the last run that are not 0."""
    equation = deployment.json("show", "guests")["runs"][0]["settlement"]
    names = ("unchanged", "accepted", "suppressed", "invalid", "rejected", "deferred")
    return {name: equation[name] for name in names if equation.get(name)}


def test_listed_persons_are_not_sent_and_are_an_outcome_of_their_own(deployment: Deployment) -> None:
    suppress(deployment)
    write_list(deployment, " GUEST2@Example.COM ", '"guest3 @example.com"', "bad", "", "stranger@example.com")
    write_guests(deployment, 1, 2, 3, also="K4,four,bad\n")

    assert "suppressed 3" in deployment.run("plan", "guests")
    deployment.run("sync", "guests")

    assert sent(deployment) == ["upsert K1"]
    assert outcomes(deployment) == {"accepted": 1, "suppressed": 3}
    assert deployment.json("rejects", "guests")["rejects"] == []


def test_list_of_a_database_and_another_column(deployment: Deployment) -> None:
    with closing(sqlite3.connect(deployment.folder / "crm.db")) as db, db:
        db.execute("CREATE TABLE optouts (customer TEXT)")
        db.execute("INSERT INTO optouts VALUES (' K2')")
    edit(deployment, "  sitecore:\n", "  crm: {database: sqlite, path: crm.db}\n  sitecore:\n")
    suppress(deployment, "{connection: crm, table: optouts, key: customer, matches: id}")
    write_guests(deployment, 1, 2)

    deployment.run("sync", "guests")

    assert sent(deployment) == ["upsert K1"]


def test_values_without_an_at_sign_keep_their_case(deployment: Deployment) -> None:
    suppress(deployment, "{path: optouts.csv, key: id}")
    write_list(deployment, "k1", " K2 ", header="id")
    write_guests(deployment, 1, 2)
    deployment.run("sync", "guests")
    assert sent(deployment) == ["upsert K1"]


def test_delivered_person_is_kept_by_default_and_gets_no_changes(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2)
    deployment.run("sync", "guests")
    suppress(deployment)
    write_list(deployment, "guest2@example.com")
    write_guests(deployment, 1, 2, name="renamed")

    deployment.run("sync", "guests")

    assert sent(deployment)[2:] == ["upsert K1"]
    assert outcomes(deployment) == {"accepted": 1, "suppressed": 1}
    write_list(deployment)
    deployment.run("sync", "guests")
    assert sent(deployment)[3:] == ["upsert K2"]


def test_delivered_person_is_removed_where_the_job_says_so(deployment: Deployment) -> None:
    suppress(deployment, "{path: optouts.csv, key: email, then: remove}")
    write_list(deployment)
    write_guests(deployment, *range(1, 21))
    deployment.run("sync", "guests")
    write_list(deployment, "guest2@example.com", "stranger@example.com")

    deployment.run("sync", "guests")

    assert sent(deployment)[20:] == ["delete K2"]
    assert outcomes(deployment) == {"unchanged": 19, "accepted": 1, "suppressed": 1}
    deployment.run("sync", "guests")
    assert len(sent(deployment)) == 21
    write_list(deployment, *(f"guest{number}@example.com" for number in range(1, 20)))
    assert "above max_remove 10 or 5%" in deployment.run("sync", "guests", expect=6)
    assert len(sent(deployment)) == 21


DAMAGES = {
    "missing": None,
    "empty file": b"",
    "wrong encoding": b"email\n\xff\xfe\xfa\n",
    "rows of another width": b"email\na,b\n",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_unreadable_list_stops_the_job(deployment: Deployment, name: str) -> None:
    suppress(deployment)
    content = DAMAGES[name]
    if content is not None:
        (deployment.folder / "optouts.csv").write_bytes(content)
    write_guests(deployment, 1, 2)

    deployment.run("plan", "guests", expect=3)
    deployment.run("sync", "guests", expect=3)

    assert "the suppression list cannot be read" in stderr(deployment)
    assert sent(deployment) == []


def prepared(deployment: Deployment) -> None:
    """Prepare a batch of three guests whose upload the vendor prevents."""
    write_guests(deployment, 1, 2, 3)
    deployment.mocks.arm(ALLOCATE)
    deployment.run("sync", "guests", "--no-wait", expect=5)
    deployment.mocks.disarm()
    assert sent(deployment) == []


def test_person_listed_after_the_batch_was_prepared_is_withheld(deployment: Deployment) -> None:
    suppress(deployment)
    write_list(deployment)
    prepared(deployment)
    write_list(deployment, "Guest2@example.com")

    assert "rejected 3" in deployment.run("resume", "guests")

    assert sent(deployment) == []
    reasons = {item["reason"] for item in deployment.json("rejects", "guests")["rejects"]}
    assert reasons == {"withheld: 1 of its 3 records came onto the suppression list since it was prepared"}
    deployment.run("sync", "guests")
    assert sorted(sent(deployment)) == ["upsert K1", "upsert K3"]
    assert outcomes(deployment) == {"accepted": 2, "suppressed": 1}


def test_batch_of_persons_who_are_not_listed_is_delivered(deployment: Deployment) -> None:
    suppress(deployment)
    write_list(deployment)
    prepared(deployment)
    write_list(deployment, "guest9@example.com")
    deployment.run("resume", "guests")
    assert sorted(sent(deployment)) == ["upsert K1", "upsert K2", "upsert K3"]


def test_batch_prepared_without_the_list_is_withheld(deployment: Deployment) -> None:
    prepared(deployment)
    suppress(deployment)
    write_list(deployment, "guest2@example.com")
    assert "rejected 3" in deployment.run("resume", "guests")
    assert sent(deployment) == []
    deployment.run("sync", "guests")
    assert sorted(sent(deployment)) == ["upsert K1", "upsert K3"]


def test_list_that_cannot_be_read_before_the_upload_sends_nothing(deployment: Deployment) -> None:
    suppress(deployment)
    write_list(deployment)
    prepared(deployment)
    (deployment.folder / "optouts.csv").unlink()

    deployment.run("resume", "guests", expect=3)
    assert sent(deployment) == []
    write_list(deployment)
    deployment.run("resume", "guests")
    assert len(sent(deployment)) == 3


def test_person_listed_after_the_plan_makes_the_plan_file_stale(deployment: Deployment) -> None:
    suppress(deployment)
    write_list(deployment)
    write_guests(deployment, 1, 2)
    deployment.run("plan", "guests", "--out", PLAN)
    write_list(deployment, "guest2@example.com")

    deployment.run("sync", "--plan", PLAN, expect=7)

    assert "1 of its 2 keys moved: 1 forgotten or suppressed" in stderr(deployment)
    write_list(deployment, "other@example.com")
    deployment.run("sync", "--plan", PLAN)
    assert len(sent(deployment)) == 2


INVALID = {
    "{key: email}": '"suppress" has no "path"',
    "{path: optouts.csv}": '"key"',
    "{path: optouts.csv, key: '=lower(email)'}": '"key" is an expression',
    "{path: optouts.csv, key: email, than: keep}": "than",
    "{path: optouts.csv, key: email, then: delete}": "then",
    "{path: optouts.csv, connection: nowhere, key: email}": "nowhere",
    "{path: optouts.csv, key: address}": "the source has no column 'address'",
    "{path: '-', key: email, format: csv}": "standard input, which can be read once only",
    "{table: optouts, key: email}": 'without "connection"',
    "optouts.csv": "suppress",
}


@pytest.mark.parametrize("command", [["validate"], ["plan", "guests"], ["sync", "guests"]])
def test_list_without_its_column_is_a_mistake_of_the_jobs_file(deployment: Deployment, command: list[str]) -> None:
    suppress(deployment, "{path: optouts.csv, key: e-mail, matches: email}")
    write_list(deployment, "guest1@example.com")
    deployment.run(*command, expect=2)
    assert "suppress.key: optouts.csv has no column 'e-mail'" in stderr(deployment)
    assert "jobs.yaml:" in stderr(deployment)
    assert sent(deployment) == []


def test_list_that_is_missing_now_is_noted(deployment: Deployment) -> None:
    suppress(deployment, "{path: missing.csv, key: email}")
    deployment.run("validate")
    assert "missing.csv" in stderr(deployment)


@pytest.mark.parametrize("block", INVALID)
def test_invalid_blocks_are_refused_with_their_place(deployment: Deployment, block: str) -> None:
    suppress(deployment, block)
    deployment.run("validate", expect=2)
    printed = stderr(deployment)
    assert INVALID[block] in printed
    assert "jobs.yaml:" in printed


def test_removal_of_suppressed_persons_needs_a_removing_mode(deployment: Deployment) -> None:
    suppress(deployment, "{path: optouts.csv, key: email, then: remove}")
    edit(deployment, "    on_removed: delete\n", "")
    deployment.run("validate", expect=2)
    assert '"then: remove" in a job that removes nothing at its target' in stderr(deployment)
