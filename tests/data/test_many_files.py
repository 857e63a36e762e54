"""Small files of one source are read together; the rows are those of reading each file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Source
from batchsync.data.row import partitions, text_reader
from batchsync.data.row.csv_reader import CsvReader
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

HEADERS = ("id,name", "name,id", '"id",name', "\ufeffid,name")
ROWS = ("1,a", '2,"b\nc"', ",", "NULL,NULL", '"",""', "3,ü", '4,"x""y"', "", " , ", "5,\t")


def written(folder: Path, texts: list[str]) -> Source:
    """Write files 0.csv and so on, and return a source of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.csv"):
        old.unlink()
    for number, text in enumerate(texts):
        (folder / f"{number:03}.csv").write_text(text, encoding="utf-8", newline="")
    return Source(path="*.csv", key=("id",), nulls=("NULL",), folder=str(folder))


def rows_of(source: Source, work: Path) -> pl.DataFrame:
    """Return all rows of a source with their numbers."""
    opened = open_source(source)
    empty = pl.DataFrame(schema={"batchsync:row": pl.Int64, **opened.schema})
    return pl.concat([empty, *frames(opened, work, fresh=True)])


@st.composite
def file_texts(draw: st.DrawFn) -> list[str]:
    """A few files with the same columns, in dialects that may differ."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    texts = []
    for _ in range(draw(st.integers(1, 6))):
        header = draw(st.sampled_from(HEADERS) if draw(st.booleans()) else st.just(HEADERS[0]))
        lines = [header, *draw(st.lists(st.sampled_from(ROWS), max_size=5))]
        texts.append(end.join(lines) + draw(st.sampled_from(["", end])))
    return texts


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=file_texts())
def test_rows_of_files_read_together_equal_those_of_files_read_alone(tmp_path: Path, texts: list[str]) -> None:
    source = written(tmp_path / "files", texts)
    (tmp_path / "work").mkdir(exist_ok=True)
    together = rows_of(source, tmp_path / "work")
    with pytest.MonkeyPatch.context() as patch:
        for module in (partitions, text_reader):
            patch.setattr(module, "SMALL_FILE_BYTES", 0)
        alone = rows_of(source, tmp_path / "work")
    assert together.equals(alone)


def test_many_small_files_are_read_with_few_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path / "files", [f"id,name\n{number},a\n" for number in range(300)])
    alone: list[Path] = []
    read = CsvReader.read
    monkeypatch.setattr(CsvReader, "read", lambda self, file: alone.append(file.path) or read(self, file))
    found = rows_of(source, tmp_path)
    assert found["id"].to_list() == [str(number) for number in range(300)]
    assert found["batchsync:row"].to_list() == list(range(1, 301))
    assert not alone


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("id,name,mail\n7,a\n", "row 1"),
        ('id,name,mail\n7,"a,b\n', "150.csv"),
        ("id,name\n7,a\n", "150.csv and 000.csv differ in columns: mail"),
        ("", "150.csv is empty"),
        ("id,name,mail\n7,a\rb,c\n", "150.csv:2 (row 1)"),
    ],
)
def test_invalid_file_among_many_is_named(bench: Bench, broken: str, message: str) -> None:
    bench.change_source(path="*.csv")
    for number in range(300):
        bench.source(broken if number == 150 else f"id,name,mail\n{number},a,b\n", f"{number:03}.csv")
    error = refused(bench)
    assert message in error.message
    assert "150.csv" in error.message
