"""Compressed text (zip with one member, zstd, bzip2) is read like plain text, or refused in words."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from data_kit import refused

from batchsync.core.source_path import format_by_ending, text_ending
from batchsync.data.row.compressed import compression_of, iter_plain
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data_kit import Bench

HEAD = "id,name,mail\n"
CSV = HEAD + "1,Ann,a\n2,Bö,b\n"
LINES = '{"id":"1","name":"Ann","mail":"a"}\n{"id":"2","name":"Bö","mail":"b"}\n'


def zipped(content: bytes, *, method: int = zipfile.ZIP_DEFLATED, name: str = "in.csv", **others: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("folder/", b"")
        archive.writestr(f"folder/{name}", content)
        for other, data in others.items():
            archive.writestr(other.replace("__", "/").replace("_dot_", "."), data)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def _with_resource_fork(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in.csv", content)
        archive.writestr("__MACOSX/._in.csv", b"\x00\x05\x16\x07")
    return out.getvalue()


SKIPPABLE = struct.pack("<II", 0x184D2A53, 4) + b"abcd"
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "zip": zipped,
    "zip-stored": lambda content: zipped(content, method=zipfile.ZIP_STORED),
    "zip-bzip2": lambda content: zipped(content, method=zipfile.ZIP_BZIP2),
    "zip-lzma": lambda content: zipped(content, method=zipfile.ZIP_LZMA),
    "zip-of-macos": _with_resource_fork,
    "zip-of-finder": lambda content: zipped(content, folder___dot_DS_Store=b"Bud1"),
    "zip-of-explorer": lambda content: zipped(content, Thumbs_dot_db=b"\xd0\xcf", desktop_dot_ini=b"[x]"),
    "zstd": zstd,
    "zstd-frames": lambda content: zstd(content[:9]) + zstd(content[9:]),
    "zstd-skippable": lambda content: SKIPPABLE + zstd(content),
    "bzip2": bz2.compress,
    "bzip2-streams": lambda content: bz2.compress(content[:9]) + bz2.compress(content[9:]),
    "bzip2-empty-stream": lambda content: bz2.compress(b"") + bz2.compress(content, 1),
    "gzip": gzip.compress,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "text"), [("source.csv", CSV), ("source.jsonl", LINES)])
def test_compressed_text_gives_the_rows_of_the_plain_text(bench: Bench, form: str, name: str, text: str) -> None:
    bench.change_source(path=name)
    bench.source(text.encode())
    plain = bench.compare()
    bench.source(FORMS[form](text.encode()))
    packed = bench.compare()
    assert packed.plan.counts == plain.plan.counts
    assert packed.plan.counts.added == 2
    assert packed.plan.changes_digest == plain.plan.changes_digest


@pytest.mark.parametrize("form", FORMS)
def test_text_in_another_encoding_is_decoded_after_decompression(bench: Bench, form: str) -> None:
    bench.change_source(encoding="utf-16")
    bench.source(FORMS[form](CSV.encode("utf-16")))
    assert bench.compare().plan.counts.added == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [7, 1000, 1 << 20])
def test_any_size_and_chunk_gives_the_same_bytes(tmp_path: Path, form: str, chunk: int) -> None:
    content = hashlib.shake_256(form.encode()).digest(5000) * 300
    path = tmp_path / "x"
    for size in (0, 1, 4999, 1_500_000) if chunk > 7 else (0, 1, 4999):
        path.write_bytes(FORMS[form](content[:size]))
        chunks = list(iter_plain(path, chunk))
        assert b"".join(chunks) == content[:size]
        assert all(0 < len(item) <= chunk for item in chunks)


@pytest.mark.parametrize(
    "form", ["zip", "zip-stored", "zip-bzip2", "zip-lzma", "zstd", "bzip2", "bzip2-streams", "gzip"]
)
def test_every_truncation_is_refused_in_words(tmp_path: Path, form: str) -> None:
    content = FORMS[form](CSV.encode() * 10)
    path = tmp_path / "source.csv"
    for size in range(11, len(content)):
        path.write_bytes(content[:size])
        if form == "bzip2-streams" and size == len(bz2.compress((CSV.encode() * 10)[:9])):
            continue  # a whole file: the second stream is absent
        with pytest.raises(SourceError, match=r"source\.csv is truncated or damaged"):
            list(iter_plain(path, 1 << 16))


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_refused_or_harmless_but_never_another_error(tmp_path: Path, form: str) -> None:
    original = CSV.encode() * 20
    content = FORMS[form](original)
    path = tmp_path / "source.csv"
    refusals = 0
    for place in range(0, len(content) * 8, max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            list(iter_plain(path, 1 << 16))
        except SourceError as error:
            refusals += 1
            assert str(path) in error.message  # noqa: PT017 - most but not all damage can be noticed
    assert refusals > 50


def test_what_follows_the_last_stream_of_bzip2_or_zstd_is_damage(tmp_path: Path) -> None:
    for kind, pack in (("bzip2", bz2.compress), ("zstd", zstd)):
        path = tmp_path / "source.csv"
        path.write_bytes(pack(CSV.encode()) + b"3,Cy,c\n")
        with pytest.raises(SourceError, match=f"truncated or damaged {kind}"):
            list(iter_plain(path, 1 << 16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(CSV.encode(), b=b"1", c=b"2"), "zip archive with 3 files ('folder/in.csv', 'b', 'c'), not with one"),
        (zipped(CSV.encode(), **{f"n{i}": b"" for i in range(9)}), "with 10 files ('folder/in.csv', 'n0', 'n1', "),
        (b"PK\x05\x06" + bytes(18), "is an empty zip archive"),
        (zipped(CSV.encode(), xl__workbook_dot_xml=b"", mimetype=b""), "is a workbook or a document"),
    ],
)
def test_archives_of_another_number_of_files_are_refused(bench: Bench, content: bytes, message: str) -> None:
    bench.source(content)
    assert message in refused(bench).message


def test_encrypted_archive_is_refused(bench: Bench) -> None:
    content = bytearray(zipped(CSV.encode()))
    central = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    content[central + 8] |= 1
    bench.source(bytes(content))
    assert "is an encrypted zip archive" in refused(bench).message


def test_archive_with_an_unknown_method_is_refused(bench: Bench) -> None:
    content = bytearray(zipped(CSV.encode()))
    central = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    content[central + 10] = 97
    bench.source(bytes(content))
    assert "packed in an unusual way (method 97)" in refused(bench).message


def test_size_that_an_archive_declares_wrongly_is_refused(bench: Bench) -> None:
    for size in (5, len(CSV.encode()) + 1):
        content = bytearray(zipped(CSV.encode()))
        central = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
        content[central + 24 : central + 28] = struct.pack("<I", size)
        bench.source(bytes(content))
        assert "truncated or damaged zip" in refused(bench).message


BOMB = """\
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))
from batchsync.data.row.line_limit import iter_bounded
from batchsync.data.row.compressed import iter_plain
from batchsync.errors import SourceError
path = Path(sys.argv[1])
try:
    sum(len(chunk) for chunk in iter_bounded(path, iter_plain(path, 1 << 20)))
