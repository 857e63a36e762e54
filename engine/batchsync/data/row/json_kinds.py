"""Kinds of values of the members of JSON Lines: which members have several, and the types of the others.

polars infers the types of all members at once and gives up at the first with two kinds of values; only then the kinds
are collected line by line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from batchsync.data.frame.numbers import equals_float
from batchsync.data.row.row_reader import inner_types

#: Names of kinds, for messages.
_KINDS: dict[type, str] = {bool: "true or false", int: "a number", Decimal: "a number", str: "a text"}
_KINDS |= {list: "a list", dict: "an object"}
_TEXT, _BOOLEAN, _NUMBER = _KINDS[str], _KINDS[bool], _KINDS[int]
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_TEXT_HINT = "Write it as text, in quotes."
_KIND_HINT = "Export the member with one type."


@dataclass(frozen=True, slots=True)
class MemberProblem:
    """A member whose value would not be read as it is written.

    Attributes:
        message: What is wrong, without the location.
        hint: What would be right.
        line: Number of the line.
    """

    message: str
    hint: str
    line: int = 0


@dataclass(slots=True)
class MemberKinds:
    """Kinds of the values of one member in all lines.

    Attributes:
        lines: For each kind the first line with a value of it; 0 for another file.
        is_fraction: Whether a number has a fraction or an exponent.
        low: Least whole number.
        high: Greatest whole number.
        fields: Kinds of the members of objects.
        items: Kinds of the items of lists.
    """

    lines: dict[str, int] = field(default_factory=dict)
    is_fraction: bool = False
    low: int = 0
    high: int = 0
    fields: dict[str, MemberKinds] = field(default_factory=dict)
    items: MemberKinds | None = None

    def add(self, value: object, line: int) -> None:
        """Add a value, as `json_values.parse_line` returns it. Recurses."""
        if value is None:
            return
        self.lines.setdefault(_KINDS[type(value)], line)
        if isinstance(value, dict):
            for name, inner in value.items():
                self.fields.setdefault(name, MemberKinds()).add(inner, line)
        elif isinstance(value, list):
            self.items = self.items or MemberKinds()
            for item in value:
                self.items.add(item, line)
        elif isinstance(value, Decimal):
            self.is_fraction = True
        elif isinstance(value, int) and not isinstance(value, bool):
            self.low, self.high = min(self.low, value), max(self.high, value)

    def add_type(self, dtype: pl.DataType) -> None:
        """Add the kinds of a type of another file. Recurses."""
        if isinstance(dtype, pl.Struct):
            self.lines.setdefault(_KINDS[dict], 0)
            for item, inner in zip(dtype.fields, inner_types(dtype), strict=True):
                self.fields.setdefault(item.name, MemberKinds()).add_type(inner)
        elif isinstance(dtype, pl.List):
            self.lines.setdefault(_KINDS[list], 0)
            self.items = self.items or MemberKinds()
            self.items.add_type(inner_types(dtype)[0])
        elif dtype != pl.Null:
            self.lines.setdefault(_NUMBER if dtype.is_numeric() else _BOOLEAN if dtype == pl.Boolean else _TEXT, 0)

    def conflict(self, path: str) -> MemberProblem | None:
        """Return the problem of the member, or of a part of it, that has kinds which no type holds, or None. Recurses.

        Args:
            path: Path of the member, for messages.
        """
        if len(self.lines) > 1 and not (_TEXT in self.lines and self.lines.keys() <= {_TEXT, _NUMBER, _BOOLEAN}):
            line = max(self.lines.values())
            here = next(kind for kind, first in self.lines.items() if first == line)
            there = next(kind for kind in self.lines if kind != here)
            return MemberProblem(f"{path!r} is {here} here and {there} in another line", _KIND_HINT, line)
        inner = [(f"{path}.{name}", kinds) for name, kinds in self.fields.items()]
        inner += [(f"{path}[]", self.items)] if self.items else []
        return next((found for name, kinds in inner if (found := kinds.conflict(name))), None)

    def dtype(self) -> pl.DataType:
        """Return the type that polars would infer for the member without conflicts. Recurses."""
        if _KINDS[dict] in self.lines:
            return pl.Struct({name: kinds.dtype() for name, kinds in self.fields.items()})
        if _KINDS[list] in self.lines:
            return pl.List(self.items.dtype() if self.items else pl.Null())
        if _TEXT in self.lines:
            return pl.String()
        if _NUMBER in self.lines:
            whole = pl.Int64() if self.low >= _INT64_MIN and self.high <= _INT64_MAX else pl.Int128()
            return pl.Float64() if self.is_fraction else whole
        return pl.Boolean() if self.lines else pl.Null()


def misread(value: object, dtype: pl.DataType, path: str) -> MemberProblem | None:
    """Return the problem of a value that polars would change when it reads it as a type, or None. Recurses.

    Args:
        value: Value of a member, as `json_values.parse_line` returns it.
        dtype: Type of the member.
        path: Path of the member, for messages.

    Returns:
        The problem of the value or of a part of it.
    """
    if isinstance(value, dict) and isinstance(dtype, pl.Struct):
        types = zip(dtype.fields, inner_types(dtype), strict=True)
        inner = [(value.get(item.name), kind, f"{path}.{item.name}") for item, kind in types]
    elif isinstance(value, list) and isinstance(dtype, pl.List):
        inner = [(item, inner_types(dtype)[0], f"{path}[]") for item in value]
    else:
        return _misread_scalar(value, dtype, path)
    return next((found for item in inner if (found := misread(*item))), None)


def _misread_scalar(value: object, dtype: pl.DataType, path: str) -> MemberProblem | None:
    """Return the problem of a value that is no list of a list column and no object of an object column."""
    if dtype == pl.String and isinstance(value, dict | list):
        return MemberProblem(f"{path!r} is {_KINDS[type(value)]} here and a text in another line", _KIND_HINT)
    if isinstance(value, Decimal) and (dtype.is_float() or dtype == pl.String) and not equals_float(value):
        return MemberProblem(f"{path!r} is a number that would lose digits: a float holds 15 to 17", _TEXT_HINT)
    if isinstance(value, int) and dtype.is_float() and not equals_float(value):
        problem = f"{path!r} is a whole number that would lose digits because other lines have fractions"
        hint = "Write it as text, in quotes, or export this member without fractions in all lines."
        return MemberProblem(problem, hint)
    return None
