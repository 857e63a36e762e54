"""Compile the settings of a vendor in a connection, and validate them against the vendor spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.spec.interpolate import Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.model_validator import kind_of
from batchsync.spec.models_connection import ConnectionModel
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.core.vendor_settings import Setting
    from batchsync.spec.interpolate import TypedEntry
    from batchsync.spec.problems import Problems


def compile_settings(entries: Iterable[TypedEntry], settings: Iterable[Setting], problems: Problems) -> dict[str, str]:
    """Return the chosen values of the settings of a vendor, and report keys and values that it does not have.

    Args:
        entries: Keys of the connection that not every connection has.
        settings: Settings of the vendor.
        problems: Receives the problems.

    Returns:
        Valid values by setting.
    """
    known = {item.name: item for item in settings}
    chosen = {}
    for entry in entries:
        if entry.key not in known:
            keys = [*ConnectionModel.model_fields, *known]
            message = f"unknown key {quoted(entry.key)}"
            problems.add("unknown_key", entry.start, message, one_of(keys), problems.suggest(entry.key, keys))
        elif (value := _value(entry, known[entry.key], problems)) is not None:
            chosen[entry.key] = value
    return chosen


def _value(entry: TypedEntry, setting: Setting, problems: Problems) -> str | None:
    """Return the value of a setting; None after reporting a problem."""
    node = entry.value
    if isinstance(node, Broken):
        return None
    if not isinstance(node, Value):
        problems.add("value", node.start, f"{quoted(entry.key)} is {kind_of(node)}", one_of(setting.choices))
        return None
    written = text_of(node)
    if written in setting.choices:
        return written
    message = f"{quoted(entry.key)} cannot be {quoted(written)}"
    problems.add("value", node.start, message, one_of(setting.choices), problems.suggest(written, setting.choices))
    return None


def text_of(node: Value) -> str:
    """Return the text of a scalar as it is written: `2.0` is a version, not a number."""
    if isinstance(node.value, str):
        return node.value
    return str(node.value).lower() if "${" in node.raw else node.raw
