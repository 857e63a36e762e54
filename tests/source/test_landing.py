"""Landing: parts are complete or absent, hold every row in order, and have the types of all rows."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchsync.errors import SourceError, UnavailableError
from batchsync.source import landing
from batchsync.source.cancellable import cancellable
from batchsync.source.landing import Landing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.landed_part import LandedPart


class Usage(NamedTuple):
    """The figures of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


def _rows(parts: tuple[LandedPart, ...]) -> list[dict[str, object]]:
    return [row for part in parts for row in pq.read_table(part.path).to_pylist()]


def _numbers(first: int, count: int) -> pa.Table:
    return pa.table({"n": pa.array(range(first, first + count), pa.int64())})


def test_parts_hold_all_rows_in_order_with_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "GROUP_ROWS", 10)
    monkeypatch.setattr(landing, "PART_ROWS", 30)
    counts: list[int] = []
    with Landing(tmp_path / "into", "numbers", progress=counts.append) as writer:
        for first in range(0, 100, 7):
            writer.add(_numbers(first, min(7, 100 - first)))
        parts = writer.seal(pa.schema([("n", pa.int64())]))
    assert [row["n"] for row in _rows(parts)] == list(range(100))
    assert len(parts) > 2
    assert all(hashlib.sha256(Path(part.path).read_bytes()).hexdigest() == part.sha256 for part in parts)
    assert counts == sorted(counts)
    assert counts[-1] == 100
    assert sorted(item.name for item in (tmp_path / "into").iterdir()) == [Path(part.path).name for part in parts]
    assert (tmp_path / "into").stat().st_mode & 0o777 == 0o700


def test_large_rows_are_written_before_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "GROUP_BYTES", 1_000)
    monkeypatch.setattr(landing, "PART_BYTES", 1)
    with Landing(tmp_path, "texts") as writer:
        for n in range(4):
            writer.add(pa.table({"t": [str(n) * 1_000]}))
        parts = writer.seal(pa.schema([("t", pa.string())]))
    assert len(parts) == 4
    assert [row["t"] for row in _rows(parts)] == [str(n) * 1_000 for n in range(4)]


def test_no_rows_are_one_part_with_the_columns(tmp_path: Path) -> None:
    with Landing(tmp_path, "nothing") as writer:
        (part,) = writer.seal(pa.schema([("id", pa.int64()), ("x", pa.null())]))
    assert pq.read_schema(part.path).names == ["id", "x"]
    assert pq.read_metadata(part.path).num_rows == 0


def test_types_of_later_rows_are_those_of_all_parts(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.float64()), ("b", pa.string())])
    with Landing(tmp_path, "mixed") as writer:
        writer.add(pa.table({"a": pa.array([1, 2]), "b": pa.nulls(2)}))
        writer.add(pa.table({"a": pa.array([1.5]), "b": pa.array(["x"])}))
        parts = writer.seal(schema)
    assert [pq.read_schema(part.path) for part in parts] == [schema, schema]
    assert _rows(parts) == [{"a": 1.0, "b": None}, {"a": 2.0, "b": None}, {"a": 1.5, "b": "x"}]


def test_value_that_does_not_fit_the_type_of_all_rows_is_refused(tmp_path: Path) -> None:
    def land() -> None:
        with Landing(tmp_path, "shop: guests") as writer:
            writer.add(pa.table({"a": [2**53 + 1]}))
            writer.add(pa.table({"a": [1.5]}))
            writer.seal(pa.schema([("a", pa.float64())]))

    with pytest.raises(SourceError, match="shop: guests: a value does not fit the type of its column exactly"):
        land()
    assert list(tmp_path.iterdir()) == []


def test_columns_with_other_names_are_refused(tmp_path: Path) -> None:
    def land() -> None:
        with Landing(tmp_path, "x") as writer:
            writer.add(pa.table({"a": [1], "b": [1]}))
            writer.add(pa.table({"b": [1], "a": [1]}))

    with pytest.raises(SourceError, match="the columns changed while rows were read"):
        land()


@pytest.mark.parametrize("rows", [1, 25, 60])
def test_read_that_ends_early_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(landing, "GROUP_ROWS", 10)
    monkeypatch.setattr(landing, "PART_ROWS", 20)

    def land() -> None:
        with Landing(tmp_path, "numbers") as writer:
            for n in range(rows):
                writer.add(_numbers(n, 1))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        land()
    assert list(tmp_path.iterdir()) == []


def test_disk_without_room_is_reported_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "GROUP_ROWS", 10)
    free = [1 << 40, 1 << 40, 65 << 20, 64 << 20]
    monkeypatch.setattr(landing.shutil, "disk_usage", lambda _: Usage(1 << 41, 0, free.pop(0)))

    def land() -> None:
        with Landing(tmp_path, "shop: guests") as writer:
            for first in range(0, 100, 10):
                writer.add(_numbers(first, 10))

    with pytest.raises(
        UnavailableError, match=r"shop: guests: not landed: .* 64 MiB free.*; 40 rows were read"
    ) as found:
        land()
    assert "nothing was sent" in found.value.hint
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)

    def land() -> None:
        with Landing(tmp_path, "shop: guests") as writer:
            writer.add(_numbers(0, 1))
            writer.seal(pa.schema([("n", pa.int64())]))

    with pytest.raises(UnavailableError, match="shop: guests: not landed: the disk is full"):
        land()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnavailableError, match="not landed"):
        Landing(tmp_path / "file" / "into", "x")


def test_steps_of_an_iterator_keep_their_order_and_errors() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    found: list[int] = []
    with pytest.raises(ValueError, match="the sixth"):
        found.extend(cancellable(items(), lambda: None))
    assert list(cancellable(iter(range(5)), lambda: None)) == list(range(5))
    assert list(cancellable(iter(()), lambda: None)) == []


def test_running_step_is_cancelled_when_the_consumer_fails() -> None:
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        released.wait(30)
        yield 2

    def consume() -> None:
        for _ in cancellable(items(), released.set):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert released.is_set()
