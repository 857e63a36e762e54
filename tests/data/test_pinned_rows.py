"""Pinned rows give the records of their comparison after the source is gone, and moved keys are counted."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, Bench, csv_rules, job, manifest_key, rules

from batchsync.core.contract import ColumnRule, Contract
from batchsync.core.guards import Limit
from batchsync.core.job import Join, Removal
from batchsync.core.mapping import Expression
from batchsync.errors import SourceError, UsageError
from batchsync.ports import Comparison, MovedKeys

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile

FIELDS = {"id": "=id", "name": "=upper(name)", "mail": "=mail"}
ROWS = HEAD + "".join(f"{number},n{number % 7},m{number}\n" for number in range(1, 30))


def lines(bench: Bench, files: tuple[BatchFile, ...]) -> list[str]:
    """Return the lines of batch files."""
    found: list[str] = []
    for file in files:
        data = Path(file.path).read_bytes()
        found += (gzip.decompress(data) if bench.rules.file.gzip else data).decode().splitlines()
    return found


def manifests(files: tuple[BatchFile, ...]) -> list[dict[str, Any]]:
    """Return the rows of the row manifests of batch files."""
    return [row for file in files for row in pl.read_parquet(file.row_manifest, glob=False).to_dicts()]


def pinned(bench: Bench, template: tuple[str, ...] | None = None) -> Comparison:
    """Compare and pin without the vendor's template, then set it, as `sync --plan` does."""
    comparison = bench.compare()
    bench.engine.pin(bench.job, bench.rules, comparison, bench.baseline)
    bench.engine.verify_pinned(comparison.plan, comparison.folder)
    bench.engine.use_template(comparison.folder, template)
    return comparison


