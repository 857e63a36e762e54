"""The results of aggregates that the other tests expect are those of a PostgreSQL server."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from kit.aggregate_cases import CASES, HEAD, ROWS

if TYPE_CHECKING:
    from kit.postgresql import Database

#: `first` is ours.
OF_POSTGRESQL = [case for case in CASES if "first(" not in case[0]]


def text_of(value: Any, result: str | None) -> Any:
    """Return an expected value as the server writes it: numbers by their value."""
    if isinstance(value, bool):
        return str(value).lower()
    return result if isinstance(value, int | float) and Decimal(str(value)) == Decimal(result or "NaN") else value


@pytest.mark.parametrize(("sql", "expected"), OF_POSTGRESQL)
def test_aggregate_gives_the_result_of_the_server(database: Database, sql: str, expected: dict[str, Any]) -> None:
    names = HEAD.strip()
    found = {}
    for key in expected:
        rows = [[f"'{text}'" if text else "NULL::text" for text in row.split(",")] for row in ROWS if row[0] == key]
        values = ", ".join(f"({', '.join(row)})" for row in rows)
        query = f"(SELECT {sql.replace('no ||', 'max(no) ||')} FROM (VALUES {values}) AS source ({names}))"  # noqa: S608 - cases of the tests
        [[result]] = database.results([query], pl.DataFrame({"one": [1]}))
        found[key] = result.text

    assert found == {key: text_of(value, found[key]) for key, value in expected.items()}
