"""Checks of records, and the records that break them with their reasons: values are masked.

A check is a boolean expression over the columns of a frame. All checks are evaluated at once; reasons are computed
only for the rows that match.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add, and_, or_
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Rule, Severity
from batchsync.data.frame import columns
from batchsync.data.mapping.coerce import is_raw
from batchsync.data.mapping.compiled import item_type
from batchsync.data.mapping.distinct import is_same
from batchsync.data.mapping.evaluate import masked_value
from batchsync.data.mapping.formats import before_now, violations
from batchsync.data.mapping.shapes import (
    Constant,
    FixedList,
    Leaf,
    ListValue,
    Members,
    Record,
    RepeatedList,
    Shape,
    Value,
    presence,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from batchsync.core.record_schema import RecordSchema
    from batchsync.data.mapping.records import MappedRecords

#: Columns of invalid records; `reason` contains masked values only.
INVALID_RECORDS = {
    columns.ROW: pl.Int64,
    columns.KEY: pl.String,
    "field": pl.String,
    "code": pl.String,
    "reason": pl.String,
}
#: Maximum number of allowed values that a message lists.
_LISTED = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One way to break a rule.

    Attributes:
        path: Path of the member; empty for the whole record.
        code: Code of the rule.
        test: True where the rule is broken.
        message: The sentence, without the path.
        masked: Masked value, if there is one.
        severity: Whether the record is refused or the rule only warns.
        repeat: Index of the `each:` list whose source rows are checked; None for the record itself.
        prefilter: A cheaper test that is true at least where `test`, or that of a check of the same rule, is true; None
            is `test` itself.
    """

    path: str
    code: str
    test: pl.Expr
    message: str
    masked: pl.Expr | None = None
    severity: Severity = Severity.REFUSE
    repeat: int | None = None
    prefilter: pl.Expr | None = None


def checks(record: Record, schema: RecordSchema | None, mode: str, now: datetime) -> list[Check]:
    """Return every check of a compiled record.

    Args:
        record: Compiled record.
        schema: Record schema of the vendor, if it has one.
        mode: Vendor mode of the job.
        now: Time that rules about the past refer to.

    Returns:
        The checks.
    """
    found: list[Check] = []
    _walk(record.root, mode, now, None, found)
    if schema is None:
        return found
    # Checks of several members: alternatives, conditions, members that must differ.
    members = dict(record.root.pairs)
    if sets := schema.alternatives(mode):
        tests = [_no_set_complete(members, sets, cheap=item) for item in (False, True)]
        message = " or ".join(" and ".join(sorted(item)) for item in sets)
        found += [Check("", "any_of", tests[0], f"needs {message}", prefilter=tests[1])] if tests[0] is not None else []
    for condition in schema.conditions:
        if condition.modes and mode not in condition.modes:
            continue
        holds = _equals(members.get(condition.field), condition.equals)
        if holds is False:
            continue
        for name in condition.required:
            missing, prefilter = (_missing(members.get(name), cheap=item) for item in (False, True))
            if missing is not None and prefilter is not None:
                test, prefilter = (missing, prefilter) if holds is True else (missing & holds, prefilter & holds)
                message = f"is required when {condition.field} is {' or '.join(condition.equals)}"
                found.append(Check(name, "condition", test, message, prefilter=prefilter))
    for name, other in schema.differ:
        if isinstance(equal := is_same(members.get(name), members.get(other)), pl.Expr):
            found.append(Check(other, "differ", equal, f"is the same as {name}"))
    return found


def _missing(shape: Shape | None, *, cheap: bool = False) -> pl.Expr | None:
    """Return the test that a member is absent; None if it never is. A blank string counts as absent.

    With `cheap`, the test costs less and is true at least where the exact one is.
    """
    if shape is None:
        return pl.lit(value=True)
    if isinstance(shape, Value) and not is_raw(shape.leaf.kind, shape.leaf.rule):
        column = pl.col(columns.leaf_column(shape.leaf.index))
        # A blank string begins with white space, of which all sorts below "!" or above ASCII.
        blank = (column < "!") | (column > "\x7f") if cheap else column.str.strip_chars() == ""
        return column.is_null() | blank
    present = presence(shape)
    if present is True:
        return None
    return ~present if isinstance(present, pl.Expr) else pl.lit(value=True)


