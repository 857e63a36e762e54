"""Forecast as a JSON-compatible dictionary, for a plan file."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from batchsync.core.forecast import Basis, Forecast
from batchsync.core.json_values import number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MICROSECOND = timedelta(microseconds=1)
#: Longest duration that is read, in microseconds. No forecast is longer.
_LONGEST = timedelta.max // _MICROSECOND


def forecast_to_dict(forecast: Forecast) -> dict[str, Any]:
    """Return a forecast as a dictionary; durations are in microseconds."""
    values = {item.name: getattr(forecast, item.name) for item in fields(forecast)}
    return {name: value // _MICROSECOND if isinstance(value, timedelta) else value for name, value in values.items()}


def forecast_from_dict(values: Mapping[str, Any]) -> Forecast:
    """Return the forecast that `forecast_to_dict` returned.

    Raises:
        KeyError: If a member is missing.
        TypeError: If a member is of another type.
        ValueError: If a member has a value that no forecast has.
    """
    read: dict[str, Any] = {}
    for item in fields(Forecast):
        value, kind = values[item.name], str(item.type)
        optional = kind.endswith(" | None")
        read[item.name] = None if optional and value is None else _READERS[kind.removesuffix(" | None")](value)
    found = Forecast(**read)
    if not (found.files and found.rows_per_file and found.in_flight and found.days):
        message = "a forecast without batches"
        raise ValueError(message)
    return found


def _duration(value: object) -> timedelta:
    return min(number(value), _LONGEST) * _MICROSECOND


_READERS: dict[str, Callable[[Any], object]] = {
    "int": number,
    "str": text,
    "timedelta": _duration,
    "Basis": Basis,
}
