"""Every rule that a record breaks is found and named, with its value masked; a record that breaks none costs one test.

It does not know how values were made. A check is a test over the columns of a frame; the tests of all checks are
tried at once, and only the rows that one of them marks are asked why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import polars as pl

from lading.core.record_schema import Rule, Severity
from lading.data import names
from lading.data.coerce import is_raw
from lading.data.differing import same
from lading.data.formats import Broken, broken, past
from lading.data.masks import masked
from lading.data.shapes import Constant, Items, Leaf, Members, Record, Repeated, Shape, Value

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.record_schema import RecordSchema

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One way to break a rule. `test` is true where it is broken; `shown` is the masked value, when there is one.

    `repeat` is the list whose source rows the check looks at; None is the record itself. `mark` is a cheaper test that
    is true at least where `test` or the one of a check beside it is; None is `test` itself.
    """

    path: str
    code: str
    test: pl.Expr
    message: str
    shown: pl.Expr | None = None
    severity: Severity = Severity.REFUSE
    repeat: int | None = None
    mark: pl.Expr | None = None


def checks(record: Record, schema: RecordSchema | None, mode: str, now: datetime) -> list[Check]:
    """Return every check of a compiled record."""
    found: list[Check] = []
    _walk(record.root, mode, now, None, found)
    if schema is not None:
        found += _whole(record.root, schema, mode)
    return found


def presence(shape: Shape) -> pl.Expr | bool:
    """Return whether a shape has a value in a row; a constant truth where that is known beforehand."""
    match shape:
        case Constant():
            return True
        case Value(leaf):
            return pl.col(names.leaf(leaf.index)).is_not_null()
        case Repeated():
            return pl.col(names.items(shape.index)) > 0
        case Members():
            parts = [presence(one) for _, one in shape.pairs]
        case Items():
            parts = [presence(one) for one in shape.shapes]
    if any(one is True for one in parts):
        return True
    exprs = [one for one in parts if isinstance(one, pl.Expr)]
    return reduce(or_, exprs) if exprs else False


def _missing(shape: Shape | None, *, cheaply: bool = False) -> pl.Expr | None:
    """Return the test that a member is not there; None when it always is. A blank text counts as missing.

    `cheaply` gives a test that costs less and is true at least where that one is.
    """
    if shape is None:
        return pl.lit(value=True)
    if isinstance(shape, Value) and not is_raw(shape.leaf.kind, shape.leaf.rule):
        column = pl.col(names.leaf(shape.leaf.index))
        # A blank text begins with a blank, and below the first letter there are few other characters.
        blank = (column < "!") | (column > "\x7f") if cheaply else column.str.strip_chars() == ""
        return column.is_null() | blank
    there = presence(shape)
    if there is True:
        return None
    return ~there if isinstance(there, pl.Expr) else pl.lit(value=True)


def _walk(shape: Shape, mode: str, now: datetime, repeat: int | None, found: list[Check]) -> None:
    """Collect the checks of a shape and of all below it."""
    match shape:
        case Value(leaf):
            found += _leaf(leaf, now)
        case Members():
            found += _required(shape, mode, repeat)
            for _, one in shape.pairs:
                _walk(one, mode, now, repeat, found)
        case Items():
            found += _count(shape.path, shape.rule, _number(shape), repeat)
            for one in shape.shapes:
                _walk(one, mode, now, repeat, found)
        case Repeated():
            number = pl.col(names.items(shape.index))
            found += _count(shape.path, shape.rule, number, None)
            if _only_once(shape):
                found.append(Check(shape.path, "distinct", number > 1, "has more than one item, and they say the same"))
            _walk(shape.item, mode, now, shape.index, found)
        case Constant():
            # What it looks like was checked when jobs.yaml was read; what time it is was not known there.
            found += [Check(shape.path, one.code, one.test, one.words, repeat=repeat) for one in _late(shape, now)]


def _only_once(shape: Repeated) -> bool:
    """Whether each item has something that only one item of the list may have."""
    inner, pairs = shape.rule.items, shape.item.pairs if isinstance(shape.item, Members) else ()
    once = inner is not None and inner.extra is not None and inner.extra.once
    return any(
        (name in shape.rule.distinct and isinstance(one, Constant))
        or (once and inner is not None and inner.field(name) is None)
        for name, one in pairs
    )


def _late(shape: Constant, now: datetime) -> list[Broken]:
    """Return the test of a literal that must be in the past."""
    return past(shape.rule, pl.lit(shape.text), now)


def _number(shape: Items) -> pl.Expr:
    """Return how many items a list has in a row."""
    parts = [presence(one) for one in shape.shapes]
    counted = [one.cast(pl.Int64) if isinstance(one, pl.Expr) else pl.lit(int(one)) for one in parts]
    return reduce(lambda one, other: one + other, counted, pl.lit(0))


