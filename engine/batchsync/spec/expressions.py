"""Static analysis of SQL expressions: the columns they use. Existence of columns and functions is checked by `data`."""

from __future__ import annotations


def columns_of(sql: str) -> frozenset[str] | None:
    """Return the columns that an expression uses; None if they cannot be determined."""
    # Importing polars takes a third of a second; only removals need it.
    from batchsync.util import polars_sql  # noqa: PLC0415 - see above

    found = polars_sql.columns_of(sql)
    return None if found is None else frozenset(found)
