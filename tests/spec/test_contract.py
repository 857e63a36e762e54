"""Keys of `source:` that promise something about its rows: read, refused where they contradict, and in no hash."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from batchsync.core.contract import Contract, OnBreach
from batchsync.core.guards import Limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job

    Load = Callable[..., Deployment]

SOURCE = "{path: guests.csv, key: id}"


def written_as(text: str) -> tuple[str, str]:
    return SOURCE, f"{{path: guests.csv, key: id, {text}}}"


def guests(deployment: Deployment) -> Job:
    return next(job for job in deployment.jobs if job.name == "guests")


def contract_of(load_changed: Load, text: str) -> Contract | None:
    return guests(load_changed(written_as(text))).source.contract


def test_contract_is_read_with_its_places(load_changed: Load) -> None:
    text = "freshness: {column: at, max_age: 26h}, columns: {email: {not_null: true}, phone: {max_null: 3 or 1%}}"
    found = contract_of(load_changed, f"on_breach: fail, {text}")
    assert found is not None
    assert found.freshness is not None
    assert (found.freshness.column, found.freshness.max_age) == ("at", timedelta(hours=26))
    assert [(rule.column, rule.max_null) for rule in found.columns] == [
        ("email", Limit(count=0)),
        ("phone", Limit(count=3, percent=1.0)),
    ]
    assert found.on_breach is OnBreach.FAIL
    assert found.names == ("at", "email", "phone")
    places = [found.freshness.place, *(rule.place for rule in found.columns)]
    assert [place.line for place in places] == [12] * 3
    assert len({place.column for place in places}) == 3


@pytest.mark.parametrize(
    ("text", "columns", "rules"),
    [
        ("columns: {id: {}, email: {not_null: true}}, header: false", ("id", "email"), ["email"]),
        ("columns: {id: {}, email: {}}, header: false", ("id", "email"), []),
        ("columns: [id, email], header: false", ("id", "email"), []),
        ("columns: {email: {not_null: true}}", (), ["email"]),
        ("columns: {map: {max_null: 0}, value: {max_null: 100%}}", (), ["map", "value"]),
        ('columns: {"first\\nname": {not_null: true}}', (), ["first\nname"]),
    ],
)
def test_rules_name_the_columns_of_a_file_without_header(
    load_changed: Load, text: str, columns: tuple[str, ...], rules: list[str]
) -> None:
    source = guests(load_changed(written_as(text))).source
    assert source.dialect.columns == columns
    found = source.contract.columns if source.contract else ()
    assert [rule.column for rule in found] == rules


@pytest.mark.parametrize("path", ["guests.parquet", "guests.jsonl"])
def test_rules_may_be_of_any_format(load_changed: Load, path: str) -> None:
    text = f"{{path: {path}, key: id, columns: {{email: {{not_null: true}}}}}}"
    assert guests(load_changed((SOURCE, text))).source.contract is not None


def test_held_is_the_default(load_changed: Load) -> None:
    found = contract_of(load_changed, "freshness: {column: at, max_age: 1d}")
    assert found is not None
    assert found.on_breach is OnBreach.HOLD


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("freshness: {column: at}", '12:41: "freshness" has no "max_age"'),
        ("freshness: {max_age: 26h}", '12:41: "freshness" has no "column"'),
        ("freshness: at", '12:52: "freshness" is a string'),
        ("freshness: {column: at, max_age: 26}", '12:74: "max_age": invalid duration'),
        ("freshness: {column: at, max_age: 26h, zone: UTC}", '12:79: unknown key "zone"'),
        ("columns: {email: {not_nul: true}}", '12:59: unknown key "not_nul"'),
        ("columns: {map: {not_nul: true}}", '12:57: unknown key "not_nul"'),
        ("columns: {map: {max_null: 101%}}", '12:67: "max_null": invalid limit'),
        ("columns: {email: {max_null: 101%}}", '12:69: "max_null": invalid limit'),
        ('columns: {email: {not_null: "yes"}}', '12:69: "not_null" is a string'),
        ("columns: {email: true}", '12:58: "email" is the boolean true'),
        ("columns: {email: {}}", '12:51: "email" has no rule'),
        ("columns: {email: {not_null: false}}", '12:51: "email" has no rule'),
        ("columns: {email: {not_null: true, max_null: 1%}}", '12:51: "email" has both not_null and max_null'),
        ("columns: {}", '"columns" is out of bounds'),
        ('columns: {"batchsync:row": {not_null: true}}', "column names may not begin with batchsync:"),
        ('columns: {"a\\u0001": {not_null: true}}', "control character in a name"),
        ("on_breach: hold", '12:52: "on_breach" without freshness or rules for columns'),
        ("on_breach: hold, header: false, columns: [id]", '12:52: "on_breach" without freshness'),
        ("on_breach: warn, freshness: {column: at, max_age: 1h}", '12:52: "on_breach" cannot be "warn"'),
    ],
)
def test_contradictory_contracts_are_refused_at_their_place(workshop: Any, written: str, problem: str) -> None:
    (found,) = workshop.problems(workshop.changed(written_as(written)))
    assert problem in found.splitlines()[0]


def test_keys_of_a_column_are_suggested(workshop: Any) -> None:
    (found,) = workshop.problems(workshop.changed(written_as("columns: {email: {not_nul: true}}")))
    assert 'did you mean "not_null"?' in found
    assert "not_null or max_null" in found


def test_list_of_columns_of_a_parquet_file_is_refused_still(workshop: Any) -> None:
    text = workshop.changed((SOURCE, "{path: guests.parquet, key: id, columns: [id]}"))
    assert any('"columns" with a parquet file' in problem for problem in workshop.problems(text))


def test_contract_is_in_no_hash(load_changed: Load) -> None:
    """An edit of the contract is no edit of what is sent or removed."""
    plain = guests(load_changed())
    fresh = "freshness: {column: at, max_age: 1h}, on_breach: fail"
    other = guests(load_changed(written_as(f"{fresh}, columns: {{email: {{not_null: true}}}}")))
    hashes = [(job.spec_hash, job.removal_hash, job.mapping_hash) for job in (plain, other)]
    assert hashes[0] == hashes[1]
