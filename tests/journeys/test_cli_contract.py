"""Contract of a source: stale or incomplete sources reach the vendor only after approval, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

COLUMNS = "columns: {email: {max_null: 10%}, name: {not_null: true}}"
FRESH = "freshness: {column: updated_at, max_age: 26h}"


def now(age: timedelta = timedelta()) -> str:
    """Return the time some time ago, as the source writes it."""
    return f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}"


def write_guests(deployment: Deployment, *, at: str, count: int = 20, unknown: int = 0, start: int = 0) -> None:
    """Write guests that were updated at a time, of which some have no e-mail address."""
    rows = [
        f"G{number},guest,{'' if number - start < unknown else f'guest{number}@example.com'},{at}"
        for number in range(start, start + count)
    ]
    (deployment.folder / "guests.csv").write_text("\n".join(["id,name,email,updated_at", *rows, ""]), encoding="utf-8")


def promise(deployment: Deployment, *promises: str) -> None:
    """Add a contract to the source of the job guests."""
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8")
    old = "{path: guests.csv, key: id}"
    assert text.count(old) == 1
    file.write_text(text.replace(old, f"{{path: guests.csv, key: id, {', '.join(promises)}}}"), encoding="utf-8")


def received(deployment: Deployment) -> int:
    """Return the number of records in the vendor's ledger."""
    return len(deployment.mocks.ledger(CDP))


def writes(deployment: Deployment) -> list[str]:
    """Return the requests that change something at the vendor."""
    return [item["method"] for item in deployment.mocks.requests() if item["method"] != "GET"]


def test_stale_source_is_sent_only_after_approval_and_each_time(deployment: Deployment) -> None:
    promise(deployment, FRESH)
    write_guests(deployment, at=now())
    deployment.run("sync", "guests")
    assert received(deployment) == 20

    stale = now(timedelta(days=3))
    write_guests(deployment, at=stale, count=21)
    before = len(writes(deployment))
    plan = deployment.json("plan", "guests", "--detailed-exitcode", expect=6)["jobs"][0]
    assert [item["guard"] for item in plan["guards"]] == ["freshness"]
    assert plan["contract"]["freshness"] == {"column": "updated_at", "max_age": "26h", "newest": stale}
    reason = f'column "updated_at": the newest value, {stale}, is older than max_age 26h'
    for _ in range(2):
        assert reason in deployment.run("sync", "guests", expect=6)
    assert (received(deployment), len(writes(deployment))) == (20, before)
    assert reason in deployment.run("status")
    assert reason in deployment.run("approve", "guests", "--reason", "the shop is closed on Sundays")
    deployment.run("sync", "guests")
    assert received(deployment) == 21

    # Nothing would be sent, and the approval was of one run.
    assert reason in deployment.run("sync", "guests", expect=6)
    write_guests(deployment, at=now(timedelta(hours=25)), count=21)
    deployment.run("sync", "guests")
    assert received(deployment) == 21


def test_incomplete_column_is_held_with_its_counts(deployment: Deployment) -> None:
    promise(deployment, COLUMNS)
    write_guests(deployment, at="", unknown=2)
    assert "email: 2 of 20 rows are null (10 %), allowed 10%" in deployment.run("plan", "guests")
    deployment.run("sync", "guests")
    assert received(deployment) == 20

    write_guests(deployment, at="", unknown=3, start=50)
    text = 'column "email": 3 of 20 rows are null (15 %), allowed 10%'
    assert f"guard columns would block this run: {text}" in deployment.run("plan", "guests")
    assert "email: 3 of 20 rows are null (15 %), allowed 10%" in deployment.run("-o", "md", "plan", "guests")
    lines = [json.loads(line) for line in deployment.run("-o", "ndjson", "sync", "guests", expect=6).splitlines()]
    assert any(text in json.dumps(line, ensure_ascii=False).replace('\\"', '"') for line in lines)
    assert received(deployment) == 20


def test_contract_that_fails_stops_the_run_and_cannot_be_approved(deployment: Deployment) -> None:
    promise(deployment, FRESH, COLUMNS, "on_breach: fail")
    write_guests(deployment, at=now(timedelta(days=2)), unknown=20)
    before = len(writes(deployment))
    deployment.run("sync", "guests", expect=3)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert "guests: the source does not meet its contract: column" in log
    assert 'column "email": 20 of 20 rows are null (100 %), allowed 10%' in log
    assert "no plan" in deployment.run("plan", "guests", expect=3)
    deployment.run("approve", "guests", "--reason", "it is fine", expect=2)
    assert (received(deployment), len(writes(deployment))) == (0, before)
    # The other job of the file is not stopped.
    deployment.run("sync", expect=3)
    assert received(deployment) == 0
    assert deployment.mocks.ledger("motorweb-bdp")

    write_guests(deployment, at=now())
    deployment.run("sync", "guests")
    assert received(deployment) == 20


