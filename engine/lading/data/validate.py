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

from lading.core.record_schema import Format, Rule, Severity
from lading.data import names
from lading.data.coerce import is_raw
from lading.data.differing import same
from lading.data.masks import masked
from lading.data.shapes import Constant, Items, Leaf, Members, Record, Repeated, Shape, Value

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.record_schema import RecordSchema

#: Any moment that exists but those of a leap day: what passes needs no second look.
_SURE = (
    r"^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]"
)
#: A moment in UTC: minutes at least, then seconds, then fractions.
_DATETIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?Z$"
_FORMATS = {
    # No counted repetition: it makes the test twenty times as slow.
    Format.EMAIL: r'^[^\s@"(),:;<>\[\]\\\x00-\x1f]+@([\p{L}\p{N}][\p{L}\p{N}-]*\.)+\p{L}[\p{L}\p{N}-]+$',
    Format.UUID: r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    Format.DATETIME: _DATETIME,
    Format.DATETIME_NO_MILLIS: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z$",
    Format.COUNTRY: r"^[A-Z]{2}$",
    Format.LANGUAGE: r"^[A-Za-z]{2}$",
    Format.CURRENCY: r"^[A-Z]{3}$",
    Format.IATA: r"^[A-Z]{3}$",
}
_FORMAT_WORDS = {
    Format.EMAIL: "an e-mail address",
    Format.UUID: "a UUID",
    Format.DATETIME: "a UTC moment such as 2025-03-07T16:15:11.000Z",
    Format.DATETIME_NO_MILLIS: "a UTC moment without milliseconds such as 1985-12-24T00:00Z",
    Format.COUNTRY: "two capital letters (ISO 3166-1)",
    Format.LANGUAGE: "two letters (ISO 639)",
    Format.CURRENCY: "three capital letters (ISO 4217)",
    Format.IATA: "three capital letters (IATA)",
}
_SHOWN = 8
_NEVER = pl.lit(value=False)
#: The longest address that mail systems carry (RFC 5321).
_EMAIL_MAX = 254


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


def _missing(shape: Shape | None) -> pl.Expr | None:
    """Return the test that a member is not there; None when it always is. An empty text counts as missing."""
    if shape is None:
        return pl.lit(value=True)
    if isinstance(shape, Value) and not is_raw(shape.leaf.kind, shape.leaf.rule):
        column = pl.col(names.leaf(shape.leaf.index))
        return column.is_null() | (column == "")
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
            found += _count(shape.path, shape.rule, pl.col(names.items(shape.index)), None)
            _walk(shape.item, mode, now, shape.index, found)
        case Constant():
            pass


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
        missing = _missing(dict(shape.pairs).get(name))
        if missing is None or there is False:
            continue
        test = missing if there is True else missing & there
        path = f"{shape.path}.{name}" if shape.path else name
        found.append(Check(path, "required", test, "is required", repeat=repeat))
    return found


def _leaf(leaf: Leaf, now: datetime) -> list[Check]:
    """Return the checks of one value."""
    rule, text = leaf.rule, pl.col(names.leaf(leaf.index)).cast(pl.String)
    found: list[_Broken] = []
    if not is_raw(leaf.kind, rule):
        found += _format(rule, text) if rule.format is not None and not leaf.kind.is_temporal() else []
        found += _text(rule, text, now)
    made = [
        Check(leaf.path, one.code, one.test, one.words, masked(text), repeat=leaf.repeat, mark=one.mark)
        for one in found
    ]
    if rule.enum:
        listed = ", ".join(rule.enum[:_SHOWN]) + (", ..." if len(rule.enum) > _SHOWN else "")
        test, words = ~text.is_in(rule.enum), f"must be one of {listed}"
        made.insert(0, Check(leaf.path, "enum", test, words, masked(text), rule.enum_severity, leaf.repeat))
    return made


