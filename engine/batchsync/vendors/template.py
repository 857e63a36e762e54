"""Substitution of placeholders in templates of a vendor spec."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from batchsync.core.vendor_calls import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownValueError(Exception):
    """A required placeholder has no value."""

    def __init__(self, name: str) -> None:
        """Create an error about a placeholder, by its full name."""
        super().__init__(f"no value for {{{name}}}")
        self.name = name


def fill(template: str, values: Mapping[str, str | int | None]) -> str | int | None:
    """Return a template with its placeholders replaced.

    A template that consists of a single placeholder keeps the type of its value; it is None if the placeholder is
    optional and has no value.

    Raises:
        UnknownValueError: If a required placeholder has no value.
    """
    whole = PLACEHOLDER.fullmatch(template)
    if whole:
        return _lookup(whole[1], values, optional=bool(whole[2]))
    return _substitute(template, values, quote_segments=False)


def fill_path(template: str, values: Mapping[str, str | int | None]) -> str:
    """Return a URL path with its placeholders replaced, each value quoted as a path segment."""
    return _substitute(template, values, quote_segments=True)


def fill_all(template: Mapping[str, object], values: Mapping[str, str | int | None]) -> dict[str, object]:
    """Return a mapping with the placeholders in its values replaced at any depth.

    Members and items whose optional placeholder has no value are left out.

    Raises:
        UnknownValueError: If a required placeholder has no value.
    """
    filled = {name: _fill_node(item, values) for name, item in template.items()}
    return {name: value for name, value in filled.items() if value is not None}


def _fill_node(node: object, values: Mapping[str, str | int | None]) -> object:
    """Return a JSON value with its placeholders replaced; None for an optional placeholder without a value."""
    if isinstance(node, str):
        return fill(node, values)
    if isinstance(node, list):
        return [value for value in (_fill_node(item, values) for item in node) if value is not None]
    return fill_all(node, values) if isinstance(node, dict) else node


def _substitute(template: str, values: Mapping[str, str | int | None], *, quote_segments: bool) -> str:
    """Return a template with its placeholders replaced by text."""
    out, at = [], 0
    for match in PLACEHOLDER.finditer(template):
        value = _lookup(match[1], values, optional=bool(match[2]))
        text = "" if value is None else str(value)
        out += [template[at : match.start()], _quote_segment(text) if quote_segments else text]
        at = match.end()
    return "".join([*out, template[at:]])


def _lookup(name: str, values: Mapping[str, str | int | None], *, optional: bool) -> str | int | None:
    """Return the value of a placeholder; raise if it is required and missing."""
    value = values.get(name)
    if value is None and not optional:
        raise UnknownValueError(name)
    return value


def _quote_segment(text: str) -> str:
    """Return a text quoted as a path segment; `.` and `..` would be resolved by the server."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
