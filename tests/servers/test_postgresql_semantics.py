"""Expressions give the results of a PostgreSQL server: those of the golden file, and generated ones.

`BATCHSYNC_EXPRESSIONS=20000 make test-servers` generates more. Where batchsync differs on purpose, docs/expressions.md
says so; `kit/sql_comparison.py` names the sentences.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.expressions import expressions, for_batchsync, for_postgresql, frames
from kit.sql_comparison import DOCUMENTED, differences
from kit.sql_results import RESULTS, in_postgresql

if TYPE_CHECKING:
    import polars as pl

    from kit.postgresql import Database

#: Number of generated expressions; those of the default are the same in each run.
DEFAULT = 400
COUNT = int(os.environ.get("BATCHSYNC_EXPRESSIONS", DEFAULT))
#: Settings of the search.
SEARCH = settings(
    max_examples=COUNT,
    derandomize=COUNT == DEFAULT,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
REFERENCE = Path(__file__).parents[2] / "docs" / "expressions.md"


def test_golden_file_holds_the_results_of_this_server(database: Database) -> None:
    found = in_postgresql(database, list(RESULTS))

    assert {sql: (RESULTS[sql], result) for sql, result in found.items() if RESULTS[sql] != result} == {}


@pytest.mark.timeout(120 + COUNT)
@SEARCH
@given(drawn=expressions().flatmap(lambda sql: st.tuples(st.just(sql), frames(sql))))
def test_generated_expression_gives_the_results_of_postgresql(
    database: Database, drawn: tuple[str, pl.DataFrame]
) -> None:
    sql, frame = drawn
    [theirs] = database.results([for_postgresql(sql)], frame)

    assert differences(sql, frame, theirs) == [], for_batchsync(sql)


@pytest.mark.parametrize("sentence", sorted(set(DOCUMENTED)))
def test_each_accepted_difference_is_documented(sentence: str) -> None:
    assert sentence in " ".join(REFERENCE.read_text(encoding="utf-8").split())
