"""Delivery to every kind of sink: each key once, nothing lost, repeatable."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Results
from batchsync.errors import BatchsyncError
from batchsync.sinks import Sinks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILES = ("csv", "parquet", "jsonl")
ALL = (*FILES, "sqlite")
Rows = list[dict[str, Any]]


def answers(folder: Path, rows: Rows, **types: pl.DataType | type[pl.DataType]) -> Path:
    file = folder / "answers.parquet"
    pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None).write_parquet(file)
    return file


def results(folder: Path, kind: str) -> Results:
    return Results(path=str(folder / f"out.{kind}"), format=kind, table="checks" if kind == "sqlite" else None)


def deliver(folder: Path, kind: str, rows: Rows, key: Sequence[str] = ("vin",)) -> int:
    return Sinks().deliver(answers(folder, rows), results(folder, kind), key)


def existing(folder: Path, kind: str) -> Rows:
    file = folder / f"out.{kind}"
    match kind:
        case "csv":
            return pl.read_csv(file, infer_schema=False).to_dicts()
        case "parquet":
            return pl.read_parquet(file).to_dicts()
        case "jsonl":
            return pl.read_ndjson(file, infer_schema_length=None).to_dicts()
        case _:
            with closing(sqlite3.connect(file)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute("SELECT * FROM checks ORDER BY rowid")]


@pytest.mark.parametrize("kind", ALL)
def test_first_delivery_creates_file_and_folders(tmp_path: Path, kind: str) -> None:
    target = Results(path=str(tmp_path / "a" / "b" / f"out.{kind}"), format=kind)

    assert Sinks().deliver(answers(tmp_path, [{"vin": "00123", "status": "clean"}]), target, ("vin",)) == 1
    assert (tmp_path / "a" / "b" / f"out.{kind}").stat().st_size > 0


@pytest.mark.parametrize("kind", ALL)
def test_numeric_strings_stay_strings(tmp_path: Path, kind: str) -> None:
    row = {"vin": "00123", "year": "1e5", "when": "2026-01-01T00:00:00Z", "flag": "true", "empty": "", "none": None}

    for _ in range(3):
        deliver(tmp_path, kind, [row])

    assert existing(tmp_path, kind) == [row]


@pytest.mark.parametrize("kind", ALL)
def test_row_answered_again_is_replaced_in_place(tmp_path: Path, kind: str) -> None:
    deliver(tmp_path, kind, [{"vin": "C", "status": "1"}, {"vin": "A", "status": "2"}, {"vin": "B", "status": "3"}])

    count = deliver(
        tmp_path, kind, [{"vin": "Z", "status": "4"}, {"vin": "A", "status": None}, {"vin": "D", "status": "5"}]
    )

    assert count == 5
    assert [(row["vin"], row["status"]) for row in existing(tmp_path, kind)] == [
        ("C", "1"),
        ("A", None),
        ("B", "3"),
        ("Z", "4"),
        ("D", "5"),
    ]


@pytest.mark.parametrize("kind", FILES)
def test_repeated_delivery_leaves_same_bytes(tmp_path: Path, kind: str) -> None:
    rows = [{"vin": f"{number:05}", "status": "é😀\"\n,'"} for number in range(1000)]
    deliver(tmp_path, kind, rows)
    first = (tmp_path / f"out.{kind}").read_bytes()

    deliver(tmp_path, kind, rows[500:])

    assert (tmp_path / f"out.{kind}").read_bytes() == first


@pytest.mark.parametrize("kind", ALL)
def test_new_columns_are_null_in_old_rows(tmp_path: Path, kind: str) -> None:
    deliver(tmp_path, kind, [{"vin": "A", "status": "1"}, {"vin": "B", "status": "2"}])

    deliver(tmp_path, kind, [{"vin": "B", "status": "3", "score": "9"}])

    assert existing(tmp_path, kind) == [
        {"vin": "A", "status": "1", "score": None},
        {"vin": "B", "status": "3", "score": "9"},
    ]


@pytest.mark.parametrize("kind", ALL)
def test_columns_missing_in_answers_keep_values(tmp_path: Path, kind: str) -> None:
    deliver(tmp_path, kind, [{"vin": "A", "status": "1", "my note": "call them"}])

    deliver(tmp_path, kind, [{"vin": "A", "status": "2"}])

    assert existing(tmp_path, kind) == [{"vin": "A", "status": "2", "my note": "call them"}]


@pytest.mark.parametrize("kind", ALL)
def test_composite_key_is_matched_as_a_whole(tmp_path: Path, kind: str) -> None:
    key = ("plate", "state")
    deliver(
        tmp_path,
        kind,
        [{"plate": "A", "state": "NSW", "status": "1"}, {"plate": "A", "state": "VIC", "status": "2"}],
        key,
    )

    count = deliver(tmp_path, kind, [{"plate": "A", "state": "VIC", "status": "3"}], key)

    assert count == 2
    assert [row["status"] for row in existing(tmp_path, kind)] == ["1", "3"]


@pytest.mark.parametrize("kind", ALL)
def test_last_of_duplicate_answers_wins(tmp_path: Path, kind: str) -> None:
    assert deliver(tmp_path, kind, [{"vin": "A", "status": "1"}, {"vin": "A", "status": "2"}]) == 1
    assert existing(tmp_path, kind) == [{"vin": "A", "status": "2"}]


@pytest.mark.parametrize("kind", ALL)
def test_empty_answers_change_nothing(tmp_path: Path, kind: str) -> None:
    deliver(tmp_path, kind, [{"vin": "A", "status": "1"}])
    empty = tmp_path / "empty.parquet"
    pl.DataFrame(schema={"vin": pl.String, "status": pl.String}).write_parquet(empty)

    assert Sinks().deliver(empty, results(tmp_path, kind), ("vin",)) == 1
    assert existing(tmp_path, kind) == [{"vin": "A", "status": "1"}]


@pytest.mark.parametrize("kind", ALL)
def test_non_string_answers_are_stored(tmp_path: Path, kind: str) -> None:
    row = {"vin": "A", "n": 3, "x": 1.5, "yes": True, "list": ["a", 'b"'], "object": {"c": 1}, "nothing": None}

    for _ in range(2):
        assert deliver(tmp_path, kind, [row, {**row, "vin": "B", "list": None, "object": None}]) == 2

    first, second = existing(tmp_path, kind)
    assert str(first["n"]) == "3"
    assert str(first["x"]) == "1.5"
    if kind in {"csv", "sqlite"}:
        assert first["list"] == '["a","b\\""]'
        assert first["object"] == '{"c":1}'
    else:
        assert first["list"] == ["a", 'b"']
        assert first["object"] == {"c": 1}
    assert second["list"] is None


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_column_of_number_and_string_keeps_both(tmp_path: Path, kind: str) -> None:
    deliver(tmp_path, kind, [{"vin": "A", "status": 1}])

    deliver(tmp_path, kind, [{"vin": "B", "status": "one"}])

    assert [row["status"] for row in existing(tmp_path, kind)] == ["1", "one"]


@pytest.mark.parametrize("kind", ALL)
def test_special_characters_in_names_are_literal(tmp_path: Path, kind: str) -> None:
    """Paths, column and table names are not interpreted as patterns or SQL."""
    target = Results(path=str(tmp_path / f"o*[u]t?{{}} 'é'.{kind}"), format=kind, table='x"; DROP TABLE y; --')
    file = answers(tmp_path, [{'v"in[0]; --': "A", "$.*": "1"}])

    assert Sinks().deliver(file, target, ('v"in[0]; --',)) == 1
    assert Sinks().deliver(file, target, ('v"in[0]; --',)) == 1


@pytest.mark.parametrize("kind", ALL)
def test_answer_without_key_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BatchsyncError, match="1 answers have an empty key"):
        deliver(tmp_path, kind, [{"vin": "A", "status": "1"}, {"vin": None, "status": "2"}])
    with pytest.raises(BatchsyncError, match="no column plate"):
        deliver(tmp_path, kind, [{"vin": "A", "status": "1"}], ("plate",))
    assert not (tmp_path / f"out.{kind}").exists()


@pytest.mark.parametrize("kind", ALL)
def test_unreadable_answers_are_reported(tmp_path: Path, kind: str) -> None:
    broken = tmp_path / "answers.parquet"
    broken.write_bytes(b"PAR1 and no more")

    with pytest.raises(BatchsyncError, match="cannot read the collected answers"):
        Sinks().deliver(broken, results(tmp_path, kind), ("vin",))
    with pytest.raises(BatchsyncError, match="cannot read the collected answers"):
        Sinks().deliver(tmp_path / "absent.parquet", results(tmp_path, kind), ("vin",))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
TABLES = st.dictionaries(TEXT, st.none() | TEXT, min_size=1, max_size=8)


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(TABLES, min_size=1, max_size=3))
def test_strings_round_trip(tmp_path: Path, kind: str, batches: list[dict[str, str | None]]) -> None:
    (tmp_path / f"out.{kind}").unlink(missing_ok=True)
    expected: dict[str, str | None] = {}

    for batch in batches:
        file = answers(
            tmp_path, [{"vin": key, "status": status} for key, status in batch.items()], vin=pl.String, status=pl.String
        )
        expected |= batch
        assert Sinks().deliver(file, results(tmp_path, kind), ("vin",)) == len(expected)

    assert {row["vin"]: row["status"] for row in existing(tmp_path, kind)} == expected
    assert [row["vin"] for row in existing(tmp_path, kind)] == list(expected)
