"""Batch files hold exactly what was compared, keep the vendor's limits, and are deterministic."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl
import pytest
from data_kit import CSV_FILE, ENVELOPE, HEAD, Bench, csv_rules, job, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.naming import staging_prefix
from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.batchfile import gzip_blocks
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator

    from batchsync.core.batch import BatchFile


def rows_text(rows: int) -> str:
    lines = (f"{row},{hashlib.sha256(str(row).encode()).hexdigest()},m{row}\n" for row in range(rows))
    return HEAD + "".join(lines)


def limited(*, bytes_max: int | None = None, rows_max: int | None = None) -> FileRules:
    return FileRules(
        format=FileFormat.JSONL, gzip=True, suffix=".json.gz", bytes_max=bytes_max, rows_max=rows_max, envelope=ENVELOPE
    )


def content(file: BatchFile) -> bytes:
    return gzip.decompress(Path(file.path).read_bytes())


def test_file_matches_its_digests_and_name(bench: Bench) -> None:
    bench.source(rows_text(100))
    [file] = bench.stage(bench.compare())
    data = Path(file.path).read_bytes()
    assert file.digest == hashlib.sha256(data).hexdigest()
    assert file.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert (file.size, file.rows) == (len(data), 100)
    assert Path(file.path).name == f"{file.digest}.json.gz"
    assert {path.name for path in Path(file.path).parent.iterdir()} == {
        Path(file.path).name,
        Path(file.row_manifest).name,
    }


def test_file_is_single_gzip_member_without_date(bench: Bench) -> None:
    bench.source(rows_text(5000))
    [file] = bench.stage(bench.compare())
    data = Path(file.path).read_bytes()
    assert data[4:8] == b"\0\0\0\0"
    decompressor = zlib.decompressobj(31)
    assert decompressor.decompress(data).count(b"\n") == 5000
    assert decompressor.eof
    assert decompressor.unused_data == b""


def test_manifest_lists_line_row_and_key(bench: Bench) -> None:
    bench.source(HEAD + "b,x,m\n,y,n\na,z,o\n")
    [file] = bench.stage(bench.compare())
    manifest = pl.read_parquet(file.row_manifest)
    assert manifest.select("line", "row", "key", "op", "key:id").rows() == [
        (1, 1, "b", "add", "b"),
        (2, 3, "a", "add", "a"),
    ]
    assert [line.split('"')[3] for line in content(file).decode().splitlines()] == manifest["ref"].to_list()


@pytest.mark.parametrize("bytes_max", [3_000, 20_000, 100_000])
def test_files_keep_byte_limit_and_lose_no_row(bench: Bench, bytes_max: int) -> None:
    bench.rules = rules(file=limited(bytes_max=bytes_max))
    bench.source(rows_text(3000))
    files = bench.stage(bench.compare())
    assert all(file.size == Path(file.path).stat().st_size <= bytes_max for file in files)
    assert sum(file.rows for file in files) == 3000
    keys = [key for file in files for key in pl.read_parquet(file.row_manifest)["key"].to_list()]
    assert keys == [str(row) for row in range(3000)]
    assert len(files) > 1
    assert all(content(file).endswith(b"}\n") and content(file).count(b"\n") == file.rows for file in files)


@pytest.mark.parametrize(("rows_max", "sizes"), [(1000, [1000, 1000, 500]), (2500, [2500]), (2499, [2499, 1])])
def test_files_keep_row_limit(bench: Bench, rows_max: int, sizes: list[int]) -> None:
    bench.rules = rules(file=limited(rows_max=rows_max))
    bench.source(rows_text(2500))
    assert [item.rows for item in bench.stage(bench.compare())] == sizes


def test_files_keep_both_limits(bench: Bench) -> None:
    bench.rules = rules(file=limited(bytes_max=20_000, rows_max=170))
    bench.source(rows_text(2500))
    files = bench.stage(bench.compare())
    assert sum(file.rows for file in files) == 2500
    assert all(file.rows <= 170 and file.size <= 20_000 for file in files)


def test_each_file_is_finalized_before_the_next(bench: Bench) -> None:
    bench.rules = rules(file=limited(bytes_max=20_000))
    bench.source(rows_text(2000))
    comparison = bench.compare()
    found: list[BatchFile] = []
    for item in bench.engine.stage_each(bench.job, bench.rules, comparison):
        assert hashlib.sha256(Path(item.path).read_bytes()).hexdigest() == item.digest
        assert pl.read_parquet(item.row_manifest).height == item.rows
        found.append(item)
    assert [item.digest for item in found] == [item.digest for item in bench.stage(comparison)]
    assert len(found) > 2


def test_closed_iterator_keeps_yielded_files_only(bench: Bench) -> None:
    bench.rules = rules(file=limited(bytes_max=20_000))
    bench.source(rows_text(2000))
    into = bench.folder / staging_prefix(bench.job.name)
    files = bench.engine.stage_each(bench.job, bench.rules, bench.compare())
    first = next(files)
    cast("Generator[BatchFile]", files).close()
    assert {Path(first.path).name, Path(first.row_manifest).name} <= {path.name for path in into.iterdir()}
    assert not list(into.glob(".batchsync-part*"))


@pytest.mark.parametrize("compression", ["fast", "smaller"])
def test_both_compressions_hold_the_same_records(bench: Bench, compression: str) -> None:
    bench.change(compression=compression)
    bench.source(rows_text(500))
    [file] = bench.stage(bench.compare())
    assert content(file).count(b"\n") == 500


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=8), compression=st.sampled_from(["fast", "smaller"])
)
def test_blocks_join_into_one_gzip_member(parts: list[bytes], compression: str) -> None:
    crc = size = 0
    data = gzip_blocks.HEADER
    for part in parts:
        block = gzip_blocks.pack(part, 1, compression)
        crc, size = gzip_blocks.crc32_combine(crc, block), size + block.size
        data += block.data
    assert gzip.decompress(data + gzip_blocks.trailer(crc, size)) == b"".join(parts)


def test_only_changed_rows_are_sent(bench: Bench) -> None:
    bench.source(rows_text(300))
    bench.accept_all()
    bench.source(rows_text(300).replace(",m7\n", ",m7x\n").replace(",m250\n", ",m250x\n"))
    assert [record["value"]["id"] for record in bench.records()] == ["7", "250"]


@pytest.mark.parametrize(
    "text", [HEAD + "1,b,m\n2,b,n\n", HEAD + "1,a,m\n", HEAD + "2,b,n\n1,a,m\n", HEAD + "1,a,m\n9,b,n\n"]
)
def test_source_changed_after_comparing_is_an_error(bench: Bench, text: str) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    comparison = bench.compare()
    bench.source(text)
    with pytest.raises(SourceError, match="changed between"):
        bench.stage(comparison)
    assert not list((bench.folder / f"files-{bench.runs}").glob("*.gz"))


def test_rows_appended_after_comparing_are_ignored(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    comparison = bench.compare()
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    assert [item.rows for item in bench.stage(comparison)] == [2]


def test_source_columns_may_have_internal_names(bench: Bench) -> None:
    mapping = {name: f'="{name}"' for name in ("key", "row", "op", "fingerprint", "ref", "line", "state", "bad", "x")}
    bench.job = job(bench.folder, mapping, source={"key": ("key",)})
    bench.source("key,row,op,fingerprint,ref,line,state,bad,x\n1,2,3,4,5,6,7,8,9\n")
    assert list(bench.records()[0]["value"].values()) == list("123456789")
    bench.change_source(key=("key", "row"))
    assert bench.records()[0]["value"]["op"] == "3"


def csv_bench(bench: Bench, template: tuple[str, ...] | None = None) -> Bench:
    bench.rules = csv_rules()
    bench.job = job(bench.folder, {"vin": "=upper(trim(name))", "kind": "car", "note": "=mail"}, target={})
    bench.template = template
    return bench


def test_csv_has_members_as_header_and_standard_quoting(bench: Bench) -> None:
    csv_bench(bench).source(HEAD + '1,"a,""b"" ","line\r\nend"\n2,,\n3, é ,=1+1\n')
    [file] = bench.stage(bench.compare())
    text = Path(file.path).read_bytes().decode()
    wanted = [["vin", "kind", "note"], ['A,"B"', "car", "line\r\nend"], ["", "car", ""], ["É", "car", "=1+1"]]
    assert list(csv.reader(io.StringIO(text, newline=""))) == wanted
    assert text.startswith("vin,kind,note\n")


def test_csv_follows_vendor_template(bench: Bench) -> None:
    csv_bench(bench, ("plate", "note", "vin", "kind")).source(HEAD + "1,a,m\n")
    [file] = bench.stage(bench.compare())
    assert Path(file.path).read_text() == "plate,note,vin,kind\n,m,A,car\n"
    manifest = pl.read_parquet(file.row_manifest)
    assert manifest.select("input:plate", "input:note", "input:vin").row(0) == (None, "m", "A")


def test_each_csv_file_begins_with_the_header(bench: Bench) -> None:
    csv_bench(bench)
    bench.rules = csv_rules(
        file=FileRules(format=FileFormat.CSV, gzip=False, suffix="csv", rows_max=2, bytes_max=2_000)
    )
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    texts = [Path(item.path).read_text() for item in bench.stage(bench.compare())]
    assert texts == ["vin,kind,note\nA,car,m\nB,car,n\n", "vin,kind,note\nC,car,o\n"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=5)
)
def test_csv_round_trips_any_text(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    frame = pl.DataFrame({"id": [str(row) for row in range(len(values))], "v": values})
    frame.write_parquet(folder / "source.parquet")
    made = job(folder, {"v": "=v", "id": "=id"}, source={"path": "source.parquet"}, target={})
    bench = Bench(folder, made, csv_rules(file=CSV_FILE))
    [file] = bench.stage(bench.compare())
    rows = list(csv.reader(io.StringIO(Path(file.path).read_bytes().decode(), newline="")))
    assert [item[0] for item in rows[1:]] == values


def test_compressed_source_is_staged_from_compared_copy(bench: Bench) -> None:
    bench.source(gzip.compress((HEAD + "1,a,m\n").encode()))
    comparison = bench.compare()
    assert [item.rows for item in bench.stage(comparison)] == [1]
