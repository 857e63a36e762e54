"""Files of a glob may differ in compatible types and in columns; folders of a path may name columns."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_kit import Bench, job, refused, rules

from batchsync.core.job import Join
from batchsync.data.row import partitions
from batchsync.data.row.open_source import open_source

if TYPE_CHECKING:
    from pathlib import Path


def _bench(folder: Path, path: str, **mapping: str) -> Bench:
    return Bench(folder, job(folder, {"id": "=id", **mapping}, source={"path": path}), rules())


def _write(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def _sent(bench: Bench) -> list[dict[str, Any]]:
    return [record["value"] for record in bench.records()]


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (pa.array([None], pa.null()), pa.array(["Bo"]), [None, "Bo"]),
        (pa.array(["Bo"]), pa.array([None], pa.null()), ["Bo", None]),
        (pa.array([1], pa.int32()), pa.array([1 << 60], pa.int64()), [1, 1 << 60]),
        (pa.array([-1], pa.int8()), pa.array([255], pa.uint8()), [-1, 255]),
        (pa.array([(1 << 64) - 1], pa.uint64()), pa.array([-1], pa.int64()), [(1 << 64) - 1, -1]),
        (pa.array([2], pa.int32()), pa.array([0.5]), [2, 0.5]),
        (pa.array([0.1], pa.float32()), pa.array([0.25]), [0.1, 0.25]),
        (pa.array([Decimal("1.5")], pa.decimal128(5, 2)), pa.array([Decimal("12345.125")], pa.decimal128(9, 3)), None),
        (pa.array(["x"]).dictionary_encode(), pa.array(["y"]), ["x", "y"]),
        (pa.array([1000], pa.timestamp("ms")), pa.array([2000000], pa.timestamp("us")), None),
    ],
)
@pytest.mark.parametrize("by_reference", [True, False])
def test_compatible_types_of_files_are_merged(
    tmp_path: Path, first: pa.Array, second: pa.Array, wanted: list[Any] | None, *, by_reference: bool
) -> None:
    _write(tmp_path / "a.parquet", id=["1"], v=first)
    _write(tmp_path / "b.parquet", v=second, id=["2"])
    _write(tmp_path / "c.parquet", id=["3"])
    bench = _bench(tmp_path, "*.parquet", v="=v")
    values = wanted or [first[0].as_py(), second[0].as_py()]
    source = open_source(bench.job.source)
    parts = partitions.partitions(source, tmp_path, fresh=True, by_reference=by_reference)
    assert [value for part in parts for value in part.read()["v"]] == [*values, None]
    sent = _sent(bench)
    assert [record["id"] for record in sent] == ["1", "2", "3"]
    if wanted is not None:
        assert [record.get("v") for record in sent] == [*wanted, None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1]), pa.array(["1"])),
        (pa.array([1], pa.int64()), pa.array([0.5])),
        (pa.array([True]), pa.array([1])),
        (pa.array([[1]]), pa.array([1])),
        (pa.array([1], pa.timestamp("us", "UTC")), pa.array([1], pa.timestamp("us"))),
    ],
)
def test_incompatible_types_matter_only_if_the_column_is_used(
    tmp_path: Path, first: pa.Array, second: pa.Array
) -> None:
    _write(tmp_path / "a.parquet", id=["1"], v=first)
    _write(tmp_path / "b.parquet", id=["2"], v=second)
    assert _sent(_bench(tmp_path, "*.parquet")) == [{"id": "1"}, {"id": "2"}]
    message = refused(_bench(tmp_path, "*.parquet", v="=CASE WHEN v IS NOT NULL THEN 1 END")).message
    assert "column 'v' cannot be read: " in message
    assert "b.parquet" in message


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("by_reference", [True, False])
def test_folders_of_a_path_name_columns(tmp_path: Path, ending: str, *, by_reference: bool) -> None:
    months = {"month=2026-01/place=B%C3%B6rs%2Fe": "1", "month=__HIVE_DEFAULT_PARTITION__/place=x": "2", "plain": "3"}
    for folder, key in months.items():
        path = tmp_path / "d" / folder / f"a.{ending}"
        path.parent.mkdir(parents=True)
        if ending == "parquet":
            _write(path, id=[key])
        else:
            path.write_text(f'{{"id":"{key}"}}\n' if ending == "jsonl" else f"id\n{key}\n", encoding="utf-8")
    bench = _bench(tmp_path, f"d/**/*.{ending}", m="=month", p="=place || '!'")
    wanted = {"1": {"id": "1", "m": "2026-01", "p": "Börs/e!"}, "2": {"id": "2", "p": "x!"}, "3": {"id": "3"}}
    assert {record["id"]: record for record in _sent(bench)} == wanted
    source = open_source(bench.job.source)
    parts = list(partitions.partitions(source, tmp_path, fresh=True, by_reference=by_reference))
    assert {row for part in parts for row in part.read().select("id", "month", "place").rows()} == {
        ("1", "2026-01", "Börs/e"),
        ("2", None, "x"),
        ("3", None, None),
    }


def test_column_of_a_file_takes_precedence_over_its_path(tmp_path: Path) -> None:
    _write(tmp_path / "month=1" / "a.parquet", id=["1"], month=["2"])
    assert _sent(_bench(tmp_path, "*/a.parquet", m="=month")) == [{"id": "1", "m": "2"}]


def test_key_in_a_path_is_the_key(tmp_path: Path) -> None:
    for key in ("1", "2"):
        _write(tmp_path / f"id={key}" / "a.parquet", v=[key])
    assert _sent(_bench(tmp_path, "*/a.parquet", v="=v")) == [{"id": "1", "v": "1"}, {"id": "2", "v": "2"}]
    assert _sent(_bench(tmp_path, "*/a.parquet")) == [{"id": "1"}, {"id": "2"}]


def test_folders_of_a_joined_file_name_no_columns(tmp_path: Path) -> None:
    _write(tmp_path / "month=1" / "a.parquet", id=["1"])
    _write(tmp_path / "month=1" / "names.parquet", id=["1"], name=["Ann"])
    bench = _bench(tmp_path, "*/a.parquet", m="=month", n="=name")
    bench.change_source(joins=(Join(path="month=1/names.parquet", on=(("id", "id"),)),))
    assert _sent(bench) == [{"id": "1", "m": "1", "n": "Ann"}]
