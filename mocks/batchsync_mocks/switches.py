"""Switches: each selects a behaviour where a vendor's documentation is contradictory or silent.

Every vendor declares its switches as fields of a frozen dataclass, with description and accepted values as metadata.
The defaults follow the vendor references.
"""

from __future__ import annotations

from dataclasses import MISSING, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field

    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")
_MAX = 1e12


def choice(default: str | int, *others: str | int, description: str) -> Any:
    """Return the field of a switch with a few accepted values.

    Args:
        default: Default value.
        others: Other accepted values.
        description: Text for `--list` and the documentation.
    """
    return field(default=default, metadata={"choices": (default, *others), "description": description})


def flag(*, default: bool = False, description: str) -> Any:
    """Return the field of a boolean switch."""
    return field(default=default, metadata={"choices": (False, True), "description": description})


def non_negative(default: float, *, description: str) -> Any:
    """Return the field of a switch that accepts a number from 0 up."""
    return field(default=default, metadata={"choices": None, "description": description})


def positive_or_null(default: int | None, *, description: str) -> Any:
    """Return the field of a switch that accepts a whole number from 1 up, or null for no limit."""
    return field(default=default, metadata={"choices": (), "description": description})


def structure(accepts: Callable[[object], bool], *, form: str, description: str) -> dict[str, Any]:
    """Return the metadata of the field of a switch that takes null and values of a form.

    Args:
        accepts: Return whether a value is null or has the form.
        form: Description of the form.
        description: Text for `--list` and the documentation.
    """
    return {"choices": accepts, "form": form, "description": description}


def with_switches(switches: S, changes: Mapping[str, Any]) -> S:
    """Return a copy of the switches with some values changed.

    Raises:
        ValueError: If a switch is unknown, or does not accept the value; the text lists what it accepts.
    """
    known = {switch.name: switch for switch in fields(switches)}
    for name, value in changes.items():
        if name not in known:
            msg = f"Unknown switch {name[:60]!r}; available: {', '.join(known)}."
            raise ValueError(msg)
        if not _accepts(known[name], _as_written(known[name], value)):
            msg = f"The switch {name} takes {accepted_values(known[name])}."
            raise ValueError(msg)
    return replace(switches, **{name: _as_written(known[name], value) for name, value in changes.items()})


def _as_written(switch: Field[Any], value: Any) -> Any:
    """Return a version such as 2.1 as a text, if the switch takes texts: JSON and YAML read it as a number."""
    choices = switch.metadata["choices"]
    takes_texts = isinstance(choices, tuple) and bool(choices) and all(isinstance(item, str) for item in choices)
    return str(value) if takes_texts and isinstance(value, float) else value


def accepted_values(switch: Field[Any]) -> str:
    """Return a description of the values that a switch accepts."""
    match switch.metadata["choices"]:
        case None:
            return "a number from 0 up"
        case ():
            return "a whole number from 1 up, or null"
        case choices if callable(choices):
            return f"{switch.metadata['form']}, or null"
        case choices:
            return " or ".join("true" if c is True else "false" if c is False else str(c) for c in choices)


def describe(switches_type: type[DataclassInstance]) -> list[tuple[str, str, str, str]]:
    """Return a vendor's switches: name, default, accepted values, description."""
    return [
        (
            switch.name,
            _to_text(switch.default if switch.default is not MISSING else None),
            accepted_values(switch),
            str(switch.metadata["description"]),
        )
        for switch in fields(switches_type)
    ]


def _to_text(value: object) -> str:
    """Return a value as `--list` prints it."""
    return {True: "true", False: "false", None: "null"}[value] if isinstance(value, bool | None) else str(value)


def _accepts(switch: Field[Any], value: object) -> bool:
    """Return whether a switch accepts a value."""
    choices = switch.metadata["choices"]
    if choices is None:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MAX
    if choices == ():
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)
    if callable(choices):
        return bool(choices(value))
    # True equals 1 in Python, but a switch that accepts 1 must not accept true.
    return any(type(value) is type(c) and value == c for c in choices)
