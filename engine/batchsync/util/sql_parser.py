"""Parse SQL expressions of jobs.yaml into syntax trees: the only module that configures `sqlglot`.

The grammar is PostgreSQL's. Calls keep the names that were written, because what a function does is decided by the
compiler in `data`, and not by the parser. Nothing is resolved or evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.parsers.postgres import PostgresParser

from batchsync.core.expression_text import objection_to

if TYPE_CHECKING:
    from collections.abc import Callable

#: Functions whose arguments are separated by keywords.
_WITH_KEYWORDS = ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM")
_SPECIAL = {name: PostgresParser.FUNCTION_PARSERS[name] for name in _WITH_KEYWORDS}


class SqlSyntaxError(ValueError):
    """Text that is no expression.

    Attributes:
        column: Character of the expression at which it ends to be one, from 1; 0 if unknown.
        is_deep: Whether the expression is nested too deeply, rather than wrong.
    """

    def __init__(self, message: str, column: int = 0, *, is_deep: bool = False) -> None:
        """Keep where the error was found."""
        super().__init__(message)
        self.column = column
        self.is_deep = is_deep


class _Expressions(Postgres):
    """PostgreSQL's grammar without knowledge of functions."""

    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _SPECIAL
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[[Any], Any]]] = {
            "CASE": PostgresParser.NO_PAREN_FUNCTION_PARSERS["CASE"],
        }


def parse(sql: str) -> exp.Expr:
    """Parse an expression.

    Args:
        sql: The expression without its leading `=`.

    Returns:
        The syntax tree; it may contain what expressions must not, such as queries.

    Raises:
        SqlSyntaxError: If the text is no single expression.
    """
    if (objection := objection_to(sql)) is not None:
        raise SqlSyntaxError(objection.message, is_deep=objection.is_deep)
    try:
        trees = sqlglot.parse(sql, dialect=_Expressions, error_level=ErrorLevel.IMMEDIATE)
    except RecursionError:
        raise SqlSyntaxError("the expression is nested too deeply", is_deep=True) from None
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        column = details[0].get("col") or 0
        raise SqlSyntaxError(str(details[0].get("description") or error).strip().rstrip("."), column) from None
    if len(trees) != 1 or trees[0] is None:
        raise SqlSyntaxError("not a single expression")
    return trees[0]


def column_of(node: exp.Expr) -> str | None:
    """Return the column of the source that a node names; None for other nodes.

    Of a path such as `address.city` it is the first part.
    """
    if not isinstance(node, exp.Column):
        return None
    parts = node.parts
    return str(parts[0].name) if parts else None


def columns_of(sql: str) -> list[str] | None:
    """Return the columns of an expression in the order of use, or None if it cannot be parsed."""
    try:
        tree = parse(sql)
    except SqlSyntaxError:
        return None
    names = (column_of(node) for node in tree.dfs() if isinstance(node, exp.Column))
    return list(dict.fromkeys(name for name in names if name))


def has_call(sql: str, names: frozenset[str]) -> bool:
    """Return whether an expression calls a function of one of the names; False if it cannot be parsed."""
    try:
        tree = parse(sql)
    except SqlSyntaxError:
        return False
    return any(str(node.this).lower() in names for node in tree.find_all(exp.Anonymous))
