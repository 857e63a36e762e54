"""Texts of many columns are joined as Python joins those of a row, without nulls."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from batchsync.data.frame.joined_text import joined_text

_TEXTS = st.none() | st.sampled_from(["", "a", "\0tag", "a text of more than twelve bytes", "ü🙂"])


@given(st.data(), st.integers(1, 45), st.integers(1, 4))
def test_texts_are_joined_row_by_row(data: st.DataObject, width: int, height: int) -> None:
    rows = data.draw(st.lists(st.lists(_TEXTS, min_size=width, max_size=width), min_size=height, max_size=height))
    constants = data.draw(st.sets(st.integers(0, width - 1)))
    schema = {str(number): pl.String for number in range(width)}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    parts = [pl.lit(f"<{name}>") if int(name) in constants else pl.col(name) for name in schema]

    found = frame.with_columns(joined_text(parts).alias("joined"))["joined"].to_list()

    values = [[f"<{i}>" if i in constants else value for i, value in enumerate(row)] for row in rows]
    assert found == ["".join(value for value in row if value is not None) for row in values]
