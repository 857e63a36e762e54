"""A plan file is delivered exactly as reviewed, whatever became of the source; the vendor's ledger is the judge."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kit.deployment import BDP, CDP
from kit.planned import PLAN, edit, sent, stderr, write_guests

if TYPE_CHECKING:
    from kit.deployment import Deployment


def test_row_added_after_the_plan_is_not_sent_with_it(deployment: Deployment) -> None:
    write_guests(deployment, *range(1, 6))
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment, *range(1, 7))

    output = deployment.run("sync", "--plan", PLAN)

    assert sorted(sent(deployment)) == [f"upsert K{number}" for number in range(1, 6)]
    assert "selected 5 = unchanged 0 + accepted 5" in output
    assert "applied plan file" in output
    assert "+ 1 add" in deployment.run("plan", "guests")
    deployment.run("sync", "guests")
    assert sent(deployment)[5:] == ["upsert K6"]


def test_planned_values_are_sent_after_the_source_was_edited_or_deleted(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2, name="planned")
    deployment.run("plan", "guests", "--out", PLAN)
    (deployment.folder / "guests.csv").unlink()

    deployment.run("sync", "--plan", PLAN)

    names = [entry["value"]["firstName"] for entry in deployment.mocks.ledger(CDP, values=True)]
    assert sorted(names) == ["Planned 1", "Planned 2"]


def test_adds_changes_and_removals_are_delivered_and_the_run_balances(deployment: Deployment) -> None:
    write_guests(deployment, *range(1, 21))
    deployment.run("sync", "guests")
    before = len(sent(deployment))
    write_guests(deployment, *range(3, 21), also="K1,renamed,guest1@example.com\nK21,new,g21@example.com\nK22,bad,no\n")
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment)

    deployment.run("sync", "--plan", PLAN)

    assert sorted(sent(deployment)[before:]) == ["delete K2", "upsert K1", "upsert K21"]
    run = deployment.json("show", "guests")["runs"][0]
    equation = run["settlement"]
    assert (equation["selected"], equation["unchanged"], equation["accepted"], equation["invalid"]) == (22, 18, 3, 1)
    assert [item["key"] for item in deployment.json("rejects", "guests")["rejects"]] == ["K22"]
    assert "nothing to send" not in deployment.run("plan", "guests")


def test_run_over_other_keys_does_not_make_a_plan_stale(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2)
    deployment.run("sync", "guests")
    write_guests(deployment, 1, 2, 3)
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment, 1, 4, also="K2,other,guest2@example.com\n")
    deployment.run("sync", "guests")

    deployment.run("sync", "--plan", PLAN)

    assert sent(deployment)[-1] == "upsert K3"
    assert sent(deployment).count("upsert K3") == 1


def test_key_changed_by_another_run_is_refused_with_the_number_of_keys(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2, 3)
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment, 2, 3)
    deployment.run("sync", "guests")
    before = sent(deployment)

    deployment.run("sync", "--plan", PLAN, expect=7)

    assert "2 of its 3 keys moved: 2 changed by another run" in stderr(deployment)
    assert sent(deployment) == before
    assert "2 of its 3 keys moved" in deployment.run("show", PLAN)
    found = json.loads(deployment.run("-o", "json", "sync", "--plan", PLAN, expect=7))
    assert found["error"]["code"] == "stale_plan"


def test_second_application_is_refused(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2)
    deployment.run("plan", "guests", "--out", PLAN)
    deployment.run("sync", "--plan", PLAN)

    deployment.run("sync", "--plan", PLAN, expect=7)

    assert "it was applied already, in run guests-1" in stderr(deployment)
    assert len(sent(deployment)) == 2
    assert deployment.json("show", PLAN)["plan_file"]["applied"] == {"guests": "guests-1"}


def test_second_plan_of_the_same_changes_is_refused_after_the_first(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2)
    deployment.run("plan", "guests", "--out", PLAN)
    deployment.run("plan", "guests", "--out", "second.plan")
    deployment.run("sync", "--plan", "second.plan")

    deployment.run("sync", "--plan", PLAN, expect=7)

    assert "2 of its 2 keys moved" in stderr(deployment)
    assert len(sent(deployment)) == 2


def test_plan_of_no_change_is_applied_once(deployment: Deployment) -> None:
    write_guests(deployment, 1)
    deployment.run("sync", "guests")
    deployment.run("plan", "guests", "--out", PLAN)

    assert "selected 1 = unchanged 1" in deployment.run("sync", "--plan", PLAN)
    deployment.run("sync", "--plan", PLAN, expect=7)
    assert len(sent(deployment)) == 1


@pytest.mark.parametrize("again", [("sync", "--plan", PLAN), ("resume", "guests")])
def test_killed_application_is_completed_and_sends_nothing_twice(
    deployment: Deployment, again: tuple[str, ...]
) -> None:
    write_guests(deployment, *range(1, 6))
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment, *range(1, 9))

    deployment.kill_during(CDP, "PUT", "/", "sync", "--plan", PLAN)
    deployment.run(*again)

    assert set(deployment.delivered(CDP).values()) == {1}
    assert sorted(sent(deployment)) == [f"upsert K{number}" for number in range(1, 6)]
    settlement = deployment.json("show", "guests-1")["runs"][0]["settlement"]
    assert (settlement["selected"], settlement["accepted"]) == (5, 5)


def test_landed_rows_are_delivered_although_their_database_is_gone(deployment: Deployment) -> None:
    database = deployment.folder / "crm.db"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE guests (id TEXT, name TEXT, email TEXT)")
        db.execute("INSERT INTO guests VALUES ('K1', 'ann', 'ann@example.com'), ('K2', 'bo', 'bo@example.com')")
    edit(
        deployment,
        "  sitecore:\n",
        "  crm: {database: sqlite, path: crm.db}\n  sitecore:\n",
    )
    edit(deployment, "{path: guests.csv, key: id}", "{connection: crm, table: guests, key: id}")
    deployment.run("plan", "guests", "--out", PLAN)
    database.unlink()

    deployment.run("sync", "--plan", PLAN)

    assert sorted(sent(deployment)) == ["upsert K1", "upsert K2"]


def test_lookup_with_the_template_of_its_vendor_is_delivered(deployment: Deployment) -> None:
    deployment.run("plan", "vehicles", "--out", PLAN)
    source = (deployment.folder / "vehicles.csv").read_text(encoding="utf-8")
    (deployment.folder / "vehicles.csv").write_text(source + "V99,1HGCM82633A999999,,\n", encoding="utf-8")

    deployment.run("sync", "--plan", PLAN)

    assert len(deployment.mocks.ledger(BDP)) == 20
    text = deployment.results("out/vehicles.csv").read_text(encoding="utf-8")
    assert "V1," in text
    assert "V99," not in text


def test_one_plan_file_holds_all_jobs_and_can_be_applied_in_parts(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2)
    deployment.run("plan", "--out", PLAN)

    deployment.run("sync", "guests", "--plan", PLAN)
    assert (len(sent(deployment)), len(deployment.mocks.ledger(BDP))) == (2, 0)
    deployment.run("sync", "--plan", PLAN, expect=7)
    assert "`batchsync sync vehicles --plan guests.plan` applies the others" in stderr(deployment)
    deployment.run("sync", "vehicles", "--plan", PLAN)

    assert len(deployment.mocks.ledger(BDP)) == 20


def test_plan_file_is_private_and_says_who_made_it(deployment: Deployment) -> None:
    write_guests(deployment, 1)
    written = deployment.json("plan", "guests", "--out", PLAN)["plan_file"]

    assert stat.S_IMODE((deployment.folder / PLAN).stat().st_mode) == 0o600
    shown = deployment.json("show", PLAN)
    assert shown["plan_file"] == written
    assert {"made_by", "made_on", "made_with", "made_at", "id"} <= shown["plan_file"].keys()
    assert shown["jobs"][0]["first"]["add"] == [{"key": "K1", "source_row": 1}]
    for form in (["show", PLAN], ["-o", "md", "show", PLAN]):
        assert written["id"] in deployment.run(*form)
    secrets = [str(item) for name in (BDP, CDP) for item in deployment.mocks.credentials(name).values()]
    content = (deployment.folder / PLAN).read_bytes()
    assert not [value for value in secrets if value.encode() in content]


def test_plan_file_is_shown_with_its_records_after_the_source_is_gone(deployment: Deployment) -> None:
    write_guests(deployment, 1, 2, name="planned")
    deployment.run("plan", "guests", "--out", PLAN)
    (deployment.folder / "guests.csv").unlink()

    output = deployment.run("show", PLAN, "--show-values", "--records", "1")

    assert "firstName: Planned 1" in output
    assert "firstName: Planned 2" not in output
    assert "Planned" not in deployment.run("show", PLAN)
    edit(deployment, "firstName: =initcap(name)", "firstName: =upper(name)")
    edited = deployment.run("show", PLAN, "--show-values")
    assert "firstName" not in edited
    assert "+ 2 adds" in edited


@pytest.mark.parametrize("approve", [["guests"], [PLAN]])
def test_guards_hold_a_plan_file_until_it_is_approved(deployment: Deployment, approve: list[str]) -> None:
    write_guests(deployment, *range(1, 31))
    deployment.run("sync", "guests")
    before = len(sent(deployment))
    write_guests(deployment, *range(1, 6))
    deployment.run("plan", "guests", "--out", PLAN)
    write_guests(deployment, *range(1, 31))
    if approve == ["guests"]:
        assert "above max_remove" in deployment.run("sync", "--plan", PLAN, expect=6)

    deployment.run("approve", *approve, "--reason", "reviewed")
    deployment.run("sync", "--plan", PLAN)

    assert sorted(sent(deployment)[before:]) == sorted(f"delete K{number}" for number in range(6, 31))


def test_approval_of_a_plan_file_that_needs_none_is_refused(deployment: Deployment) -> None:
    write_guests(deployment, 1)
    deployment.run("plan", "guests", "--out", PLAN)
    deployment.run("approve", PLAN, "--reason", "x", expect=2)
    assert "nothing to approve" in stderr(deployment)


def test_guards_in_jobs_yaml_are_those_of_the_application(deployment: Deployment) -> None:
    write_guests(deployment, *range(1, 21))
    deployment.run("sync", "guests")
    write_guests(deployment, *range(2, 21))
    deployment.run("plan", "guests", "--out", PLAN)
    edit(deployment, "    on_removed: delete\n", "    on_removed: delete\n    guards: {max_remove: 0}\n")

    assert "above max_remove 0" in deployment.run("sync", "--plan", PLAN, expect=6)