def test_rows_that_the_condition_leaves_out_do_not_count(deployment: Deployment) -> None:
    promise(deployment, FRESH, COLUMNS, """where: "name = 'guest'" """)
    write_guests(deployment, at=now())
    with (deployment.folder / "guests.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"X{number},closed,,not a date\n" for number in range(20))
    deployment.run("sync", "guests")
    assert received(deployment) == 20


def test_source_without_rows_is_left_to_the_guards(deployment: Deployment) -> None:
    promise(deployment, FRESH, COLUMNS, "on_breach: fail")
    write_guests(deployment, at=now(), count=0)
    assert "contract: the source has no rows" in deployment.run("plan", "guests")
    deployment.run("sync", "guests")
    write_guests(deployment, at=now())
    deployment.run("sync", "guests")
    write_guests(deployment, at=now(), count=0)
    assert "the source has no rows, and the plan would remove 20" in deployment.run("sync", "guests", expect=6)


def test_value_without_an_age_is_refused(deployment: Deployment) -> None:
    promise(deployment, FRESH)
    write_guests(deployment, at="29.11.2026")
    deployment.run("sync", "guests", expect=3)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert 'row 1, column "updated_at": the text is no date or timestamp that begins with the year' in log
    assert "29.11.2026" not in log
    assert received(deployment) == 0


def test_validate_lists_the_contract_and_refuses_unknown_columns(deployment: Deployment) -> None:
    promise(deployment, FRESH, COLUMNS)
    write_guests(deployment, at=now())
    promises = "updated_at at most 26h old, email at most 10% null, name not null"
    assert f"guests: contract: {promises}; otherwise the run awaits approval" in deployment.run("validate")
    facts: dict[str, Any] = deployment.json("validate")
    assert facts["contracts"] == {
        "guests": {
            "freshness": {"column": "updated_at", "max_age": "26h"},
            "columns": {"email": {"max_null": "10%"}, "name": {"max_null": "0"}},
            "on_breach": "hold",
        }
    }
    (deployment.folder / "guests.csv").write_text("id,name,email\nG1,a,a@example.com\n", encoding="utf-8")
    deployment.run("validate", expect=2)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert "source.freshness: the source has no column 'updated_at'" in log


@pytest.mark.parametrize("on_breach", ["hold", "fail"])
@pytest.mark.parametrize("output", ["text", "json", "md", "ndjson"])
def test_untrusted_plan_does_not_show_the_newest_value(deployment: Deployment, on_breach: str, output: str) -> None:
    """The column could be any, such as a date of birth."""
    promise(deployment, FRESH, f"on_breach: {on_breach}")
    write_guests(deployment, at="1987-06-05")
    deployment.run("plan", "--untrusted", "guests", "-o", output, expect=3 if on_breach == "fail" else 0)
    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert "the newest value is older than max_age 26h" in log.replace("\\_", "_")
    assert "1987" not in log


@pytest.mark.parametrize(("on_breach", "expect"), [("hold", 0), ("fail", 3)])
def test_state_is_assumed_only_from_a_source_that_does_not_fail(
    deployment: Deployment, on_breach: str, expect: int
) -> None:
    promise(deployment, COLUMNS, f"on_breach: {on_breach}")
    write_guests(deployment, at="", unknown=20)
    deployment.run("state", "assume-delivered", "guests", "--reason", "the state was lost", expect=expect)
    assert ("assumed 20" in deployment.run("show", "guests")) == (expect == 0)
    assert received(deployment) == 0


def test_job_that_depends_on_one_whose_source_fails_waits(deployment: Deployment) -> None:
    promise(deployment, FRESH, "on_breach: fail")
    file = deployment.folder / "jobs.yaml"
    text = file.read_text(encoding="utf-8").replace(
        "    mode: lookup\n", "    mode: lookup\n    depends_on: [guests]\n"
    )
    file.write_text(text, encoding="utf-8")
    write_guests(deployment, at="2020-01-01")
    deployment.run("sync", expect=3)
    assert (received(deployment), deployment.mocks.ledger("motorweb-bdp")) == (0, [])