@dataclass(frozen=True, slots=True)
class _Broken:
    """A way to break the rule of one value, and the cheaper test for it."""

    code: str
    test: pl.Expr
    words: str
    mark: pl.Expr | None = None


def _format(rule: Rule, text: pl.Expr) -> list[_Broken]:
    """Return the tests of a named format; a typed date or moment was written in it and needs none."""
    if rule.format is None:
        return []
    test, words = ~text.str.contains(_FORMATS[rule.format]), f"must be {_FORMAT_WORDS[rule.format]}"
    if rule.format is Format.EMAIL:
        long = _Broken(
            "format",
            text.str.len_chars() > _EMAIL_MAX,
            f"is longer than {_EMAIL_MAX} characters",
            text.str.len_bytes() > _EMAIL_MAX,
        )
        return [_Broken("format", test, words), long]
    if rule.format in (Format.DATETIME, Format.DATETIME_NO_MILLIS):
        tail = _FORMATS[rule.format].rpartition("[0-9]{2}:[0-9]{2}")[2]
        unsure = ~text.str.contains(_SURE + tail)
        missing = "is a day or an hour that does not exist"
        return [_Broken("format", test, words, unsure), _Broken("format", _no_such_day(text), missing, _NEVER)]
    return [_Broken("format", test, words)]


def _text(rule: Rule, text: pl.Expr, now: datetime) -> list[_Broken]:
    """Return the tests of a text's shape, length and moment."""
    found = []
    if rule.pattern:
        found.append(_Broken("pattern", ~text.str.contains(rule.pattern), f"must match {rule.pattern}"))
    if rule.max_length is not None:
        test, mark = text.str.len_chars() > rule.max_length, text.str.len_bytes() > rule.max_length
        found.append(_Broken("max_length", test, f"is longer than {rule.max_length} characters", mark))
    if rule.min_length is not None:
        test = text.str.len_chars() < rule.min_length
        found.append(_Broken("min_length", test, f"is shorter than {rule.min_length} characters"))
    if rule.past:
        test = text.str.head(16) > now.strftime("%Y-%m-%dT%H:%M")
        found.append(_Broken("past", test, "must be in the past", text > now.strftime("%Y-%m-%dT%H:%M")))
    return found


def _no_such_day(text: pl.Expr) -> pl.Expr:
    """Return the test for a text that looks like a moment and is none (30 February, hour 25)."""
    minute = text.str.head(16)
    looks = text.str.contains(_DATETIME)
    return looks & minute.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, cache=False).is_null()


def _whole(root: Members, schema: RecordSchema, mode: str) -> list[Check]:
    """Return the checks that look at several members: alternatives and conditions."""
    members = dict(root.pairs)
    found = []
    sets = schema.alternatives(mode)
    if sets:
        whole = [_all_there(members, one) for one in sets]
        if not any(one is True for one in whole):
            tests = [one for one in whole if isinstance(one, pl.Expr)]
            words = " or ".join(" and ".join(sorted(one)) for one in sets)
            test = ~reduce(or_, tests) if tests else pl.lit(value=True)
            found.append(Check("", "any_of", test, f"needs {words}"))
    for one in schema.conditions:
        if one.modes and mode not in one.modes:
            continue
        holds = _equals(members.get(one.field), one.equals)
        if holds is False:
            continue
        for name in one.required:
            missing = _missing(members.get(name))
            if missing is not None:
                test = missing if holds is True else missing & holds
                message = f"is required when {one.field} is {' or '.join(one.equals)}"
                found.append(Check(name, "condition", test, message))
    for name, other in schema.differ:
        if isinstance(alike := same(members.get(name), members.get(other)), pl.Expr):
            found.append(Check(other, "differ", alike, f"is the same as {name}"))
    return found


def _all_there(members: dict[str, Shape], wanted: frozenset[str]) -> pl.Expr | bool:
    """Return whether every wanted member is there."""
    tests = []
    for name in sorted(wanted):
        missing = _missing(members.get(name))
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
