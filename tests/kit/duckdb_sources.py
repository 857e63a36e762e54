"""Sources by DuckDB: what they land, and what refuses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query
from batchsync.errors import BatchsyncError
from batchsync.source import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


ROW_VALUE = "hopper@example.com"


def filled(path: Path, *statements: str) -> Path:
    """Return a database after some statements."""
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def source_of(
    folder: Path, sql: str = "", *, path: Path | None = None, roots: Sequence[str] = (), **options: Any
) -> Source:
    """Return a source that reads a statement by DuckDB, of a database or of files."""
    database = Database(name="lake", kind="duckdb", path=str(path or ""), folder=str(folder), roots=tuple(roots))
    query = Query(database=database, sql=sql, **options)
    return Source(path=query.title, folder=str(folder), key=("id",), query=query)


def read(source: Source, into: Path, **options: Any) -> pa.Table:
    """Land a source and return its rows."""
    landed = fetch(source, into, **options)
    assert not (into / "spill").exists()
    return pa.concat_tables([pq.read_table(part.path) for part in landed.parts])


def refusal(source: Source, into: Path) -> BatchsyncError:
    """Return the error that refuses a source; nothing is left, and no value is in its words."""
    with pytest.raises(BatchsyncError) as caught:
        read(source, into)
    assert not into.exists() or not list(into.iterdir())
    assert ROW_VALUE not in f"{caught.value} {caught.value.hint}"
    assert caught.value.exit_code == 3
    return caught.value
