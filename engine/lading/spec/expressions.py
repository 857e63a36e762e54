"""Looks at SQL expressions from outside: whether they are whole, and which columns they use.

It does not know whether the columns exist or what the functions mean; that is checked against the source by `data`.
"""

from __future__ import annotations

import re

#: Nobody writes a longer one, and the parser behind it works by recursion.
_LENGTH_MAX = 8000
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|['\"()]|[^'\"()]+")


def trouble_in(sql: str) -> str:
    """Say why a text cannot be an expression whatever the columns are; empty when it may be one."""
    if not sql:
        return "an expression without anything after the ="
    if len(sql) > _LENGTH_MAX:
        return f"an expression of {len(sql):,} characters, above {_LENGTH_MAX:,}"
    open_now = 0
    for piece in _TOKEN.findall(sql):
        if piece in {"'", '"'}:
            return f"the expression ends inside of {piece}"
        open_now += (piece == "(") - (piece == ")")
        if open_now < 0:
            return "the expression has a ) without its ("
    return "the expression ends inside of (" if open_now else ""


def columns_of(sql: str) -> frozenset[str] | None:
    """Return the columns that an expression uses, or None when it cannot be told."""
    # Polars takes a third of a second to import, and only removals ask.
    import polars as pl  # noqa: PLC0415 - see above

    try:
        return frozenset(pl.sql_expr(sql).meta.root_names())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError):
        return None
