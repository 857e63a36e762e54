"""Named switches: each turns one place where a vendor's documents disagree or are silent from our reading to another.

It does not know which switches there are: every vendor lists its own in one frozen dataclass, whose fields carry what
they mean and which values they take. The defaults are the readings of the vendor references.
"""

from __future__ import annotations

from dataclasses import MISSING, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
_MOST = 1e12


def choice(default: str | int, *others: str | int, says: str) -> Any:
    """Declare a switch between a few words or numbers; the first is the reading of the reference."""
    return field(default=default, metadata={"choices": (default, *others), "says": says})


def flag(*, default: bool = False, says: str) -> Any:
    """Declare a switch that is on or off."""
    return field(default=default, metadata={"choices": (False, True), "says": says})


def amount(default: float, *, says: str) -> Any:
    """Declare a number from 0 up."""
    return field(default=default, metadata={"choices": None, "says": says})


def bound(default: int | None, *, says: str) -> Any:
    """Declare a whole number from 1 up, or null for no bound."""
    return field(default=default, metadata={"choices": (), "says": says})


def turned(switches: S, given: Mapping[str, Any]) -> S:
    """Give the switches, a dataclass whose fields were made by the functions above, with some of them turned.

    Raises:
        ValueError: there is no such switch, or it does not take this value; the text says what it takes.
    """
    known = {one.name: one for one in fields(switches)}
    for name, value in given.items():
        if name not in known:
            msg = f"There is no switch {name[:60]!r}; there are {', '.join(known)}."
            raise ValueError(msg)
        if not _takes(known[name], value):
            msg = f"The switch {name} takes {domain(known[name])}."
            raise ValueError(msg)
    return replace(switches, **given)


def domain(one: Field[Any]) -> str:
    """Say which values a switch takes."""
    match one.metadata["choices"]:
        case None:
            return "a number from 0 up"
        case ():
            return "a whole number from 1 up, or null"
        case choices:
            return " or ".join("true" if c is True else "false" if c is False else str(c) for c in choices)


def table(kind: type[DataclassInstance]) -> list[tuple[str, str, str, str]]:
    """List a vendor's switches: name, default, values, meaning."""
    return [
        (one.name, _spelt(one.default if one.default is not MISSING else None), domain(one), str(one.metadata["says"]))
        for one in fields(kind)
    ]


def _spelt(value: object) -> str:
    return {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)


def _takes(one: Field[Any], value: object) -> bool:
    choices = one.metadata["choices"]
    if choices is None:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST
    if choices == ():
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)
    # True equals 1 in Python, and a switch that takes 1 must not take true.
    return any(type(value) is type(c) and value == c for c in choices)
