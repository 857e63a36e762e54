"""Queries of a PostgreSQL cluster as sources, and their landed rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.data.row.open_source import open_source
from batchsync.source import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from kit.postgresql import Cluster


def database_of(
    cluster: Cluster, kind: str = "postgres", timeout: timedelta = timedelta(hours=1), **more: Any
) -> Database:
    settings = {"host": str(cluster.folder), "port": cluster.port, "dbname": "shop", "user": "test"} | more
    return Database(name="warehouse", kind=kind, server=Server(**settings), statement_timeout=timeout)


def query_of(cluster: Cluster, sql: str = "", **more: Any) -> Query:
    names = {"table", "written", "file", "since", "after"}
    of_query = {name: more.pop(name) for name in names & set(more)}
    return Query(database=database_of(cluster, **more), sql=sql, **of_query)


def source_of(query: Query) -> Source:
    return Source(path=query.title, folder="/", key=("id",), query=query)


def landed(query: Query, into: Path, **options: Any) -> pl.DataFrame:
    opened = open_source(fetch(source_of(query), into, since=query.after or None, **options))
    return pl.concat([pl.read_parquet(file) for file in opened.files]).cast(dict(opened.schema))