except SourceError as error:
    print(error.message)
"""


@pytest.mark.parametrize("form", ["zip", "zip-bzip2", "zstd", "bzip2", "gzip"])
def test_bomb_of_one_line_is_refused_in_bounded_memory(tmp_path: Path, form: str) -> None:
    path = tmp_path / "bomb.csv"
    path.write_bytes(FORMS[form](bytes(100 << 20)))
    assert path.stat().st_size < 200_000
    command = [sys.executable, "-c", BOMB, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "bomb.csv" in done.stdout


@pytest.mark.parametrize("ending", [".gz", ".zip", ".zst", ".zstd", ".bz2", ".ZIP"])
def test_format_follows_from_the_ending_before_that_of_the_compression(ending: str) -> None:
    assert format_by_ending(f"a/b.CSV{ending}") == "csv"
    assert format_by_ending(f"b.ndjson{ending}") == "jsonl"
    assert text_ending(f"x.tsv{ending}") == ".tsv"
    assert format_by_ending(f"guests{ending}") == ""


def test_compression_is_recognized_by_content(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for content, kind in ((b"", ""), (b"PK", ""), (b"BZhello,w\n", ""), (CSV.encode(), ""), (zstd(b""), "zstd")):
        path.write_bytes(content)
        assert compression_of(path) == kind
