"""Characters of glob patterns in the names of files and folders are literal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import Bench, job, rules

from batchsync.core.batch import Verdict
from batchsync.core.job import Join
from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site [prod] {x} *?"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_brackets_in_file_name_are_literal(bench: Bench, ending: str) -> None:
    for name, value in (("g[1]", "right"), ("g1", "wrong")):
        frame, path = pl.DataFrame({"id": ["1"], "name": [value], "mail": ["m"]}), bench.folder / f"{name}.{ending}"
        {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
    bench.change_source(path=f"g[1].{ending}")
    assert [record["value"]["name"] for record in bench.records()] == ["right"]
    bench.change_source(path=f"g*.{ending}", duplicates="last")
    assert [record["value"]["name"] for record in bench.records()] == ["right"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_sync_works_in_folder_with_pattern_characters(site: Path, ending: str) -> None:
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
    assert [record["value"]["title"] for record in bench.records()] == ["Emma", "Ulysses"]
    bench.accept_all()
    assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 2
    rows.with_columns(book=pl.lit("a")).write_csv(site / "source.csv")
    bench.change_source(path="source.csv")
    [file] = bench.stage(bench.compare())
    verdicts = bench.join_outcomes(file, Verdict.PROCESSED)
    assert verdicts.counts[RowOutcome.ACCEPTED] == 1
    bench.baseline = bench.engine.apply_verdicts(bench.baseline, [verdicts.path])
    assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 2
