"""Compile a syntax tree to a polars expression, node by node. A node that is not in the allow-list is refused.

Branches of CASE, IF and COALESCE and right sides of AND and OR are computed only in rows that need them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
from sqlglot import exp

from batchsync.data.sql import number_functions, pattern_functions, time_functions
from batchsync.data.sql.arithmetic import calculate, compare, shift
from batchsync.data.sql.casts import cast, common
from batchsync.data.sql.catalog import find
from batchsync.data.sql.nodes import (
    CALCULATIONS,
    CHAINS,
    COMPARISONS,
    LOOSE,
    any_of,
    chosen,
    condition,
    constant_cast,
    is_hash,
    is_parse,
    joined,
    like_parts,
    member_of,
    not_allowed,
    number_of_branch,
    offset_of,
    parentheses,
    path_names,
    target_of,
)
from batchsync.data.sql.pattern_functions import array_contains, checked_json, item_of, like, matches, member_path
from batchsync.data.sql.text_functions import starts_with, strpos, substring, trim
from batchsync.data.sql.values import (
    BOOLEAN,
    Refusal,
    Scope,
    Typed,
    boolean,
    broadcast,
    common_kind,
    name_of,
    null,
    number_as_written,
    number_constant,
    once,
    string_constant,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Compiler:
    """Compiles the nodes of an expression over the columns of a schema."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        """Keep the columns and their types."""
        self._schema = schema
        self._handlers: dict[type[exp.Expr], tuple[Callable[..., Typed], frozenset[str]]] = {
            kind: (handler, frozenset(arguments.split()))
            for kinds, handler, arguments in (
                ((exp.Column,), self._column, "this table db catalog"),
                ((exp.Literal,), self._literal, "this is_string"),
                ((exp.Null,), lambda _node, _scope: null(), ""),
                ((exp.Boolean,), lambda node, _scope: boolean(pl.lit(bool(node.this), dtype=BOOLEAN)), "this"),
                ((exp.Paren,), self._paren, "this"),
                ((exp.Neg,), self._minus, "this"),
                ((exp.Not,), self._not, "this"),
                ((exp.Pow,), self._power, "this expression"),
                (tuple(COMPARISONS), self._comparison, "this expression"),
                ((exp.Is,), self._is, "this expression negate"),
                ((exp.In,), self._in, "this expressions"),
                ((exp.Between,), self._between, "this low high"),
                ((exp.Like, exp.ILike, exp.Escape), self._like, "this expression negate"),
                ((exp.RegexpLike, exp.RegexpILike), self._match, "this expression negate"),
                ((exp.StartsWith,), self._starts_with, "this expression"),
                ((exp.Case,), self._case, "this ifs default"),
                ((exp.Cast,), self._cast, "this to"),
                ((exp.TryCast,), self._cast, "this to safe"),
                ((exp.Anonymous,), self._call, "this expressions"),
                ((exp.Substring,), self._substring, "this start length"),
                ((exp.StrPosition,), self._position, "this substr"),
                ((exp.Trim,), self._trim, "this expression position"),
                ((exp.Extract,), self._extract, "this expression"),
                ((exp.AtTimeZone,), self._zone, "this zone"),
                ((exp.Bracket,), self._item, "this expressions offset"),
                ((exp.Dot,), self._dot, "this expression"),
                ((exp.JSONExtractScalar, exp.JSONBExtractScalar), self._json, "this expression only_json_types"),
            )
            for kind in kinds
        }

    def compile(self, node: exp.Expr, scope: Scope) -> Typed:
        """Compile a node.

        Args:
            node: The node.
            scope: Where it stands.

        Returns:
            The compiled part.

        Raises:
            Refusal: If the node, or one below it, is not allowed or cannot be computed.
        """
        return broadcast(self._chain(node, scope) if isinstance(node, CHAINS) else self._compile(node, scope))

    def _compile(self, node: exp.Expr, scope: Scope) -> Typed:
        handler, arguments = self._handlers.get(type(node), (None, frozenset()))
        given = {name for name, value in node.args.items() if value not in (None, False, [])}
        if handler is None or given - arguments - {"safe", "is_string"}:
            raise not_allowed(node)
        found = handler(node, scope)
        return boolean(~found.expr) if node.args.get("negate") else found

    def _chain(self, node: exp.Expr, scope: Scope) -> Typed:
        """Compile a chain of operators from its left end, because long chains are as deep as they are long."""
        pending: list[exp.Expr] = []
        while isinstance(node, CHAINS):
            pending.append(node)
            node = node.this
        first: exp.Expr | None = node
        value = null() if isinstance(node, exp.Interval) else self.compile(node, scope)
        run: list[Typed] = []
        undecided, before = scope, node
        while pending:
            operator = pending.pop()
            right = operator.expression
            if type(operator) in CALCULATIONS:
                value = self._calculate(scope, operator, (first, value), right)
            else:
                before = before if run else operator.this
                run = run or [value]
                if not isinstance(operator, exp.DPipe):
                    # What is right of AND and OR is computed only where the left does not decide.
                    undecided = undecided.within(self._continues(operator, before, scope))
                run.append(self.compile(right, undecided))
                before = right
                if not (pending and type(pending[-1]) is type(operator)):
                    value, run, undecided = joined(scope, operator, run), [], scope
            first = None
        return value

    def _continues(self, operator: exp.Expr, left: exp.Expr, scope: Scope) -> pl.Expr:
        """Return where a left operand of AND or OR does not decide."""
        if not scope.strict:
            return pl.lit(value=True)
        test = self._probe(left, scope).fill_null(value=isinstance(operator, exp.And))
        return test if isinstance(operator, exp.And) else ~test

    def _probe(self, node: exp.Expr, scope: Scope) -> pl.Expr:
        """Return a condition that decides where other parts are computed."""
        return condition(self.compile(node, scope.probing()))

    def _calculate(
        self, scope: Scope, operator: exp.Expr, left: tuple[exp.Expr | None, Typed], right: exp.Expr
    ) -> Typed:
        sign = CALCULATIONS[type(operator)]
        if isinstance(right, exp.Interval) and sign in ("+", "-"):
            return shift(scope, left[1], offset_of(right, negative=sign == "-"))
        other = self.compile(right, scope)
        if isinstance(left[0], exp.Interval):
            if sign != "+":
                raise not_allowed(operator)
            return shift(scope, other, offset_of(left[0], negative=False))
        return calculate(scope, sign, left[1], other)

    def _column(self, node: exp.Column, _: Scope) -> Typed:
        names = [part.name for part in node.parts]
        if names[0] not in self._schema:
            raise Refusal(names[0], code="unknown_column")
        found = Typed(pl.col(names[0]), self._schema[names[0]])
        for name in names[1:]:
            found = member_of(found, name)
        return found

    def _literal(self, node: exp.Literal, _: Scope) -> Typed:
        if node.is_string:
            return string_constant(str(node.this))
        return number_as_written(str(node.this))

    def _paren(self, node: exp.Paren, scope: Scope) -> Typed:
        return self.compile(node.this, scope)

    def _minus(self, node: exp.Neg, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Pow):
            raise parentheses(node)
        value = self.compile(node.this, scope)
        if isinstance(value.constant, int | Decimal):
            return number_constant(-value.constant)
        return number_functions.minus(scope, value)

    def _power(self, node: exp.Pow, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Pow | exp.Neg) or isinstance(node.expression, exp.Pow):
            raise parentheses(node)
        return number_functions.power(scope, [self.compile(item, scope) for item in (node.this, node.expression)])

    def _not(self, node: exp.Not, scope: Scope) -> Typed:
        return boolean(~condition(self.compile(node.this, scope)))

    def _comparison(self, node: exp.Binary, scope: Scope) -> Typed:
        if isinstance(node.this, LOOSE) or isinstance(node.expression, LOOSE):
            raise parentheses(node)
        left, right = node.this, node.expression
        if isinstance(right, exp.Anonymous) and str(right.this).lower() in ("any", "some") and isinstance(node, exp.EQ):
            return array_contains(scope, [self.compile(item, scope) for item in (*right.expressions, left)])
        return compare(scope, COMPARISONS[type(node)], self.compile(left, scope), self.compile(right, scope))

    def _is(self, node: exp.Is, scope: Scope) -> Typed:
        if isinstance(node.this, (*COMPARISONS, exp.Not)):
            raise parentheses(node)
        value = self.compile(node.this, scope)
        if isinstance(node.expression, exp.Null):
            return boolean(value.expr.is_null())
        if isinstance(node.expression, exp.Boolean):
            return boolean(condition(value).eq_missing(pl.lit(bool(node.expression.this))))
        raise not_allowed(node)

    def _in(self, node: exp.In, scope: Scope) -> Typed:
        if not node.expressions:
            raise Refusal("IN needs at least one value in parentheses", code="expression_syntax")
        parts = [self.compile(item, scope) for item in (node.this, *node.expressions)]
        kind = common_kind(parts, "IN")
        if kind == pl.Null or kind.is_nested():
            raise Refusal(f"IN does not compare {name_of(kind)}")
        value, *items = common(scope, parts, "IN", kind)
        written = [part.constant for part in parts[1:]]
        if kind in (pl.String, pl.Int64) and all(
            isinstance(item, str if kind == pl.String else int) for item in written
        ):
            return boolean(value.expr.is_in(pl.Series(written, dtype=kind).implode()))
        return boolean(any_of([value.expr == item.expr for item in items]))

    def _between(self, node: exp.Between, scope: Scope) -> Typed:
        value, low, high = (self.compile(item, scope) for item in (node.this, node.args["low"], node.args["high"]))
        return boolean(compare(scope, ">=", value, low).expr & compare(scope, "<=", value, high).expr)

    def _like(self, node: exp.Expr, scope: Scope) -> Typed:
        inner, pattern, escape = like_parts(node)
        value = self.compile(inner.this, scope)
        found = like(value, pattern, escape=escape, ignore_case=isinstance(inner, exp.ILike))
        return boolean(~found.expr) if inner is not node and inner.args.get("negate") else found

    def _match(self, node: exp.Binary, scope: Scope) -> Typed:
        if isinstance(node.expression, exp.DPipe):
            raise parentheses(node)
        value, pattern = self.compile(node.this, scope), self.compile(node.expression, scope)
        return matches(scope, value, pattern, ignore_case=isinstance(node, exp.RegexpILike))

    def _starts_with(self, node: exp.StartsWith, scope: Scope) -> Typed:
        return starts_with(scope, [self.compile(item, scope) for item in (node.this, node.expression)])

    def _case(self, node: exp.Case, scope: Scope) -> Typed:
        branches = node.args["ifs"]
        tests: list[pl.Expr] = []
        probes: list[pl.Expr] = []
        rest = scope
        for branch in branches:
            tests.append(self._branch_test(node.this, branch.this, rest))
            probes.append(self._branch_test(node.this, branch.this, scope.probing()) if scope.strict else tests[-1])
            rest = rest.within(~probes[-1].fill_null(value=False))
        taken, count = number_of_branch(probes), len(tests)
        values = [
            self.compile(branch.args["true"], scope.within(taken == index, count))
            for index, branch in enumerate(branches)
        ]
        default = node.args.get("default")
        values.append(null() if default is None else self.compile(default, scope.within(taken == count, count)))
        return chosen(scope, tests, values, "CASE")

    def _branch_test(self, operand: exp.Expr | None, test: exp.Expr, scope: Scope) -> pl.Expr:
        found = self.compile(test, scope)
        return condition(found if operand is None else compare(scope, "=", self.compile(operand, scope), found))

    def _cast(self, node: exp.Cast, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        target = target_of(node.args["to"])
        if value.untyped and isinstance(value.constant, str) and not isinstance(node, exp.TryCast):
            return constant_cast(value, target)
        scope = scope.trying() if isinstance(node, exp.TryCast) else scope
        return once(scope, [value], lambda inner, parts: cast(inner, parts[0], target))

    def _call(self, node: exp.Anonymous, scope: Scope) -> Typed:
        name, nodes = str(node.this), node.expressions
        if name.lower() == "encode" and nodes and is_hash(nodes[0]):
            # encode(sha256(x::bytea), 'hex'): our hashes are in hexadecimal already.
            if [item.name for item in nodes[1:]] != ["hex"]:
                raise Refusal("a hash is written in hexadecimal", "Write sha256(x).")
            return self.compile(nodes[0], scope)
        found = find(name, len(nodes))
        if found.build is not None:
            return once(scope, [self.compile(item, scope) for item in nodes], found.build)
        return {"coalesce": self._coalesce, "nullif": self._nullif, "if": self._if}[found.name](nodes, scope)

    def _coalesce(self, nodes: list[exp.Expr], scope: Scope) -> Typed:
        """Compile COALESCE: each value only where those before it are null."""
        values: list[Typed] = []
        rest = scope
        for index, node in enumerate(nodes):
            tries = index < len(nodes) - 1 and all(is_parse(item) for item in nodes[index:])
            values.append(self._tried(node, rest) if tries else self.compile(node, rest))
            if scope.strict:
                rest = rest.within(self.compile(node, scope.probing()).expr.is_null())
        kind = common_kind(values, "COALESCE")
        return Typed(pl.coalesce([part.expr for part in common(scope, values, "COALESCE", kind)]), kind)

    def _tried(self, node: exp.Expr, scope: Scope) -> Typed:
        """Compile a parse that gives null where its format does not fit."""
        found = find(str(node.this), len(node.expressions))
        arguments = [self.compile(item, scope) for item in node.expressions]
        return found.build(scope.trying(), arguments) if found.build else null()

    def _nullif(self, nodes: list[exp.Expr], scope: Scope) -> Typed:
        def build(inner: Scope, parts: list[Typed]) -> Typed:
            equal = compare(inner, "=", *parts).expr
            return Typed(pl.when(equal.fill_null(value=False).not_()).then(parts[0].expr), parts[0].kind)

        return once(scope, [self.compile(item, scope) for item in nodes], build)

    def _if(self, nodes: list[exp.Expr], scope: Scope) -> Typed:
        test = condition(self.compile(nodes[0], scope))
        probe = self._probe(nodes[0], scope)
        values = [self.compile(nodes[1], scope.within(probe))]
        otherwise = scope.within(~probe.fill_null(value=False))
        values += [self.compile(item, otherwise) for item in nodes[2:]] or [null()]
        return chosen(scope, [test], values, "IF")

    def _substring(self, node: exp.Substring, scope: Scope) -> Typed:
        start = node.args.get("start")
        if start is None and node.args.get("length") is None:
            raise Refusal("SUBSTRING needs a start", "Write SUBSTRING(x, 1, 3).")
        parts = [self.compile(node.this, scope)]
        parts.append(number_constant(1) if start is None else self.compile(start, scope))
        if node.args.get("length") is not None:
            parts.append(self.compile(node.args["length"], scope))
        elif isinstance(parts[1].constant, str):
            return pattern_functions.pattern_part(*parts)
        return once(scope, parts, substring)

    def _position(self, node: exp.StrPosition, scope: Scope) -> Typed:
        return strpos(scope, [self.compile(item, scope) for item in (node.this, node.args["substr"])])

    def _trim(self, node: exp.Trim, scope: Scope) -> Typed:
        sides = {"LEADING": "strip_chars_start", "TRAILING": "strip_chars_end"}
        characters = node.args.get("expression")
        side = sides.get(str(node.args.get("position") or "").upper(), "strip_chars")
        removed = None if characters is None else self.compile(characters, scope)
        return trim(self.compile(node.this, scope), removed, side)

    def _extract(self, node: exp.Extract, scope: Scope) -> Typed:
        return time_functions.extract(str(node.this.name), self.compile(node.expression, scope))

    def _zone(self, node: exp.AtTimeZone, scope: Scope) -> Typed:
        zone = node.args["zone"]
        if not (isinstance(zone, exp.Literal) and zone.is_string):
            raise Refusal("AT TIME ZONE takes the name of a zone in single quotes", "Write x AT TIME ZONE 'UTC'.")
        return time_functions.at_time_zone(scope, self.compile(node.this, scope), zone.this)

    def _item(self, node: exp.Bracket, scope: Scope) -> Typed:
        [index, *others] = node.expressions
        if others or not (isinstance(index, exp.Literal) and not index.is_string and str(index.this).isdecimal()):
            raise Refusal(
                "an index in square brackets must be a whole number from 1", "Write tags[1] for the first item."
            )
        return item_of(self.compile(node.this, scope), int(index.this))

    def _dot(self, node: exp.Dot, scope: Scope) -> Typed:
        if not isinstance(node.expression, exp.Identifier):
            raise not_allowed(node)
        return member_of(self.compile(node.this, scope), node.expression.name)

    def _json(self, node: exp.Expr, scope: Scope) -> Typed:
        names: list[str] = []
        step: exp.Expr = node
        while isinstance(step, exp.JSONExtract | exp.JSONExtractScalar | exp.JSONBExtract | exp.JSONBExtractScalar):
            names[:0] = path_names(step.expression)
            step = step.this
        return checked_json(scope, self.compile(step, scope), member_path(names))
