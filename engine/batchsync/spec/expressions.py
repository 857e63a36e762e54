"""Looks at SQL expressions from outside: which columns they use.

It does not know whether the columns exist or what the functions mean; that is checked against the source by `data`.
"""

from __future__ import annotations


def columns_of(sql: str) -> frozenset[str] | None:
    """Return the columns that an expression uses, or None when it cannot be told."""
    # Polars takes a third of a second to import, and only removals ask.
    from lading import polars_sql  # noqa: PLC0415 - see above

    found = polars_sql.columns_of(sql)
    return None if found is None else frozenset(found)
