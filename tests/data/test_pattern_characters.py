"""Signs that patterns are made of may stand in the name of any file or folder: they stand for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import Bench, job, rules

from lading.core.batch import Verdict
from lading.core.job import Join
from lading.data import Columnar

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site [prod] {x} *?"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_with_brackets_in_its_name_is_not_mistaken_for_its_neighbour(bench: Bench, ending: str) -> None:
    for name, said in (("g[1]", "right"), ("g1", "wrong")):
        frame, path = pl.DataFrame({"id": ["1"], "name": [said], "mail": ["m"]}), bench.folder / f"{name}.{ending}"
        {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
    bench.change_source(path=f"g[1].{ending}")
    assert [one["value"]["name"] for one in bench.records()] == ["right"]
    bench.change_source(path=f"g*.{ending}", duplicates="last")
    assert [one["value"]["name"] for one in bench.records()] == ["right"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_go_all_the_way_in_a_folder_of_any_name(site: Path, ending: str) -> None:
    made = job(
        site,
        {"id": "=id", "title": "=title"},
        source={"path": f"in-?/*.{ending}", "joins": (Join(path="[a].csv", on=(("book", "isbn"),)),)},
    )
    bench = Bench(site, made, rules())
    (site / "[a].csv").write_text("isbn,title\na,Emma\nb,Ulysses\n", encoding="utf-8")
    (site / "in-1").mkdir()
    rows = pl.DataFrame({"id": ["1", "2"], "book": ["a", "b"]})
    for part in (1, 2):
        some, path = rows[part - 1 : part], site / "in-1" / f"{part}.{ending}"
        {"csv": some.write_csv, "jsonl": some.write_ndjson, "parquet": some.write_parquet}[ending](path)
    assert [one["value"]["title"] for one in bench.records()] == ["Emma", "Ulysses"]
    bench.accept_all()
    assert bench.compare().tally.unchanged == 2
    rows.with_columns(book=pl.lit("a")).write_csv(site / "source.csv")
    bench.change_source(path="source.csv")
    [file] = bench.stage(bench.compare())
    verdicts = bench.settle(file, Verdict.PROCESSED)
    assert verdicts.books.accepted == 1
    bench.baseline = Columnar().advance(bench.baseline, [verdicts.path], site / "baselines")
    assert bench.compare().tally.unchanged == 2