def assert_same_without_source(bench: Bench, template: tuple[str, ...] | None = None) -> list[str]:
    """Check that pinned rows give the lines and manifests of their comparison; return the lines."""
    comparison = pinned(bench, template)
    bench.template = template
    expected = bench.stage(bench.compare())
    wanted, rows = lines(bench, expected), manifests(expected)
    for path in bench.folder.glob("*.csv"):
        path.write_text("not,the\nsame,source\n", encoding="utf-8")
    for path in bench.folder.glob("*.parquet"):
        path.unlink()
    files = bench.stage(comparison)
    assert lines(bench, files) == wanted
    assert manifests(files) == rows
    return wanted


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A job over a small CSV file."""
    found = Bench(tmp_path, job(tmp_path, FIELDS), rules())
    found.source(ROWS)
    return found


def test_rows_of_one_record_each(bench: Bench) -> None:
    assert len(assert_same_without_source(bench)) == 29


def test_more_rows_than_a_frame(bench: Bench) -> None:
    bench.source(HEAD + "".join(f"{number},n,m{number}\n" for number in range(60_001)))
    assert len(assert_same_without_source(bench)) == 60_001


def test_changes_and_removals_only(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=job(bench.folder, {"id": "=id"}).record))
    bench.accept_all()
    bench.source(ROWS.replace("2,n2,m2\n", "").replace("5,n5,m5\n", "5,other,m5\n"))
    assert len(assert_same_without_source(bench)) == 2


def test_removals_alone(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=job(bench.folder, {"id": "=id"}).record))
    bench.accept_all()
    bench.source(ROWS.replace("2,n2,m2\n", ""))
    assert len(assert_same_without_source(bench)) == 1


@pytest.mark.parametrize("order", ["sorted", "mixed"])
def test_several_rows_of_a_record(bench: Bench, order: str) -> None:
    bench.change(
        record=job(bench.folder, {"id": "=id", "list": [{"each": {"name": "=name"}, "order_by": ["mail"]}]}).record
    )
    repeated = [f"{number // 3:02d},n{number},m{9 - number % 9}" for number in range(40)]
    rows = repeated if order == "sorted" else [repeated[(index * 7) % 40] for index in range(40)]
    bench.source(HEAD + "\n".join(rows) + "\n")
    assert len(assert_same_without_source(bench)) == 14


def test_joins_conditions_and_contracts_are_not_evaluated_again(bench: Bench) -> None:
    bench.source("id,town\n" + "".join(f"{number},t{number % 3}\n" for number in range(1, 30)), "towns.csv")
    bench.change(record=job(bench.folder, FIELDS | {"town": "=town"}).record)
    bench.change_source(
        joins=(Join(path="towns.csv", on=(("id", "id"),)),),
        where=Expression("length(id) = 2"),
        contract=Contract(columns=(ColumnRule(column="name", max_null=Limit(count=9)),)),
    )
    assert len(assert_same_without_source(bench)) == 20


def test_keys_of_expressions_and_of_several_columns(bench: Bench) -> None:
    bench.change_source(key=Expression("concat(id, '-', mail)"))
    assert len(assert_same_without_source(bench)) == 29


def test_template_of_the_vendor_is_that_of_the_application(tmp_path: Path) -> None:
    bench = Bench(tmp_path, job(tmp_path, FIELDS, target={"service": "x"}), csv_rules())
    bench.source(ROWS)
    written = assert_same_without_source(bench, ("mail", "extra", "name", "id"))
    assert written[0] == "mail,extra,name,id"


def test_typed_columns_keep_their_types(bench: Bench) -> None:
    values: dict[str, Any] = {
        "id": ["1", "2"],
        "amount": [Decimal("1.50"), None],
        "at": [datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), None],
        "day": [date(2026, 1, 2), None],
        "hour": [time(1, 2, 3), None],
        "tags": [["a", "b"], None],
        "ratio": [0.1, 0.25],
        "flag": [True, None],
        "group": pl.Series(["x", "y"], dtype=pl.Categorical),
        "unused": ["secret", "secret"],
    }
    pl.DataFrame(values).write_parquet(bench.folder / "source.parquet")
    members = {name: f"={name}" for name in values if name not in ("unused", "hour", "tags", "group")}
    bench.change(record=job(bench.folder, members | {"hour": "=hour::text", "group": '="group"'}).record)
    bench.change_source(path="source.parquet")
    comparison = pinned(bench)
    assert "unused" not in pl.read_parquet_schema(comparison.folder / "pinned.parquet")
    assert len(assert_same_without_source(bench)) == 2


def test_source_that_changed_after_the_comparison_is_not_pinned(bench: Bench) -> None:
    comparison = bench.compare()
    bench.source(ROWS.replace("n2", "x2"))
    with pytest.raises(SourceError, match="changed between comparing and preparing"):
        bench.engine.pin(bench.job, bench.rules, comparison, bench.baseline)


def moved(bench: Bench, comparison: Comparison) -> MovedKeys:
    """Return how many keys of a pinned comparison moved."""
    return bench.engine.moved_keys(comparison.folder, bench.baseline, bench.in_flight, None, None)


@pytest.mark.parametrize("few", [True, False])
def test_moved_keys_are_counted_once_each(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, few: bool) -> None:
    if not few:
        monkeypatch.setattr("batchsync.data.baseline.versions._FEW_KEYS", 0)
    bench.accept_all()
    text = ROWS.replace("2,n2,m2\n", "2,a,m2\n").replace("3,n3,m3\n", "3,a,m3\n")
    bench.source(text)
    comparison = pinned(bench)
    assert moved(bench, comparison) == MovedKeys(planned=2)

    bench.source(ROWS + "99,new,m99\n")
    bench.accept_all()
    assert moved(bench, comparison) == MovedKeys(planned=2)

    bench.source(text.replace("2,a,m2\n", "2,b,m2\n"))
    files = bench.stage(bench.compare())
    bench.in_flight = tuple(manifest_key(file) for file in files)
    assert moved(bench, comparison) == MovedKeys(planned=2, in_flight=2)
    bench.in_flight = ()
    for file in files:
        bench.baseline = bench.engine.apply_verdicts(bench.baseline, [bench.accepted_verdicts(file)])
    assert moved(bench, comparison) == MovedKeys(planned=2, changed=2)


def test_parts_that_take_much_more_memory_than_disk_are_refused(bench: Bench) -> None:
    comparison = pinned(bench)
    bomb = pl.DataFrame({"key": ["x" * 1000] * 400_000, "accepted": None, "last": None, "last_state": None})
    bomb = bomb.cast({"accepted": pl.Binary, "last": pl.Binary, "last_state": pl.UInt8})
    bomb.write_parquet(comparison.folder / "versions.parquet", compression="brotli", use_pyarrow=True)
    with pytest.raises(UsageError, match="bytes of memory"):
        bench.engine.verify_pinned(comparison.plan, comparison.folder)


@pytest.mark.parametrize("name", ["pinned.parquet", "versions.parquet"])
def test_missing_parts_are_refused(bench: Bench, name: str) -> None:
    comparison = pinned(bench)
    (comparison.folder / name).unlink()
    with pytest.raises(UsageError, match=f"has no {name}"):
        bench.engine.verify_pinned(comparison.plan, comparison.folder)


def test_other_columns_are_refused(bench: Bench) -> None:
    comparison = pinned(bench)
    pl.DataFrame({"key": ["1"]}).write_parquet(comparison.folder / "versions.parquet")
    with pytest.raises(UsageError, match="other columns than those of a plan"):
        bench.engine.verify_pinned(comparison.plan, comparison.folder)