def _count(path: str, rule: Rule, number: pl.Expr, repeat: int | None) -> list[Check]:
    """Return the checks of a list's length; an empty list is left out and is therefore not too short."""
    found = []
    if rule.max_length is not None:
        message = f"has more than {rule.max_length} items"
        found.append(Check(path, "max_length", number > rule.max_length, message, repeat=repeat))
    if rule.min_length is not None and rule.min_length > 1:
        test = (number > 0) & (number < rule.min_length)
        found.append(Check(path, "min_length", test, f"has fewer than {rule.min_length} items", repeat=repeat))
    return found


def _required(shape: Members, mode: str, repeat: int | None) -> list[Check]:
    """Return the checks that required members are there, when their object is."""
    there = presence(shape) if shape.path else True
    found = []
    for name, rule in shape.rule.fields:
        if not (mode in rule.required_in or "*" in rule.required_in):
            continue
        member = dict(shape.pairs).get(name)
        missing, mark = _missing(member), _missing(member, cheaply=True)
        if missing is None or mark is None or there is False:
            continue
        test, mark = (missing, mark) if there is True else (missing & there, mark & there)
        path = f"{shape.path}.{name}" if shape.path else name
        found.append(Check(path, "required", test, "is required", repeat=repeat, mark=mark))
    return found


def _leaf(leaf: Leaf, now: datetime) -> list[Check]:
    """Return the checks of one value."""
    rule, text = leaf.rule, pl.col(names.leaf(leaf.index)).cast(pl.String)
    found = [] if is_raw(leaf.kind, rule) else broken(rule, leaf.kind, text, now)
    made = [
        Check(leaf.path, one.code, one.test, one.words, masked(text), repeat=leaf.repeat, mark=one.mark)
        for one in found
    ]
    if rule.enum:
        listed = ", ".join(rule.enum[:_SHOWN]) + (", ..." if len(rule.enum) > _SHOWN else "")
        test, words = ~text.is_in(rule.enum), f"must be one of {listed}"
        made.insert(0, Check(leaf.path, "enum", test, words, masked(text), rule.enum_severity, leaf.repeat))
    return made


def _whole(root: Members, schema: RecordSchema, mode: str) -> list[Check]:
    """Return the checks that look at several members: alternatives and conditions."""
    members = dict(root.pairs)
    found = []
    sets = schema.alternatives(mode)
    if sets:
        tests = [_none_whole(members, sets, cheaply=one) for one in (False, True)]
        words = " or ".join(" and ".join(sorted(one)) for one in sets)
        found += [Check("", "any_of", tests[0], f"needs {words}", mark=tests[1])] if tests[0] is not None else []
    for one in schema.conditions:
        if one.modes and mode not in one.modes:
            continue
        holds = _equals(members.get(one.field), one.equals)
        if holds is False:
            continue
        for name in one.required:
            missing, mark = (_missing(members.get(name), cheaply=one) for one in (False, True))
            if missing is not None and mark is not None:
                test, mark = (missing, mark) if holds is True else (missing & holds, mark & holds)
                message = f"is required when {one.field} is {' or '.join(one.equals)}"
                found.append(Check(name, "condition", test, message, mark=mark))
    for name, other in schema.differ:
        if isinstance(alike := same(members.get(name), members.get(other)), pl.Expr):
            found.append(Check(other, "differ", alike, f"is the same as {name}"))
    return found


def _none_whole(members: dict[str, Shape], sets: tuple[frozenset[str], ...], *, cheaply: bool) -> pl.Expr | None:
    """Return the test that no set of members is whole; None when one always is."""
    whole = [_all_there(members, one, cheaply=cheaply) for one in sets]
    if any(one is True for one in whole):
        return None
    tests = [one for one in whole if isinstance(one, pl.Expr)]
    return ~reduce(or_, tests) if tests else pl.lit(value=True)


def _all_there(members: dict[str, Shape], wanted: frozenset[str], *, cheaply: bool) -> pl.Expr | bool:
    """Return whether every wanted member is there; `cheaply` that none of them may be missing."""
    tests = []
    for name in sorted(wanted):
        missing = _missing(members.get(name), cheaply=cheaply)
        if name not in members:
            return False
        if missing is not None:
            tests.append(~missing)
    return reduce(and_, tests) if tests else True


def _equals(shape: Shape | None, values: tuple[str, ...]) -> pl.Expr | bool:
    """Return whether a member has one of the values."""
    match shape:
        case Constant():
            return shape.text in values
        case Value(leaf):
            return pl.col(names.leaf(leaf.index)).cast(pl.String).is_in(values).fill_null(value=False)
        case _:
            return False
