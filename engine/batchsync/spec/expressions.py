"""Static analysis of SQL expressions: the columns they use. Existence of columns and functions is checked by `data`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.expression_text import AGGREGATES

if TYPE_CHECKING:
    from types import ModuleType


def columns_of(sql: str) -> frozenset[str] | None:
    """Return the columns that an expression uses; None if they cannot be determined."""
    found = _parser().columns_of(sql)
    return None if found is None else frozenset(found)


def combines_rows(sql: str) -> bool:
    """Return whether an expression contains an aggregate over the rows of a key."""
    found: bool = _parser().has_call(sql, AGGREGATES)
    return found


def _parser() -> ModuleType:
    # The import of the parser takes longer than many commands; only removals need it.
    from batchsync.util import sql_parser  # noqa: PLC0415 - see above

    return sql_parser