def _walk(shape: Shape, mode: str, now: datetime, repeat: int | None, found: list[Check]) -> None:
    """Collect the checks of a shape and of its descendants."""
    match shape:
        case Value(leaf):
            found += _value_checks(leaf, now)
        case ListValue(leaf):
            found += _list_checks(leaf, now)
        case Members():
            found += _required(shape, mode, repeat)
            for _, item in shape.pairs:
                _walk(item, mode, now, repeat, found)
        case FixedList():
            counts = [_item_count(item) for item in shape.shapes]
            found += _length_checks(shape.path, shape.rule, reduce(add, counts, pl.lit(0)), repeat)
            for item in shape.shapes:
                _walk(item, mode, now, repeat, found)
        case RepeatedList():
            number = pl.col(columns.count_column(shape.index))
            found += _length_checks(shape.path, shape.rule, number, None)
            if _has_unique_constant(shape):
                found.append(Check(shape.path, "distinct", number > 1, "has more than one item with the same value"))
            _walk(shape.item, mode, now, shape.index, found)
        case Constant():
            # The format of literals was checked with jobs.yaml, but not whether they are in the past.
            found += [
                Check(shape.path, item.code, item.test, item.message, repeat=repeat)
                for item in before_now(shape.rule, pl.lit(shape.text), now)
            ]


def _item_count(shape: Shape) -> pl.Expr:
    """Return the number of items that a part of a list gives."""
    if isinstance(shape, ListValue):
        return pl.col(columns.items_column(shape.leaf.index)).list.len().fill_null(0).cast(pl.Int64)
    present = presence(shape)
    return present.cast(pl.Int64) if isinstance(present, pl.Expr) else pl.lit(int(present))


def _list_checks(leaf: Leaf, now: datetime) -> list[Check]:
    """Return the checks of the items of a list."""
    kind = item_type(leaf.kind)
    found = _value_checks(replace(leaf, kind=kind), now, pl.element().cast(pl.String)) if kind is not None else []
    items = pl.col(columns.items_column(leaf.index))
    return [
        replace(
            item,
            test=items.list.eval(item.test).list.any(),
            masked=None,
            prefilter=None,
            message=f"an item {item.message}",
        )
        for item in found
    ]


def _has_unique_constant(shape: RepeatedList) -> bool:
    """Return whether each item contains a value that only one item of the list may have."""
    inner, pairs = shape.rule.items, shape.item.pairs if isinstance(shape.item, Members) else ()
    once = inner is not None and inner.extra is not None and inner.extra.unique
    return any(
        (name in shape.rule.distinct and isinstance(item, Constant))
        or (once and inner is not None and inner.field(name) is None)
        for name, item in pairs
    )


def _length_checks(path: str, rule: Rule, number: pl.Expr, repeat: int | None) -> list[Check]:
    """Return the checks of a list's length; an empty list is left out of the record and therefore not too short."""
    found = []
    if rule.max_length is not None:
        message = f"has more than {rule.max_length} items"
        found.append(Check(path, "max_length", number > rule.max_length, message, repeat=repeat))
    if rule.min_length is not None and rule.min_length > 1:
        test = (number > 0) & (number < rule.min_length)
        found.append(Check(path, "min_length", test, f"has fewer than {rule.min_length} items", repeat=repeat))
    return found


def _required(shape: Members, mode: str, repeat: int | None) -> list[Check]:
    """Return the checks that required members are present, if their object is."""
    present = presence(shape) if shape.path else True
    found = []
    for name, rule in shape.rule.fields:
        if not (mode in rule.required_in or "*" in rule.required_in):
            continue
        member = dict(shape.pairs).get(name)
        missing, prefilter = _missing(member), _missing(member, cheap=True)
        if missing is None or prefilter is None or present is False:
            continue
        test, prefilter = (missing, prefilter) if present is True else (missing & present, prefilter & present)
        path = f"{shape.path}.{name}" if shape.path else name
        found.append(Check(path, "required", test, "is required", repeat=repeat, prefilter=prefilter))
    return found


def _value_checks(leaf: Leaf, now: datetime, value: pl.Expr | None = None) -> list[Check]:
    """Return the checks of one value, by default of that in the column of the leaf."""
    rule, text = leaf.rule, pl.col(columns.leaf_column(leaf.index)).cast(pl.String) if value is None else value
    found = [] if is_raw(leaf.kind, rule) else violations(rule, leaf.kind, text, now)
    made = [
        Check(
            leaf.path,
            item.code,
            item.test,
            item.message,
            masked_value(text),
            repeat=leaf.repeat,
            prefilter=item.prefilter,
        )
        for item in found
    ]
    if rule.enum:
        listed = ", ".join(rule.enum[:_LISTED]) + (", ..." if len(rule.enum) > _LISTED else "")
        test, message = ~text.is_in(rule.enum), f"must be one of {listed}"
        made.insert(0, Check(leaf.path, "enum", test, message, masked_value(text), rule.enum_severity, leaf.repeat))
    return made


