"""Files that cannot be read twice, are too long in a line, or change meanwhile are refused in words."""

from __future__ import annotations

import gzip
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import Bench, job, record, refused, rules

from batchsync.core.job import Join, Removal
from batchsync.data.row import csv_rows, csv_scan, line_limit, text_reader
from batchsync.data.row.csv_reader import CsvReader
from batchsync.data.row.jsonl_reader import JsonlReader
from batchsync.data.row.parquet_reader import ParquetReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.data.row.row_reader import RowReader, SourceFile

GOOD = "id,name,mail\n1,Ann,a\n2,Bob,b\n"


@pytest.mark.parametrize("name", ["source.csv", "source.jsonl", "source.parquet", "*.csv"])
def test_pipe_is_refused_at_once(bench: Bench, name: str) -> None:
    bench.change_source(path=name)
    os.mkfifo(bench.folder / name.replace("*", "a"))
    assert "is a pipe (FIFO), not a file" in refused(bench).message


def test_pipe_as_joined_file_is_refused(tmp_path: Path) -> None:
    made = job(tmp_path, {"id": "=id"}, source={"joins": (Join(path="j.csv", on=(("id", "id"),)),)})
    bench = Bench(tmp_path, made, rules())
    bench.source(GOOD)
    os.mkfifo(tmp_path / "j.csv")
    assert "j.csv is a pipe (FIFO), not a file" in refused(bench).message


def test_socket_is_refused(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        (bench.folder / "source.csv").symlink_to(f"{folder}/s")
        assert "is a socket, not a file" in refused(bench).message


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "/dev/urandom"])
@pytest.mark.parametrize("linked", [False, True])
def test_device_is_refused(bench: Bench, target: str, *, linked: bool) -> None:
    bench.change_source(path="source.csv" if linked else target, format="csv")
    if linked:
        (bench.folder / "source.csv").symlink_to(target)
    assert "is a device, not a file" in refused(bench).message


@pytest.mark.parametrize("target", ["/proc/version", "/proc/self/status", "/proc/kmsg", "/sys/kernel/mm/ksm/run"])
@pytest.mark.parametrize("linked", [False, True])
def test_file_of_the_kernel_is_refused(bench: Bench, target: str, *, linked: bool) -> None:
    if not Path(target).exists():
        return
    bench.change_source(path="source.csv" if linked else target, format="csv")
    if linked:
        (bench.folder / "source.csv").symlink_to(target)
    assert "is made by the kernel while it is read" in refused(bench).message


@pytest.mark.parametrize("path", ["~nosuchuser/s.csv", "~nosuchuser/*.csv"])
def test_folder_of_an_unknown_user_is_refused(bench: Bench, path: str) -> None:
    bench.change_source(path=path)
    assert f"{path}: there is no user of that name" in refused(bench).message


@pytest.mark.parametrize("path", ["source.csv", "*.csv", "data/source.csv"])
def test_link_to_nothing_is_named_with_its_target(bench: Bench, path: str) -> None:
    bench.change_source(path=path)
    link = bench.folder / ("data" if "/" in path else "source.csv")
    link.symlink_to("nowhere")
    assert f"{link} is a link to nowhere, which does not exist" in refused(bench).message


def test_link_to_itself_is_refused(bench: Bench) -> None:
    (bench.folder / "source.csv").symlink_to("source.csv")
    assert "source.csv cannot be read: Too many levels of symbolic links" in refused(bench).message


