"""Answers of keys that left the source are found, removed or marked in every kind of sink."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from batchsync.core.job import Results
from batchsync.errors import UnavailableError
from batchsync.sinks import Sinks, files

if TYPE_CHECKING:
    from batchsync.core.guards import AbsentAnswers

KINDS = ("csv", "parquet", "jsonl", "sqlite")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARK = "2026-03-01T12:00:00+00:00"


@dataclass(frozen=True)
class Bench:
    """Results of one kind in a temporary folder."""

    folder: Path
    kind: str

    @property
    def results(self) -> Results:
        return Results(
            path=str(self.folder / f"out.{self.kind}"), format=self.kind, table="t x" if self.kind == "sqlite" else None
        )

    def deliver(self, rows: list[dict[str, Any]], key: tuple[str, ...] = ("vin",)) -> None:
        file = self.folder / "answers.parquet"
        pl.DataFrame(rows).write_parquet(file)
        Sinks().deliver(file, self.results, key)

    def keys(self, *keys: str, name: str = "vin") -> Path:
        file = self.folder / "keys.parquet"
        pl.DataFrame({name: keys}, schema={name: pl.String}).write_parquet(file)
        return file

    def find(self, present: Path) -> AbsentAnswers:
        return Sinks().find_absent(self.results, present, self.absent)

    @property
    def absent(self) -> Path:
        return self.folder / "absent.parquet"

    def rows(self) -> list[dict[str, Any]]:
        file = self.results.path
        match self.kind:
            case "csv":
                return pl.read_csv(file, infer_schema=False).to_dicts()
            case "parquet":
                return pl.read_parquet(file).to_dicts()
            case "jsonl":
                return pl.read_ndjson(file, infer_schema_length=None).to_dicts()
            case _:
                with closing(sqlite3.connect(file)) as connection:
                    connection.row_factory = sqlite3.Row
                    return [dict(row) for row in connection.execute('SELECT * FROM "t x" ORDER BY rowid')]

    def content(self) -> bytes:
        return Path(self.results.path).read_bytes()


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Return results of each kind with three answers."""
    found = Bench(tmp_path, request.param)
    found.deliver([{"vin": "00123", "word": "a"}, {"vin": "B", "word": None}, {"vin": "C", "word": "c"}])
    return found


def marks(bench: Bench) -> dict[str, str | None]:
    return {row["vin"]: row["removed_at"] for row in bench.rows()}


def test_absent_answers_are_removed_and_the_others_stay(bench: Bench) -> None:
    found = bench.find(bench.keys("00123", "D"))

    assert (found.rows, found.absent) == (3, 2)
    assert pl.read_parquet(bench.absent)["vin"].to_list() == ["B", "C"]
    assert Sinks().remove(bench.results, bench.absent) == 2
    assert bench.rows() == [{"vin": "00123", "word": "a"}]
    assert Sinks().remove(bench.results, bench.absent) == 0


def test_finding_and_removing_nothing_does_not_write(bench: Bench) -> None:
    before, inode = bench.content(), Path(bench.results.path).stat().st_ino
    present = bench.keys("00123", "B", "C")

    assert bench.find(present).absent == 0
    assert Sinks().remove(bench.results, bench.absent) == 0
    assert Sinks().mark(bench.results, present, AT) == 0
    assert (bench.content(), Path(bench.results.path).stat().st_ino) == (before, inode)


def test_digest_depends_on_the_absent_keys_alone(bench: Bench) -> None:
    first = bench.find(bench.keys("B"))

    assert bench.find(bench.keys("B", "D")).digest == first.digest
    assert bench.find(bench.keys("C")).digest != first.digest


def test_marks_are_set_once_and_cleared_when_the_key_returns(bench: Bench) -> None:
    assert Sinks().mark(bench.results, bench.keys("B"), AT) == 2
    assert marks(bench) == {"00123": MARK, "B": None, "C": MARK}

    assert Sinks().mark(bench.results, bench.keys("C"), AT + timedelta(days=1)) == 2
    assert marks(bench) == {"00123": MARK, "B": "2026-03-02T12:00:00+00:00", "C": None}
    assert [row["word"] for row in bench.rows()] == ["a", None, "c"]
    assert Sinks().mark(bench.results, bench.keys("C"), AT + timedelta(days=2)) == 0


