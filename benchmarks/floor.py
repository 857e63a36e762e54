"""Driver of the hand-written C program that serves as a lower bound: threads encode and compress, parts are written.

`python -m benchmarks.floor SOURCE FOLDER` compiles it and prints one line of JSON.
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
from batchsync.data.row.parquet_reader import iter_ranges
from batchsync.util.executor import map_in_order
from benchmarks.memory import peak_usage
from benchmarks.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILE_BYTES_MAX = 50_000_000
_CHUNK_BYTES = 8 << 20
_ROWS = 25_000
_NOW = b"2026-11-22T07:00"
#: Upper bounds of the size of a record: as a multiple of its CSV text, and in bytes.
_SIZE_RATIO_MAX, _RECORD_BYTES_MAX = 12, 4096


class _Column(ctypes.Structure):
    _fields_ = (
        ("valid", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_int64),
        ("first", ctypes.c_int64),
    )


class _Result(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64) for name in ("rows", "invalid", "used", "written"))


def compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compile_library(folder: Path) -> Any:
    """Compile the C program in a folder and return the loaded library.

    Raises:
        SystemExit: If it does not compile.
    """
    library = folder / "floor.so"
    command = [str(compiler()), "-O3", "-march=native", "-shared", "-fPIC", str(Path(__file__).with_name("floor.c"))]
    if run([*command, "-o", str(library)], folder)[0]:
        raise SystemExit("the C program does not compile")
    loaded = ctypes.CDLL(str(library))
    loaded.prepare()
    loaded.from_columns.restype = loaded.from_csv.restype = _Result
    loaded.last_end.restype = ctypes.c_int64
    return loaded


class Floor:
    """Encoder of chunks of a source. Safe to call from several threads."""

    def __init__(self, library: Any) -> None:
        """Use a compiled library."""
        self._library = library

    def csv(self, chunk: tuple[bytearray, bool]) -> tuple[int, int, list[GzipBlock]]:
        """Return the number of rows, the number of invalid rows, and the blocks of a chunk of `chunks`."""
        text, is_final = chunk
        out = ctypes.create_string_buffer(len(text) * _SIZE_RATIO_MAX)
        raw = (ctypes.c_char * len(text)).from_buffer(text)
        size, final = ctypes.c_int64(len(text)), ctypes.c_int64(is_final)
        result = self._library.from_csv(raw, size, final, out, NAMESPACE.bytes, _NOW)
        return result.rows, result.invalid, _compress(out, result.written)

    def columns(self, frame: pl.DataFrame) -> tuple[int, int, list[GzipBlock]]:
        """Return the number of rows, the number of invalid rows, and the blocks of a frame."""
        kept = [_to_arrow(column.rechunk()) for column in frame.get_columns()]
        table = (_Column * len(kept))(*[column for column, _ in kept])
        out = ctypes.create_string_buffer(frame.height * _RECORD_BYTES_MAX)
        result = self._library.from_columns(
            table, ctypes.c_int64(0), ctypes.c_int64(frame.height), out, NAMESPACE.bytes, _NOW
        )
        return result.rows, result.invalid, _compress(out, result.written)

    def chunks(self, source: Path) -> Iterator[tuple[bytearray, bool]]:
        """Yield chunks of complete records of a CSV file, each with whether it is the last."""
        rest = b""
        with source.open("rb") as stream:
            stream.readline()
            while chunk := stream.read(_CHUNK_BYTES):
                text = rest + chunk
                end = self._library.last_end(text, ctypes.c_int64(len(text)))
                rest = text[end:]
                yield bytearray(text[:end]), False
        if rest:
            yield bytearray(rest), True


def _to_arrow(column: pl.Series) -> tuple[_Column, Any]:
    """Return the buffers of a column for C, and the array that keeps them alive."""
    array = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    buffers = array.buffers()
    valid = buffers[0].address if buffers[0] is not None else None
    kinds = {pl.String: 0, pl.Int64: 1, pl.Float64: 2}
    kind = kinds.get(column.dtype.base_type(), 3)
    if kind == 0:
        return _Column(valid, buffers[1].address + array.offset * 8, buffers[2].address, 0, array.offset), array
    return _Column(valid, None, buffers[1].address + array.offset * 8, kind, array.offset), array


def _compress(out: Any, size: int) -> list[GzipBlock]:
    """Return blocks of complete lines, compressed as batchsync does."""
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
    """Write files up to the vendor's size limit, with MD5 and SHA-256; return their total size in bytes."""
    total, number = 0, 0
    opened: list[GzipBlock] = []
    size = 0

    def close() -> None:
        nonlocal total, number
        crc = raw = 0
        digests = (hashlib.md5(usedforsecurity=False), hashlib.sha256())
        with (folder / f"part-{number}.json.gz").open("wb") as out:
            for block in opened:
                crc, raw = crc32_combine(crc, block), raw + block.size
            for data in [HEADER, *(block.data for block in opened), trailer(crc, raw)]:
                out.write(data)
                total += len(data)
                for digest in digests:
                    digest.update(data)
            os.fsync(out.fileno())
        number += 1

    for block in blocks:
        if size + len(block.data) + 20 > _FILE_BYTES_MAX:
            close()
            opened, size = [], 0
        opened.append(block)
        size += len(block.data)
    if opened:
        close()
    return total


def main() -> None:
    """Measure the work on a source and print the result."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    counts = [0, 0]
    with tempfile.TemporaryDirectory() as build:
        floor = Floor(compile_library(Path(build)))
        begin = time.perf_counter()

        def blocks() -> Iterator[GzipBlock]:
            threads = os.cpu_count() or 1
            if source.suffix == ".csv":
                results = map_in_order(floor.csv, floor.chunks(source), threads)
            else:
                results = map_in_order(floor.columns, _frames(source), threads)
            for rows, invalid, compressed in results:
                counts[0] += rows
                counts[1] += invalid
                yield from compressed

        size = write(blocks(), folder)
        seconds = time.perf_counter() - begin
    result = {"rows": counts[0], "invalid": counts[1], "seconds": seconds, "bytes": size}
    print(json.dumps(result | peak_usage()))


def _frames(source: Path) -> Iterator[pl.DataFrame]:
    """Yield frames of a Parquet file."""
    for rows in iter_ranges(pl.scan_parquet(source), pq.read_metadata(source).num_rows):
        for begin in range(0, rows.height, _ROWS):
            yield rows[begin : begin + _ROWS]


if __name__ == "__main__":
    main()
