"""Parquet files: INT96 timestamps are read without overflow, and inconsistent footers are refused."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_kit import record, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Join, Removal, Source
from batchsync.data.row import partitions
from batchsync.data.row.open_source import open_join, open_source
from batchsync.data.row.partitions import frames

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

TIMESTAMP = pa.timestamp("us")
DAYS = ["9999-12-31T23:59:59", "0001-01-01", "1000-01-01", "1582-10-04", "1677-09-21", "1899-12-31T23:59:59.999"]
FAR = [datetime.fromisoformat(text) for text in [*DAYS, "2024-06-01T12:00"]]
TYPES = {
    "flat": TIMESTAMP,
    "object": pa.struct([("a", TIMESTAMP), ("b", pa.string()), ("c", pa.struct([("d", TIMESTAMP)]))]),
    "list": pa.list_(TIMESTAMP),
    "objects": pa.list_(pa.struct([("a", pa.int64()), ("b", TIMESTAMP)])),
    "lists": pa.list_(pa.list_(TIMESTAMP)),
}


@pytest.fixture
def parquet(bench: Bench) -> Bench:
    bench.change_source(path="source.parquet")
    return bench


def _write(table: pa.Table, path: Path, **options: Any) -> None:
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, **{"store_schema": False, **options})


@pytest.mark.parametrize("by_reference", [True, False])
def test_int96_timestamps_of_all_years_are_sent_unchanged(parquet: Bench, *, by_reference: bool) -> None:
    table = pa.table({"id": ["1", "2", "3", "4", "5", "6", "7"], "name": pa.array(FAR, TIMESTAMP), "mail": ["m"] * 7})
    _write(table, parquet.folder / "source.parquet", row_group_size=3)
    sent = [record["value"]["name"] for record in parquet.records()]
    assert sent == [timestamp.isoformat(timespec="milliseconds") + "Z" for timestamp in FAR]
    source = open_source(parquet.job.source)
    found = [
        timestamp
        for part in partitions.partitions(source, parquet.folder, fresh=True, by_reference=by_reference)
        for timestamp in part.read()["name"]
    ]
    assert found == FAR


def test_int96_and_microseconds_in_files_of_a_glob_are_read(parquet: Bench) -> None:
    parquet.change_source(path="*.parquet")
    table = pa.table({"id": ["1"], "name": pa.array(FAR[:1], TIMESTAMP), "mail": ["m"]})
    _write(table, parquet.folder / "1.parquet")
    pq.write_table(table.select(["mail", "name", "id"]).set_column(2, "id", [["2"]]), parquet.folder / "2.parquet")
    assert [record["value"]["name"] for record in parquet.records()] == ["9999-12-31T23:59:59.000Z"] * 2


def test_int96_of_a_join_is_read_unchanged(parquet: Bench) -> None:
    _write(pa.table({"id": ["1"], "name": pa.array(FAR[:1], TIMESTAMP)}), parquet.folder / "names.parquet")
    source = open_join(parquet.job.source, Join(path="names.parquet", on=(("id", "id"),)))
    [frame] = frames(source, parquet.folder, fresh=True)
    assert frame["name"].to_list() == FAR[:1]


_TIMESTAMPS = st.one_of(st.none(), st.sampled_from(FAR), st.datetimes())


def _values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type, with nulls at every level."""
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({field.name: _values(field.type) for field in kind})
    if pa.types.is_list(kind):
        return st.none() | st.lists(_values(kind.value_type), max_size=3)
    leaves = {TIMESTAMP: _TIMESTAMPS, pa.string(): st.none() | st.just("x"), pa.int64(): st.none() | st.just(1)}
    return leaves[kind]


@given(
    st.lists(st.fixed_dictionaries({name: _values(kind) for name, kind in TYPES.items()}), min_size=1, max_size=6),
    st.integers(1, 4),
    st.fixed_dictionaries(
        {
            "store_schema": st.booleans(),
            "use_dictionary": st.booleans(),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "compression": st.sampled_from(["none", "snappy", "zstd"]),
        }
    ),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nested_int96_equals_the_values_of_pyarrow(
    tmp_path: Path, rows: list[dict[str, Any]], group: int, options: dict[str, Any]
) -> None:
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()})
    _write(table, tmp_path / "s.parquet", row_group_size=group, **options)
    source = open_source(Source(path="s.parquet", folder=str(tmp_path), key=("flat",)))
    found = [row for frame in frames(source, tmp_path, fresh=True) for row in frame.drop("batchsync:row").to_dicts()]
    expected = pq.read_table(tmp_path / "s.parquet", coerce_int96_timestamp_unit="us").to_pylist()
    assert found == expected == table.to_pylist()


def test_map_of_int96_equals_the_values_of_pyarrow(parquet: Bench) -> None:
    table = pa.table({"id": ["1"], "m": pa.array([[("k", FAR[0])]], pa.map_(pa.string(), TIMESTAMP))})
    _write(table, parquet.folder / "source.parquet")
    [frame] = frames(open_source(parquet.job.source), parquet.folder, fresh=True)
    assert frame["m"].to_list() == [{"k": FAR[0]}]


def _patch_footer(path: Path, old: bytes, new: bytes, occurrence: int = 0) -> None:
    """Replace an occurrence of some bytes in the footer of a file, by its index."""
    data = path.read_bytes()
    offset = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for _ in range(occurrence + 1):
        offset = data.index(old, offset) + 1
    path.write_bytes(data[: offset - 1] + new + data[offset - 1 + len(old) :])


@pytest.mark.parametrize("rows", [0, 5, 7])
def test_footer_with_inconsistent_row_count_is_refused(parquet: Bench, rows: int) -> None:
    parquet.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    path = parquet.folder / "source.parquet"
    pq.write_table(pa.table({"id": list("123456"), "name": ["x"] * 6, "mail": ["m"] * 6}), path, row_group_size=4)
    parquet.accept_all()
    # Thrift's compact protocol: field 3 (number of rows) as a zigzag number, then field 4 (list of row groups).
    _patch_footer(path, b"\x16\x0c\x19", bytes([0x16, 2 * rows, 0x19]))
    assert f"the footer states {rows} rows, its row groups contain 6" in refused(parquet).message


def test_row_group_with_inconsistent_value_count_is_refused(parquet: Bench) -> None:
    path = parquet.folder / "source.parquet"
    pq.write_table(pa.table({"id": list("123456"), "name": ["x"] * 6, "mail": ["m"] * 6}), path, compression="none")
    # Field 4 (codec 0), then field 5 (number of values).
    _patch_footer(path, b"\x15\x00\x16\x0c", b"\x15\x00\x16\x0a", occurrence=1)
    assert "row group 0, column 'name': 5 values for 6 rows" in refused(parquet).message


def test_deeply_nested_column_is_refused(parquet: Bench) -> None:
    kind = pa.string()
    for _ in range(101):
        kind = pa.struct([("x", kind)])
    table = pa.table({"id": ["1"], "name": ["x"], "mail": ["m"], "deep": pa.array([None], kind)})
    pq.write_table(table, parquet.folder / "source.parquet")
    assert "a column is nested more than 100 levels deep" in refused(parquet).message