def test_link_to_a_file_is_read(bench: Bench) -> None:
    bench.source(GOOD, "real.csv")
    (bench.folder / "source.csv").symlink_to("real.csv")
    assert len(bench.records()) == 2


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit of lines that tests exceed with small files, which polars must not see."""
    for name in ("scan_csv", "scan_ndjson"):
        monkeypatch.setattr(pl, name, None)
    monkeypatch.setattr(line_limit, "LINE_MAX", 1000)
    monkeypatch.setattr(line_limit, "_PROBE_BYTES", 64)
    monkeypatch.setattr(text_reader, "CHUNK_BYTES", 100)
    return 1000


def lines_of(name: str, lengths: list[int], end: str) -> bytes:
    """Return lines with these lengths in bytes, without a line end after the last."""
    begin, close = ('{"id":"', '","name":"n","mail":"m"}') if name.endswith("jsonl") else ("", ",n,m")
    text = [begin + "x" * (length - len(begin) - len(close)) + close for length in lengths]
    return end.join(text if name.endswith("jsonl") else ["id,name,mail", *text]).encode()


@pytest.mark.parametrize(("name", "end"), [("source.csv", "\n"), ("source.csv", "\r\n"), ("source.jsonl", "\n")])
@pytest.mark.parametrize("form", ["plain", "gzip", "utf-16"])
@pytest.mark.parametrize("lengths", [[1001], [40] * 30 + [1001], [1001] + [40] * 60, [900, 40, 5000, 900, 2]])
def test_overlong_line_is_refused_before_it_is_read(
    bench: Bench, short_lines: int, name: str, form: str, end: str, lengths: list[int]
) -> None:
    bench.change_source(path=name, encoding="utf-16" if form == "utf-16" else "utf-8")
    lengths = [max(length, 30) for length in lengths]
    content = lines_of(name, lengths, end)
    bench.source({"plain": content, "gzip": gzip.compress(content), "utf-16": content.decode().encode("utf-16")}[form])
    line = next(n for n, length in enumerate(lengths, start=1) if length > short_lines) + name.endswith("csv")
    assert f"{name}:{line}: the line is longer than {short_lines} bytes" in refused(bench).message


@pytest.mark.parametrize("before", ["", '1,"a\n""b""",m\n' * 200])
@pytest.mark.parametrize("form", ["plain", "gzip"])
def test_quotation_mark_that_never_closes_is_refused_before_polars_reads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, before: str, form: str
) -> None:
    for module in (line_limit, csv_scan, csv_rows):
        monkeypatch.setattr(module, "LINE_MAX", 1000)
    for module in (text_reader, csv_scan):
        monkeypatch.setattr(module, "CHUNK_BYTES", 100)
    monkeypatch.setattr(pl, "scan_csv", None)
    text = "id,name,mail\n" + before + '2,"Bo,b\n' + "3,Cy,c\n" * 300
    bench.source(gzip.compress(text.encode()) if form == "gzip" else text)
    line = 2 + before.count("\n")
    assert f"source.csv:{line}: the line is longer than 1000 bytes" in refused(bench).message


@pytest.mark.parametrize("name", ["source.csv", "source.jsonl"])
def test_lines_up_to_the_limit_are_read(bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(line_limit, "LINE_MAX", 1000)
    monkeypatch.setattr(line_limit, "_PROBE_BYTES", 64)
    bench.change_source(path=name)
    bench.source(lines_of(name, [1000, 999, 40, 998, 997, 500], "\n"))
    assert bench.compare().plan.counts.source_rows == 6


def write(path: Path, rows: int) -> None:
    """Write a source in the format of its ending."""
    frame = pl.DataFrame({"id": [str(n) for n in range(rows)], "name": ["n"] * rows, "mail": ["m"] * rows})
    writers: dict[str, Any] = {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}
    writers[path.suffix](path)


READERS: dict[str, type[RowReader]] = {"csv": CsvReader, "jsonl": JsonlReader, "parquet": ParquetReader}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("change", ["grows", "is replaced", "is touched", "vanishes"])
def test_source_that_changes_while_it_is_compared_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ending: str, change: str
) -> None:
    bench.change_source(path=f"source.{ending}")
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    path, reader = bench.folder / f"source.{ending}", READERS[ending]
    write(path, 20)
    bench.accept_all()
    read = reader.read

    def read_and_change(self: RowReader, file: SourceFile) -> Iterator[pl.DataFrame]:
        yield from read(self, file)
        if change == "grows":
            with path.open("ab") as stream:
                stream.write(b"7,n,m\n")
        elif change == "is replaced":
            write(path.with_name(f"new.{ending}"), 30)
            path.with_name(f"new.{ending}").replace(path)
        elif change == "is touched":
            os.utime(path, ns=(1, 1))
        else:
            path.unlink()

    write(path, 10)
    monkeypatch.setattr(reader, "read", read_and_change)
    message = refused(bench).message
    assert f"source.{ending} " in message
    assert ("does not exist" if change == "vanishes" else "was changed while it was read") in message


def test_joined_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path, {"id": "=id", "t": "=t"}, source={"joins": (Join(path="j.csv", on=(("id", "id"),)),)})
    bench = Bench(tmp_path, made, rules())
    bench.source(GOOD)
    path = bench.source("id,t\n1,x\n", "j.csv")
    read = CsvReader.read

    def read_and_grow(self: CsvReader, file: SourceFile) -> Iterator[pl.DataFrame]:
        yield from read(self, file)
        if file.path == path:
            path.write_text("id,t\n1,x\n2,y\n", encoding="utf-8")

    monkeypatch.setattr(CsvReader, "read", read_and_grow)
    assert "j.csv was changed while it was read" in refused(bench).message


@pytest.mark.parametrize("method", ["schema", "prepare", "check", "read", "raise_first_error"])
@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), RecursionError(), MemoryError()])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_any_error_of_a_reader_is_reported_without_its_text(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception, ending: str
) -> None:
    bench.change_source(path=f"source.{ending}")
    write(bench.folder / f"source.{ending}", 7)

    def fail(*_: object) -> None:
        raise error

    if method == "raise_first_error":
        monkeypatch.setattr(READERS[ending], "read", fail)
    monkeypatch.setattr(READERS[ending], method, fail)
    message = refused(bench).message
    assert f"source.{ending} " in message
    assert type(error).__name__ in message or ending == "parquet"
    assert "secret" not in message
