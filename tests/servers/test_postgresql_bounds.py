"""`since` of a query of PostgreSQL and Redshift, and its portions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync.core.query import Since
from batchsync.errors import SourceError, UsageError
from batchsync.source import fetch, postgres_query
from kit.postgresql_queries import landed, query_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.postgresql import Cluster

_ROWS = "SELECT generate_series(1, {}) AS id, repeat('x', 400) AS text"


@pytest.mark.parametrize("kind", ["postgres", "redshift"])
@pytest.mark.parametrize(
    ("column", "after", "expected"),
    [
        ("updated_at", "2026-01-01 08:00:00+00:00", [8, 9, 10, 11]),
        ("updated_at", "2026-01-01T09:30:00Z", [10, 11]),
        ("id", "9", [9, 10, 11]),
        ("id", "99999999999", []),
    ],
)
def test_bound_is_pushed_down_as_a_value(
    shop: Cluster, tmp_path: Path, kind: str, column: str, after: str, expected: list[int]
) -> None:
    sql = "SELECT id, updated_at, 1::numeric AS n FROM mart.guests UNION ALL SELECT 11, NULL, 1 ORDER BY 1"
    query = query_of(shop, sql, kind=kind, since=Since(column=column), after=after)
    assert landed(query, tmp_path / "into")["id"].to_list() == expected


@pytest.mark.parametrize(
    ("column", "message"), [("name", "cannot compare column 'name' of type text"), ("nope", "has no column 'nope'")]
)
def test_bound_needs_a_column_with_an_order(shop: Cluster, tmp_path: Path, column: str, message: str) -> None:
    query = query_of(shop, "SELECT id, name FROM mart.guests", since=Since(column=column))
    with pytest.raises(UsageError, match=re.escape(message)):
        fetch(source_of(query), tmp_path / "into", since="1' OR true --")


def test_bound_is_no_sql(shop: Cluster, tmp_path: Path) -> None:
    query = query_of(shop, "SELECT id FROM mart.guests", since=Since(column="id"))
    with pytest.raises(SourceError) as caught:
        fetch(source_of(query), tmp_path / "into", since="1) OR (1=1")
    assert "a text is not of the type that it is cast to" in caught.value.message


@pytest.fixture(scope="module", name="portions")
def _portions() -> Iterator[None]:
    """Portions of Redshift of few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_query, "FETCH_ROWS", 3)
        yield


@pytest.mark.usefixtures("portions")
def test_redshift_is_read_in_portions(shop: Cluster, tmp_path: Path) -> None:
    query = query_of(shop, "SELECT id, updated_at FROM mart.guests ORDER BY id DESC", kind="redshift")
    assert landed(query, tmp_path / "into")["id"].to_list() == list(range(10, 0, -1))
    empty = query_of(shop, "SELECT id, 1::numeric AS n FROM mart.guests WHERE false", kind="redshift")
    assert landed(empty, tmp_path / "empty").height == 0