def test_all_marks_can_be_cleared_and_answers_be_delivered_after(bench: Bench) -> None:
    Sinks().mark(bench.results, bench.keys(), AT)
    assert Sinks().mark(bench.results, bench.keys("00123", "B", "C"), AT) == 3
    assert set(marks(bench).values()) == {None}

    bench.deliver([{"vin": "D", "word": "d"}])

    assert Sinks().mark(bench.results, bench.keys("00123", "C", "D"), AT) == 1
    assert marks(bench) == {"00123": None, "B": MARK, "C": None, "D": None}


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_several_columns(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, kind)
    bench.deliver([{"a": "1", "b": "2", "c": "x"}, {"a": "2", "b": "1", "c": "y"}], ("a", "b"))
    present = tmp_path / "present.parquet"
    pl.DataFrame({"a": ["1"], "b": ["2"]}).write_parquet(present)

    assert bench.find(present).absent == 1
    assert Sinks().remove(bench.results, bench.absent) == 1
    assert bench.rows() == [{"a": "1", "b": "2", "c": "x"}]


@pytest.mark.parametrize("kind", KINDS)
def test_missing_results_have_no_answers(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, kind)
    present = bench.keys("A")

    assert (bench.find(present).rows, bench.find(present).absent) == (0, 0)
    assert Sinks().remove(bench.results, bench.absent) == Sinks().mark(bench.results, present, AT) == 0
    assert not Path(bench.results.path).exists()


def test_rows_without_a_key_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "csv")
    (tmp_path / "out.csv").write_text("vin,word\n,note\nA,a\n", encoding="utf-8")

    assert bench.find(bench.keys("B")).absent == 1
    Sinks().mark(bench.results, bench.keys("B"), AT)
    assert [row["removed_at"] for row in bench.rows()] == [None, MARK]
    Sinks().remove(bench.results, bench.absent)
    assert [row["word"] for row in bench.rows()] == ["note"]


def test_results_without_the_key_column_are_refused_unchanged(bench: Bench) -> None:
    before = bench.content()
    present = bench.keys("A", name="plate")

    for call in (
        lambda: bench.find(present),
        lambda: Sinks().remove(bench.results, present),
        lambda: Sinks().mark(bench.results, present, AT),
    ):
        with pytest.raises(UnavailableError, match="no key column plate"):
            call()
    assert bench.content() == before


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_disk_error_while_removing_leaves_the_file_unchanged(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, kind)
    bench.deliver([{"vin": "A", "word": "a"}, {"vin": "B", "word": "b"}])
    before = bench.content()

    def fail(_rows: pl.LazyFrame, file: Path, _format: str) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", fail)
    with pytest.raises(UnavailableError):
        Sinks().remove(bench.results, bench.keys("A"))
    with pytest.raises(UnavailableError):
        Sinks().mark(bench.results, bench.keys("A"), AT)
    assert bench.content() == before


def test_failed_transaction_leaves_the_table_unchanged(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "sqlite")
    bench.deliver([{"vin": "A", "word": "a"}, {"vin": "B", "word": "b"}])
    before = bench.rows()
    with closing(sqlite3.connect(bench.results.path)) as connection:
        for event in ("DELETE", "UPDATE"):
            connection.execute(
                f"CREATE TRIGGER no_{event} BEFORE {event} ON \"t x\" WHEN old.vin = 'B' "
                "BEGIN SELECT RAISE(ABORT, 'full'); END"
            )

    with pytest.raises(UnavailableError, match="full"):
        Sinks().remove(bench.results, bench.keys("A", "B"))
    with pytest.raises(UnavailableError, match="full"):
        Sinks().mark(bench.results, bench.keys(), AT)
    assert bench.rows() == before