def _no_set_complete(members: dict[str, Shape], sets: tuple[frozenset[str], ...], *, cheap: bool) -> pl.Expr | None:
    """Return the test that no set of members is complete; None if one always is."""
    complete: list[pl.Expr] = []
    for wanted in sets:
        if not wanted <= members.keys():
            continue
        missing = [_missing(members[name], cheap=cheap) for name in sorted(wanted)]
        tests = [~test for test in missing if test is not None]
        if not tests:
            return None
        complete.append(reduce(and_, tests))
    return ~reduce(or_, complete) if complete else pl.lit(value=True)


def _equals(shape: Shape | None, values: tuple[str, ...]) -> pl.Expr | bool:
    """Return whether a member has one of the values."""
    match shape:
        case Constant():
            return shape.text in values
        case Value(leaf):
            return pl.col(columns.leaf_column(leaf.index)).cast(pl.String).is_in(values).fill_null(value=False)
        case _:
            return False


def split_invalid(mapped: MappedRecords, rules: Sequence[Check], warnings: dict[str, int]) -> pl.DataFrame:
    """Return the invalid records of mapped records with all their reasons, and count warnings.

    Args:
        mapped: Mapped records.
        rules: Checks of the record.
        warnings: Violations of rules that only warn, by rule; counted up in place.

    Returns:
        The columns `INVALID_RECORDS`, one row per record.
    """
    every = [
        Check(
            value.leaf.path,
            value.code,
            pl.col(value.column),
            value.message,
            pl.col(value.masked),
            repeat=value.leaf.repeat,
        )
        for value in mapped.invalid_values
    ]
    every += rules
    found = _invalid_rows(mapped.heads, [item for item in every if item.repeat is None], columns.ROW, warnings)
    if mapped.rows is None:
        return found
    inner = _invalid_rows(mapped.rows, [item for item in every if item.repeat is not None], columns.HEAD, warnings)
    return merge_reasons(found, inner)


def merge_reasons(invalid: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Return invalid records with further reasons: one row per record, whose first reason decides field and code.

    Args:
        invalid: Invalid records, with the columns `INVALID_RECORDS`.
        more: Further reasons, with the same columns.

    Returns:
        The same columns, in source order.
    """
    if not more.height:
        return invalid
    first = [pl.col(name).first() for name in (columns.KEY, "field", "code")]
    reasons = pl.col("reason").str.join("; ")
    whole = pl.concat([invalid, more.select(invalid.columns)])
    return whole.group_by(columns.ROW, maintain_order=True).agg(*first, reasons).sort(columns.ROW)


def _invalid_rows(frame: pl.DataFrame, rules: list[Check], row: str, warnings: dict[str, int]) -> pl.DataFrame:
    """Return the rows that break a rule. One boolean expression over all rows; reasons only for matching rows."""
    refusing = [rule for rule in rules if rule.severity is Severity.REFUSE]
    warning = [rule for rule in rules if rule.severity is Severity.WARN]
    if warning:
        counts = frame.select(check.test.fill_null(value=False).sum().alias(str(i)) for i, check in enumerate(warning))
        for check, count in zip(warning, counts.row(0), strict=True):
            if count:
                name = f"{check.path}: {check.message}"
                warnings[name] = warnings.get(name, 0) + count
    if not refusing or not frame.height:
        return pl.DataFrame(schema=INVALID_RECORDS)
    prefilters = [check.test if check.prefilter is None else check.prefilter for check in refusing]
    candidates = frame.filter(pl.any_horizontal(prefilters))
    bad = candidates.filter(pl.any_horizontal([check.test for check in refusing])) if candidates.height else candidates
    if not bad.height:
        return pl.DataFrame(schema=INVALID_RECORDS)
    tests = bad.select(check.test.fill_null(value=False).any().alias(str(i)) for i, check in enumerate(refusing)).row(0)
    refusing = [check for check, hit in zip(refusing, tests, strict=True) if hit]
    reasons = []
    for check in refusing:
        reason: pl.Expr = pl.lit(f"{check.path} {check.message}".strip())
        if check.masked is not None:
            reason = pl.coalesce(pl.concat_str([reason, pl.lit(", is "), check.masked]), reason)
        reasons.append(pl.when(check.test).then(reason))
    return bad.select(
        pl.col(row).alias(columns.ROW),
        columns.KEY,
        pl.coalesce(pl.when(check.test).then(pl.lit(check.path)) for check in refusing).alias("field"),
        pl.coalesce(pl.when(check.test).then(pl.lit(check.code)) for check in refusing).alias("code"),
        pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias("reason"),
    )
