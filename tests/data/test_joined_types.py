"""Joins on columns of different types match by text, or are refused if no row can match."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENGINE, Bench, job, rules

from batchsync.core.job import Join
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def joined(folder: Path, left: pl.DataFrame, right: pl.DataFrame, **mapping: Any) -> Bench:
    """Return a bench whose source `s.parquet` has `r.parquet` joined on `ours` and `theirs`."""
    left.write_parquet(folder / "s.parquet")
    right.write_parquet(folder / "r.parquet")
    join = Join(path="r.parquet", on=(("ours", "theirs"),))
    return Bench(folder, job(folder, mapping, source={"path": "s.parquet", "joins": (join,)}), rules())


def frames(ours: pl.Series, theirs: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    return (
        pl.DataFrame({"id": ["1", "2"], "ours": ours}),
        pl.DataFrame({"theirs": theirs, "title": ["Emma", "Ulysses"]}),
    )


_INTS, _FLOATS, _TEXTS = pl.Series([1, 2]), pl.Series([1.0, 2.0]), pl.Series(["1", "2"])
_MONEY, _DAYS = pl.Series([1, 2], dtype=pl.Decimal(9, 2)), pl.Series([date(2026, 1, 1), date(2026, 1, 2)])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (_INTS, _FLOATS),
        (_FLOATS, _INTS),
        (_TEXTS, _FLOATS),
        (_INTS, _MONEY),
        (_TEXTS, _MONEY),
        (_FLOATS, _MONEY),
        (_DAYS, _DAYS.cast(pl.Datetime("us"))),
        (pl.Series([[1], [2]]), pl.Series([[1], [2]])),
    ],
)
def test_join_on_incomparable_types_is_refused(tmp_path: Path, ours: pl.Series, theirs: pl.Series) -> None:
    bench = joined(tmp_path, *frames(ours, theirs), id="=id", title="=title")
    with pytest.raises(SourceError) as caught:
        bench.compare()
    assert str(ours.dtype) in caught.value.message
    assert str(theirs.dtype) in caught.value.message
    assert "'theirs'" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (_INTS, _INTS.cast(pl.UInt8)),
        (_INTS, _INTS.cast(pl.Decimal(38, 0))),
        (_INTS, _TEXTS),
        (_TEXTS, _TEXTS.cast(pl.Categorical)),
        (_FLOATS, _FLOATS),
        (_MONEY, _MONEY),
        (_DAYS, _DAYS),
        (_DAYS, _DAYS.cast(pl.String)),
    ],
)
def test_join_on_types_with_same_text_form_matches_all_rows(tmp_path: Path, ours: pl.Series, theirs: pl.Series) -> None:
    bench = joined(tmp_path, *frames(ours, theirs), id="=id", title="=title")
    assert [record["value"]["title"] for record in bench.records()] == ["Emma", "Ulysses"]


def test_join_on_null_column_matches_no_row(tmp_path: Path) -> None:
    bench = joined(tmp_path, *frames(pl.Series([None, None]), _INTS), id="=id", title="=title")
    assert [record["value"] for record in bench.records()] == [{"id": "1"}, {"id": "2"}]


def test_joined_key_column_keeps_its_type(tmp_path: Path) -> None:
    bench = joined(tmp_path, *frames(_INTS, _INTS), id="=id", next="=theirs + 1")
    assert [record["value"]["next"] for record in bench.records()] == [2, 3]


def test_grouped_rows_join_on_numbers(tmp_path: Path) -> None:
    left = pl.DataFrame({"id": [1, 2, 1], "ours": [7, 8, 7]})
    right = pl.DataFrame({"theirs": [7, 8], "title": ["Emma", "Ulysses"]})
    bench = joined(tmp_path, left, right, titles=[{"each": {"title": "=title", "n": "=theirs"}}])
    assert [record["value"]["titles"] for record in bench.records()] == [
        [{"title": "Emma", "n": 7}, {"title": "Emma", "n": 7}],
        [{"title": "Ulysses", "n": 8}],
    ]


def test_column_used_twice_as_join_key_matches(tmp_path: Path) -> None:
    bench = joined(tmp_path, *frames(_INTS, _INTS), id="=id", title="=title")
    bench.change_source(joins=(Join(path="r.parquet", on=(("ours", "theirs"), ("id", "theirs"))),))
    assert [record["value"]["title"] for record in bench.records()] == ["Emma", "Ulysses"]
    assert ENGINE.columns(bench.job) == ("id", "ours", "title", "theirs")
