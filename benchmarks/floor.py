"""Drives the floor in C: reads the source, lets threads encode and compress, writes the parts with both digests.

`python -m benchmarks.floor SOURCE FOLDER` compiles it on the spot, and prints one line of JSON. It is no proposal.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from batchsync.core.naming import NAMESPACE
from batchsync.data.batchfile.gzip_blocks import BLOCK, HEADER, GzipBlock, crc32_combine, pack, trailer
from batchsync.data.row.prefetch import iter_ranges
from batchsync.util.executor import in_order
from benchmarks.memory import high_water
from benchmarks.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = 50_000_000
_TEXT = 8 << 20
_ROWS = 25_000
_NOW = b"2026-11-22T07:00"
#: A record has at most so many times the bytes of its CSV text, or so many bytes a row.
_TIMES, _PER_ROW = 12, 4096


class _Column(ctypes.Structure):
    _fields_ = (
        ("valid", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_int64),
        ("first", ctypes.c_int64),
    )


class _Done(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in ("rows", "invalid", "used", "written"))


def compiler() -> str | None:
    """Return a C compiler, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compiled(folder: Path) -> Any:
    """Return the compiled library."""
    library = folder / "floor.so"
    command = [str(compiler()), "-O3", "-march=native", "-shared", "-fPIC", str(Path(__file__).with_name("floor.c"))]
    if run([*command, "-o", str(library)], folder)[0]:
        raise SystemExit("the C floor does not compile")
    found = ctypes.CDLL(str(library))
    found.prepare()
    found.from_columns.restype = found.from_csv.restype = _Done
    found.last_end.restype = ctypes.c_int64
    return found


class Floor:
    """Encodes pieces of a source. Safe to call from several threads."""

    def __init__(self, library: Any) -> None:
        """Take the library."""
        self._library = library

    def csv(self, given: tuple[bytearray, bool]) -> tuple[int, int, list[GzipBlock]]:
        """Return rows, invalid rows and blocks of a piece of text."""
        text, final = given
        out = ctypes.create_string_buffer(len(text) * _TIMES)
        raw = (ctypes.c_char * len(text)).from_buffer(text)
        done = self._library.from_csv(raw, ctypes.c_int64(len(text)), ctypes.c_int64(final), out, NAMESPACE.bytes, _NOW)
        return done.rows, done.invalid, _packed(out, done.written)

    def columns(self, frame: pl.DataFrame) -> tuple[int, int, list[GzipBlock]]:
        """Return rows, invalid rows and blocks of a frame."""
        kept = [_arrow(column.rechunk()) for column in frame.get_columns()]
        table = (_Column * len(kept))(*[item[0] for item in kept])
        out = ctypes.create_string_buffer(frame.height * _PER_ROW)
        done = self._library.from_columns(
            table, ctypes.c_int64(0), ctypes.c_int64(frame.height), out, NAMESPACE.bytes, _NOW
        )
        return done.rows, done.invalid, _packed(out, done.written)

    def pieces(self, source: Path) -> Iterator[tuple[bytearray, bool]]:
        """Yield pieces of a CSV file that end with a record."""
        rest = b""
        with source.open("rb") as stream:
            stream.readline()
            while piece := stream.read(_TEXT):
                whole = rest + piece
                end = self._library.last_end(whole, ctypes.c_int64(len(whole)))
                rest = whole[end:]
                yield bytearray(whole[:end]), False
        if rest:
            yield bytearray(rest), True


def _arrow(column: pl.Series) -> tuple[_Column, Any]:
    """Return the buffers of a column for C, and what keeps them alive."""
    array = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    buffers = array.buffers()
    valid = buffers[0].address if buffers[0] is not None else None
    kinds = {pl.String: 0, pl.Int64: 1, pl.Float64: 2}
    kind = kinds.get(column.dtype.base_type(), 3)
    if kind == 0:
        return _Column(valid, buffers[1].address + array.offset * 8, buffers[2].address, 0, array.offset), array
    return _Column(valid, None, buffers[1].address + array.offset * 8, kind, array.offset), array


def _packed(out: Any, size: int) -> list[GzipBlock]:
    """Return blocks of whole lines, compressed as batchsync does."""
    view = memoryview(out).cast("B")[:size]
    blocks, begin = [], 0
    while begin < size:
        end = min(size, begin + BLOCK)
        while end < size and view[end - 1] != ord("\n"):
            end += 1
        blocks.append(pack(view[begin:end], 0, "fast"))
        begin = end
    return blocks


def write(blocks: Iterator[GzipBlock], folder: Path) -> int:
    """Write the parts, cut at the vendor's limit, with MD5 and SHA-256; return their bytes."""
    total, number = 0, 0
    opened: list[GzipBlock] = []
    size = 0

    def close() -> None:
        nonlocal total, number
        crc = raw = 0
        digests = (hashlib.md5(usedforsecurity=False), hashlib.sha256())
        with (folder / f"part-{number}.json.gz").open("wb") as out:
            for item in opened:
                crc, raw = crc32_combine(crc, item), raw + item.size
            for data in [HEADER, *(item.data for item in opened), trailer(crc, raw)]:
                out.write(data)
                total += len(data)
                for digest in digests:
                    digest.update(data)
            os.fsync(out.fileno())
        number += 1

    for block in blocks:
        if size + len(block.data) + 20 > _LIMIT:
            close()
            opened, size = [], 0
        opened.append(block)
        size += len(block.data)
    if opened:
        close()
    return total


def main() -> None:
    """Measure."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    counts = [0, 0]
    with tempfile.TemporaryDirectory() as place:
        floor = Floor(compiled(Path(place)))
        begin = time.perf_counter()

        def blocks() -> Iterator[GzipBlock]:
            threads = os.cpu_count() or 1
            if source.suffix == ".csv":
                results = in_order(floor.csv, floor.pieces(source), threads)
            else:
                results = in_order(floor.columns, _frames(source), threads)
            for rows, invalid, found in results:
                counts[0] += rows
                counts[1] += invalid
                yield from found

        size = write(blocks(), folder)
        seconds = time.perf_counter() - begin
    found = {"rows": counts[0], "invalid": counts[1], "seconds": seconds, "bytes": size}
    print(json.dumps(found | high_water()))


def _frames(source: Path) -> Iterator[pl.DataFrame]:
    """Yield frames of a Parquet file."""
    for stretch in iter_ranges(pl.scan_parquet(source), pq.read_metadata(source).num_rows):
        for begin in range(0, stretch.height, _ROWS):
            yield stretch[begin : begin + _ROWS]


if __name__ == "__main__":
    main()
