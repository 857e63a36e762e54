"""Validation of records against the record schemas of a vendor. Values of CSV files are texts of any kind."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MINUTE = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}"
_FORMATS = {
    "email": r"[^\s@\"(),:;<>\[\]\\]{1,64}@([^\W_][\w-]*\.)+[^\W\d_][\w-]+",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "country": r"[A-Z]{2}",
    "language": r"[A-Za-z]{2}",
    "currency": r"[A-Z]{3}",
    "iata": r"[A-Z]{3}",
    "datetime": rf"{_MINUTE}(:\d{{2}}(\.\d{{1,9}})?)?Z",
    "datetime_no_millis": rf"{_MINUTE}(:\d{{2}})?Z",
    "datetime_minutes": rf"{_MINUTE}Z",
}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "scalar": (str, int, float, bool),
}
_TEXTS = {
    "integer": re.compile(r"[+-]?\d+"),
    "number": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "boolean": re.compile(r"true|false|0|1|yes|no", re.IGNORECASE),
}
Rule = Mapping[str, Any]


def problem(record: Any, schema: Mapping[str, Any], mode: str, *, now: float, as_text: bool) -> str:
    """Return why a vendor would refuse a record; empty if nothing in the schema forbids it.

    Args:
        record: The record.
        schema: The record schema, as its file states it.
        mode: Mode of the record.
        now: Time that rules about the past refer to, in epoch seconds.
        as_text: Whether all values are texts, as in a CSV file.
    """
    if mode not in schema["modes"]:
        return f"mode {mode} is not supported"
    checker = _Checker(mode, now, as_text=as_text)
    root = {"kind": "object", "fields": schema.get("fields") or {}, "extra": schema.get("extra")}
    return next(checker.problems(record, root, ""), "") or next(_across(record, schema, mode), "")


class _Checker:
    """Validation of a record in a mode."""

    def __init__(self, mode: str, now: float, *, as_text: bool) -> None:
        self._mode, self._now, self._as_text = mode, now, as_text

    def problems(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        """Yield the problems of a value."""
        kind = rule["kind"]
        if kind == "any":
            return
        if not self._is_of_kind(value, kind):
            yield f"{at or 'the record'} must be of type {kind}"
        elif isinstance(value, dict):
            yield from self._members(value, rule, at)
        elif isinstance(value, list):
            yield from _length(len(value), rule, at, "items")
            yield from self._items(value, rule, at)
        else:
            yield from self._scalar(value, rule, at)

    def _is_of_kind(self, value: Any, kind: str) -> bool:
        if self._as_text and isinstance(value, str):
            return kind not in _TEXTS or _TEXTS[kind].fullmatch(value.strip()) is not None
        is_boolean = isinstance(value, bool)
        return isinstance(value, _KINDS[kind]) and (not is_boolean or kind in {"boolean", "scalar"})

    def _members(self, value: Mapping[str, Any], rule: Rule, at: str) -> Iterator[str]:
        """Yield the problems of an object."""
        fields, extra = rule.get("fields") or {}, rule.get("extra")
        prefix = f"{at}." if at else ""
        for name, inner in fields.items():
            if is_absent(value.get(name)):
                if {"*", self._mode} & set(inner.get("required_in") or ()):
                    yield f"{prefix}{name} is required"
            else:
                yield from self.problems(value[name], inner, f"{prefix}{name}")
        others = [name for name in value if name not in fields]
        if extra is None:
            yield from (f"{prefix}{name} is not known" for name in others if not is_absent(value[name]))
            return
        if len(others) > extra["most"]:
            yield f"{at or 'the record'} has more than {extra['most']} further members"
        for name in others:
            if not _found(extra["pattern"], name):
                yield f"{prefix}{name} is not known"
            elif not is_absent(value[name]):
                yield from self.problems(value[name], {"kind": extra.get("kind", "scalar")}, f"{prefix}{name}")

    def _items(self, value: Sequence[Any], rule: Rule, at: str) -> Iterator[str]:
        """Yield the problems of the items of a list."""
        inner = rule.get("items")
        for number, item in enumerate(value if inner else ()):
            yield from self.problems(item, inner or {}, f"{at}.{number}")
        objects = [item for item in value if isinstance(item, dict)]
        for name in rule.get("distinct") or ():
            values = [repr(item.get(name)) for item in objects]
            if len(set(values)) < len(values):
                yield f"{at} has several items with the same {name}"

    def _scalar(self, value: Any, rule: Rule, at: str) -> Iterator[str]:
        """Yield the problems of a text, number or boolean."""
        text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        if rule.get("enum") and rule.get("enum_severity", "refuse") == "refuse" and text not in rule["enum"]:
            yield f"{at} must be one of {', '.join(rule['enum'][:8])}"
        if not isinstance(value, str):
            return
        named = rule.get("format")
        if named and not re.fullmatch(_FORMATS.get(named, ".*"), text, re.DOTALL):
            yield f"{at} must be in the format {named}"
        elif named and named.startswith("datetime") and _moment(text) is None:
            yield f"{at} is a time that does not exist"
        if rule.get("pattern") and not _found(rule["pattern"], text):
            yield f"{at} must match {rule['pattern']}"
        yield from _length(len(text), rule, at, "characters")
        at_time = _moment(text) if rule.get("past") else None
        if at_time is not None and at_time > self._now:
            yield f"{at} must be in the past"


def _across(record: Mapping[str, Any], schema: Mapping[str, Any], mode: str) -> Iterator[str]:
    """Yield the problems that concern several members of a record."""
    present = {name for name, value in record.items() if not is_absent(value)}
    allowed = (schema.get("fields_in") or {}).get(mode)
    if allowed is not None:
        yield from (f"{name} is not allowed in mode {mode}" for name in sorted(present - set(allowed)))
    any_of = schema.get("any_of") or {}
    sets = any_of.get(mode, any_of.get("*", []))
    if sets and not any(present >= set(wanted) for wanted in sets):
        yield f"needs {' or '.join(' and '.join(wanted) for wanted in sets)}"
    for condition in schema.get("conditions") or ():
        applies = not condition.get("modes") or mode in condition["modes"]
        if applies and str(record.get(condition["field"])) in condition["equals"]:
            missing = [name for name in condition["required"] if name not in present]
            yield from (f"{name} is required when {condition['field']} is set so" for name in missing)
    for name, other in schema.get("differ") or ():
        if {name, other} <= present and record[name] == record[other]:
            yield f"{other} is the same as {name}"


def is_absent(value: Any) -> bool:
    """Return whether a value counts as absent: null, or a blank text."""
    return value is None or (isinstance(value, str) and not value.strip())


def _length(length: int, rule: Rule, at: str, unit: str) -> Iterator[str]:
    """Yield the problem of a length in characters or items."""
    if rule.get("max_length") is not None and length > rule["max_length"]:
        yield f"{at} has more than {rule['max_length']} {unit}"
    if rule.get("min_length") is not None and length < rule["min_length"]:
        yield f"{at} has fewer than {rule['min_length']} {unit}"


@functools.cache
def _expression(pattern: str) -> re.Pattern[str] | None:
    """Return a regular expression; None if it uses what only other engines have, such as Unicode classes."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _found(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text, or cannot be evaluated."""
    expression = _expression(pattern)
    return expression is None or expression.search(text) is not None


def _moment(text: str) -> float | None:
    """Return a UTC timestamp in epoch seconds; None if there is no such time."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
