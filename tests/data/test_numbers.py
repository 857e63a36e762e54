"""A number keeps its digits and does not depend on the other rows of its column."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import Bench, job, rules

from batchsync.core.record_schema import Kind, Rule
from batchsync.core.row_outcome import RowOutcome

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {"n": Rule(kind=Kind.NUMBER), "i": Rule(kind=Kind.INTEGER), "any": Rule(kind=Kind.SCALAR)}


def parquet(folder: Path, values: pl.Series, **mapping: Any) -> Bench:
    """Return a bench over a Parquet file with the column `x`."""
    pl.DataFrame({"id": [str(index) for index in range(len(values))], "x": values}).write_parquet(folder / "s.parquet")
    return Bench(folder, job(folder, mapping, source={"path": "s.parquet"}), rules(fields=FIELDS))


def sent(bench: Bench) -> list[str]:
    """Return the record of each line."""
    return [line.split('"value":')[1].removesuffix("}") for line in bench.lines()]


def test_decimals_keep_digits_without_trailing_zeros(tmp_path: Path) -> None:
    texts = ["12345678901234567.89", "0.10", "-42.00", "100.00"]
    money = pl.Series([Decimal(text) for text in texts], dtype=pl.Decimal(20, 2))
    bench = parquet(tmp_path, money, n="=x", any="=x")
    assert sent(bench) == [f'{{"n":{item},"any":{item}}}' for item in ("12345678901234567.89", "0.1", "-42", "100")]


def test_large_integral_decimals_are_distinguished(tmp_path: Path) -> None:
    whole = pl.Series([Decimal(9007199254740993), Decimal(9007199254740992), Decimal(40)], dtype=pl.Decimal(38, 0))
    bench = parquet(tmp_path, whole, n="=x", i="=x")
    assert sent(bench) == [f'{{"n":{item},"i":{item}}}' for item in (9007199254740993, 9007199254740992, 40)]
    bench.accept_all()
    bench.job = parquet(tmp_path, pl.concat([whole[1:2], whole[1:]]), n="=x", i="=x").job
    assert bench.compare().plan.counts.changed == 1


@pytest.mark.parametrize(("value", "integer"), [("7.00", 7), ("9007199254740993.00", 9007199254740993), ("7.50", None)])
def test_decimal_is_integer_only_without_fraction(tmp_path: Path, value: str, integer: int | None) -> None:
    bench = parquet(tmp_path, pl.Series([Decimal(value)], dtype=pl.Decimal(20, 2)), i="=x")
    comparison = bench.compare()
    assert comparison.plan.counts.outcomes[RowOutcome.INVALID] == (integer is None)
    assert integer is None or sent(bench) == [f'{{"i":{integer}}}']


def test_integer_is_unchanged_in_column_with_nulls_or_fractions(tmp_path: Path) -> None:
    bench = parquet(tmp_path, pl.Series([8041, 5, 0]), n="=x", text="=x")
    before = sent(bench)
    bench.accept_all()
    bench.job = parquet(tmp_path, pl.Series([8041.0, 5.0, -0.0, None, 1.5]), n="=x", text="=x").job
    assert sent(bench) == ["{}", '{"n":1.5,"text":1.5}']
    assert before == [f'{{"n":{item},"text":{item}}}' for item in (8041, 5, 0)]
