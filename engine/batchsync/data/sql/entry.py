"""From the text of an expression to its polars expression: the only entry of this folder that imports the parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from sqlglot import exp

from batchsync.data.sql.aggregates import AggregatingCompiler
from batchsync.data.sql.compiler import Compiler
from batchsync.data.sql.values import Refusal, Scope, failure_of
from batchsync.util.sql_parser import SqlSyntaxError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.data.sql.reduction import Aggregate

#: Operations within each other; polars recurses, and some thousand overflow its stack.
_DEPTH_MAX = 350
_ALIAS = re.compile(r"""\bas\s+(?:"(?:[^"]|"")*"|\w+)\s*$""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled expression.

    Attributes:
        expr: The polars expression, over the columns of the source and those of the aggregates.
        kind: Type of its result.
        aggregates: The aggregates over the rows of a key that it uses.
    """

    expr: pl.Expr
    kind: pl.DataType
    aggregates: tuple[Aggregate, ...] = ()


def compile_sql(sql: str, schema: Mapping[str, pl.DataType], *, aggregates: bool = False) -> Compiled:
    """Compile an expression, and compute it over no rows.

    Args:
        sql: The expression without its leading `=`.
        schema: The columns that it may use, with their types.
        aggregates: Whether it may contain aggregates over the rows of a key.

    Returns:
        The compiled expression.

    Raises:
        Refusal: If the text is no expression, or cannot be computed.
        RecursionError: If it is nested too deeply.
    """
    try:
        tree = parse(sql)
    except SqlSyntaxError as error:
        where = f" at character {error.column}" if error.column else ""
        raise Refusal(f"{error}{where}", code="expression_depth" if error.is_deep else "expression_syntax") from None
    if _depth(tree) > _DEPTH_MAX:
        raise Refusal(f"the expression has a chain of more than {_DEPTH_MAX} operations", code="expression_depth")
    if isinstance(tree, exp.Alias):
        tree = _without_alias(tree, sql, schema)
    if sql in schema and not (isinstance(tree, exp.Column) and tree.name == sql):
        # A name such as 1st is also an expression: the number 1 with the alias st.
        raise Refusal("it is not parsed as a column", code="expression_syntax")
    compiler = AggregatingCompiler(schema) if aggregates else Compiler(schema)
    expr = compiler.compile(tree, Scope()).expr
    found = tuple(compiler.found.values()) if isinstance(compiler, AggregatingCompiler) else ()
    for item in (item for aggregate in found for item in aggregate.inputs):
        _kind_of(item.expr, schema)
    kind = _kind_of(expr, {**schema, **{aggregate.column: aggregate.kind for aggregate in found}})
    return Compiled(expr, kind, found)


def _kind_of(expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> pl.DataType:
    """Return the type of an expression over no rows.

    Raises:
        Refusal: If it cannot be computed.
    """
    try:
        kind = pl.LazyFrame(schema=schema).select(expr.alias("result")).collect_schema()["result"]
        # Functions check their arguments only when they are called; an empty frame suffices.
        used = {name: schema[name] for name in expr.meta.root_names()}
        pl.DataFrame(schema=used).select(expr)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError) as error:
        if reason := failure_of(error):
            raise Refusal(f"it fails in every row: {reason}") from None
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Refusal(f"it cannot be computed: {lines[0]}", "Cast its parts, as in CAST(x AS TEXT).") from None
    return kind


def _depth(tree: exp.Expr) -> int:
    """Return how deep the polars expression of a tree is. Does not recurse.

    Chains of `||`, AND and OR are flat, and each branch of a CASE is a branch of the one before.
    """
    deepest, pending = 0, [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        deepest = max(deepest, depth)
        below = depth + (len(node.args["ifs"]) if isinstance(node, exp.Case) else 1)
        for child in node.iter_expressions():
            is_flat = isinstance(node, exp.DPipe | exp.And | exp.Or) and type(child) is type(node)
            pending.append((child, depth if is_flat else below))
    return deepest


def _without_alias(tree: exp.Alias, sql: str, schema: Mapping[str, pl.DataType]) -> exp.Expr:
    """Return the expression of `x AS name`; the name has no effect. Two names without AS are a mistake."""
    first: exp.Expr = tree.this
    if not _ALIAS.search(sql):
        if isinstance(first, exp.Column) and first.parts[0].name not in schema:
            raise Refusal(first.parts[0].name, code="unknown_column")
        raise Refusal("two expressions stand side by side", code="expression_syntax")
    return first
