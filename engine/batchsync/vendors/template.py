"""Fills the placeholders of a vendor spec with values. It knows no vendor, and that a path is no place for raw text."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from lading.core.vendor_rules import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownValueError(Exception):
    """A placeholder stands for something that is not known here."""

    def __init__(self, name: str) -> None:
        """Keep the placeholder's name."""
        super().__init__(f"nothing is known for {{{name}}}")
        self.name = name


def fill(template: str, values: Mapping[str, str | int | None]) -> str | int | None:
    """Return the template with its values. A template that is one placeholder keeps the kind of its value.

    None is what an optional placeholder stands for when it is absent.

    Raises:
        UnknownValueError: when a placeholder that is not optional has no value.
    """
    whole = PLACEHOLDER.fullmatch(template)
    if whole:
        return _value(whole[1], values, optional=bool(whole[2]))
    return _replaced(template, values, quoted=False)


def fill_path(template: str, values: Mapping[str, str | int | None]) -> str:
    """Return a path with its values, each quoted so that it stays one segment."""
    return _replaced(template, values, quoted=True)


def fill_all(template: Mapping[str, object], values: Mapping[str, str | int | None]) -> dict[str, object]:
    """Return the members with their values; members that come out absent are left out."""
    filled = {name: fill(one, values) if isinstance(one, str) else one for name, one in template.items()}
    return {name: value for name, value in filled.items() if value is not None}


def _replaced(template: str, values: Mapping[str, str | int | None], *, quoted: bool) -> str:
    out, at = [], 0
    for match in PLACEHOLDER.finditer(template):
        value = _value(match[1], values, optional=bool(match[2]))
        text = "" if value is None else str(value)
        out += [template[at : match.start()], _segment(text) if quoted else text]
        at = match.end()
    return "".join([*out, template[at:]])


def _value(name: str, values: Mapping[str, str | int | None], *, optional: bool) -> str | int | None:
    value = values.get(name)
    if value is None and not optional:
        raise UnknownValueError(name)
    return value


def _segment(text: str) -> str:
    """Return the text as one path segment; `.` and `..` would be walked, not sent."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
