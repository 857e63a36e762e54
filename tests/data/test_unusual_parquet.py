"""Parquet columns that cannot be read matter only if they are used; extension types become their storage."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_kit import Bench, job, refused

from batchsync.data.row import parquet_reader, partitions
from batchsync.data.row.open_source import open_source
from batchsync.data.row.parquet_probe import ParquetProbe

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = datetime(2024, 6, 1, 12, 30, tzinfo=UTC)
ID = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


def _extension(name: str, storage: pa.DataType) -> pa.DataType:
    """Return an extension type that no library knows."""

    class Unknown(pa.ExtensionType):  # type: ignore[misc] # pyarrow has no types
        def __init__(self) -> None:
            super().__init__(storage, name)

        def __arrow_ext_serialize__(self) -> bytes:
            return b"{}"

        @classmethod
        def __arrow_ext_deserialize__(cls, _storage: pa.DataType, _serialized: bytes) -> pa.DataType:
            return cls()

    return Unknown()


COLUMNS: dict[str, tuple[pa.DataType, Any, Any]] = {
    "json": (pa.json_(), '{"a":1}', '{"a":1}'),
    "uuid": (pa.uuid(), ID.bytes, str(ID)),
    "opaque": (pa.opaque(pa.string(), "geometry", "PostGIS"), "POINT", "POINT"),
    "bool8": (pa.bool8(), 1, 1),
    "unknown": (_extension("acme.money", pa.int64()), 5, 5),
    "offset": (pa.timestamp("us", "+02:00"), MOMENT, "2024-06-01T12:30:00.000Z"),
    "unknown zone": (pa.timestamp("ms", "Mars/Olympus"), MOMENT.replace(tzinfo=None), "2024-06-01T12:30:00.000Z"),
    "wide decimal": (pa.decimal256(50, 10), Decimal("1234567890123456789012345678901234567.89"), None),
}
WRITTEN_AS = {"wide decimal": "1234567890123456789012345678901234567.8900000000"}


def _column(kind: pa.DataType, value: object) -> pa.Array:
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if pa.types.is_timestamp(kind) and isinstance(value, datetime):
        value = int(value.replace(tzinfo=UTC).timestamp()) * (1000 if kind.unit == "ms" else 1_000_000)
    array = pa.array([value, None], storage)
    return pa.ExtensionArray.from_storage(kind, array) if isinstance(kind, pa.BaseExtensionType) else array


@pytest.fixture
def parquet(bench: Bench) -> Bench:
    bench.job = job(bench.folder, {"id": "=id"}, source={"path": "source.parquet"})
    return bench


def _write(bench: Bench, columns: dict[str, pa.Array], **options: Any) -> Path:
    path = bench.folder / "source.parquet"
    pq.write_table(pa.table({"id": ["1", "2"], **columns}), path, **options)
    return path


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_unusual_column_is_read_as_its_storage(
    parquet: Bench, monkeypatch: pytest.MonkeyPatch, name: str, *, large: bool
) -> None:
    if large:
        monkeypatch.setattr(parquet_reader, "SMALL_FILE_BYTES", 0)
    kind, value, wanted = COLUMNS[name]
    _write(parquet, {"v": _column(kind, value)})
    assert parquet.records() == parquet.records()
    parquet.job = job(parquet.folder, {"id": "=id", "v": "=v"}, source={"path": "source.parquet"})
    assert [record["value"] for record in parquet.records()] == [
        {"id": "1", "v": WRITTEN_AS.get(name, wanted)},
        {"id": "2"},
    ]


def test_unusual_columns_are_read_in_any_range(parquet: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "FRAME_ROWS", 7)
    monkeypatch.setattr(parquet_reader, "RANGE_ROWS", 3)
    ids = [str(number) for number in range(40)]
    table = pa.table({"id": ids, "v": _column(pa.json_(), "{}").take(pa.array([0, 1] * 20))})
    pq.write_table(table, parquet.folder / "source.parquet", row_group_size=9)
    source = open_source(parquet.job.source)
    for by_reference in (True, False):
        parts = partitions.partitions(source, parquet.folder, fresh=True, by_reference=by_reference)
        frame = pl.concat([part.read() for part in parts])
        assert frame.rows() == [(n + 1, str(n), None if n % 2 else "{}") for n in range(40)]


def test_column_with_the_name_of_another_matters_only_if_it_is_used(parquet: Bench) -> None:
    table = pa.Table.from_arrays([pa.array(["1"]), pa.array(["a"]), pa.array(["b"])], names=["id", "name", "name"])
    pq.write_table(table, parquet.folder / "source.parquet")
    assert [record["value"] for record in parquet.records()] == [{"id": "1"}]
    parquet.job = job(parquet.folder, {"id": "=id", "name": "=name"}, source={"path": "source.parquet"})
    assert "source.parquet: 2 columns have this name" in refused(parquet).message


@pytest.mark.parametrize("kind", [pa.json_(), pa.uuid(), pa.timestamp("us", "-03:30")])
def test_nested_unusual_types_are_read(parquet: Bench, kind: pa.DataType) -> None:
    value = {"json": "1", "uuid": ID.bytes}.get(str(kind).partition("arrow.")[2].rstrip(">"), 0)
    items = _column(kind, value)
    nested = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), items)
    _write(parquet, {"v": nested, "s": pa.StructArray.from_arrays([items], names=["x"])})
    parquet.job = job(
        parquet.folder,
        {"id": "=id", "v": "=CASE WHEN v IS NOT NULL THEN 1 END", "s": "=CASE WHEN s IS NOT NULL THEN 1 END"},
        source={"path": "source.parquet"},
    )
    assert [record["value"] for record in parquet.records()] == [
        {"id": "1", "v": 1, "s": 1},
        {"id": "2", "v": 1, "s": 1},
    ]


def test_moment_with_offset_is_the_same_moment(parquet: Bench) -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    _write(parquet, {"v": pa.array([datetime(2024, 1, 1, 5, 45, tzinfo=zone), None], pa.timestamp("us", "+05:45"))})
    parquet.job = job(parquet.folder, {"id": "=id", "v": "=v"}, source={"path": "source.parquet"})
    assert parquet.records()[0]["value"]["v"] == "2024-01-01T00:00:00.000Z"


def _patch(path: Path, old: bytes, new: bytes) -> None:
    """Replace the last occurrence of some bytes in the footer of a file."""
    data = path.read_bytes()
    before, found, after = data.rpartition(old)
    assert found
    path.write_bytes(before + new + after)


def test_column_chunk_outside_of_the_file_is_refused(parquet: Bench) -> None:
    path = _write(parquet, {"v": pa.array([1, 2])}, compression="none", use_dictionary=False)
    data = path.read_bytes()
    path.write_bytes(data[:4] + data[60:])
    assert "row group 0, column 'v': bytes" in refused(parquet).message


def test_pages_that_state_too_many_values_are_refused(parquet: Bench) -> None:
    """Polars takes as much memory as the levels of a page state, and aborts the process."""
    path = _write(parquet, {}, compression="none", use_dictionary=False, data_page_version="1.0")
    data = path.read_bytes()
    # The definition levels: four bytes of length, a run of two values of 1.
    begin = data.index(b"\x02\x00\x00\x00\x04\x01")
    path.write_bytes(data[:begin] + b"\x02\x00\x00\x00\xff\xff" + data[begin + 6 :])
    assert "source.parquet" in refused(parquet).message


def test_file_that_ends_a_process_is_refused_and_others_are_read(parquet: Bench) -> None:
    """Levels of a page that state more values than fit into memory abort polars."""
    path = _write(parquet, {}, compression="none", use_dictionary=False, data_page_version="1.0")
    good, data = path.read_bytes(), path.read_bytes()
    begin = data.index(b"\x02\x00\x00\x00\x04\x01")
    for levels in (b"\xff\xff", b"\xfe\xff"):
        path.write_bytes(data[:begin] + b"\x02\x00\x00\x00" + levels + data[begin + 6 :])
        assert "column 'id'" in refused(parquet).message
        path.write_bytes(good)
        assert len(parquet.records()) == 2


def test_files_are_read_without_a_helper_process(parquet: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ParquetProbe.close()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    _write(parquet, {})
    assert len(parquet.records()) == 2


def test_dictionary_without_values_is_read_beside_an_unusual_column(parquet: Bench) -> None:
    empty = pa.array([None, None], pa.dictionary(pa.int8(), pa.string()))
    _write(parquet, {"v": empty, "u": _column(pa.json_(), "1")}, row_group_size=1)
    parquet.job = job(parquet.folder, {"id": "=id", "v": "=v", "u": "=u"}, source={"path": "source.parquet"})
    assert [record["value"] for record in parquet.records()] == [{"id": "1", "u": "1"}, {"id": "2"}]
