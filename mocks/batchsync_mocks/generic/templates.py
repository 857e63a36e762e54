"""Templates of requests: what a request has in place of the placeholders, and JSON documents by pointers."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

#: `{idempotency_key}`, `{allocation.id}`, ...; a trailing `?` makes it optional.
PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z_][A-Za-z0-9_]*)?)(\?)?\}")


class MismatchError(Exception):
    """Error for a value that differs from a template: the text names the member."""


def names_of(template: str) -> list[str]:
    """Return the names of the placeholders in a text, in order."""
    return [found[1] for found in PLACEHOLDER.finditer(template)]


def whole_placeholder(template: object) -> str:
    """Return the name of the placeholder that a text consists of; empty if it contains anything else."""
    found = PLACEHOLDER.fullmatch(template) if isinstance(template, str) else None
    return found[1] if found else ""


@functools.cache
def compiled(template: str, part: str = ".+") -> re.Pattern[str]:
    """Return the expression for a template, with a group for each placeholder.

    Args:
        template: The template.
        part: Expression for the value of a placeholder.
    """
    out, at = [], 0
    for found in PLACEHOLDER.finditer(template):
        out += [re.escape(template[at : found.start()]), f"({part})?" if found[2] else f"({part})"]
        at = found.end()
    return re.compile("".join([*out, re.escape(template[at:])]), re.DOTALL)


def capture_text(template: str, text: str) -> dict[str, Any]:
    """Return the values of the placeholders of a template in a text.

    Raises:
        MismatchError: If the text differs from the template.
    """
    found = compiled(template).fullmatch(text)
    if found is None:
        raise MismatchError
    return {name: value for name, value in zip(names_of(template), found.groups(), strict=True) if value is not None}


def capture(template: object, value: object, at: str = "") -> dict[str, Any]:
    """Return the values of the placeholders of a template in a JSON value. Further members are ignored.

    Args:
        template: JSON with placeholders in its texts; one that is a whole text stands for any value.
        value: The value.
        at: Path of the value, for the error.

    Raises:
        MismatchError: If a member is missing or has another value.
    """
    if name := whole_placeholder(template):
        return {name: value}
    if isinstance(template, str) and names_of(template):
        try:
            return capture_text(template, str(value))
        except MismatchError:
            raise MismatchError(at or "the document") from None
    if isinstance(template, Mapping) and isinstance(value, Mapping):
        return _capture_members(template, value, at)
    if isinstance(template, list) and isinstance(value, list):
        return _capture_items(template, value, at)
    if type(template) is not type(value) or template != value:
        raise MismatchError(at or "the document")
    return {}


def _capture_members(template: Mapping[str, Any], value: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the values of the placeholders of an object."""
    captured: dict[str, Any] = {}
    for name, inner in template.items():
        place = f"{at}.{name}" if at else name
        if name in value:
            captured |= capture(inner, value[name], place)
        elif not _is_optional(inner):
            raise MismatchError(place)
    return captured


def _capture_items(template: list[Any], value: list[Any], at: str) -> dict[str, Any]:
    """Return the values of the placeholders of a list, in which optional items may be left out."""
    captured: dict[str, Any] = {}
    rest = list(value)
    for number, inner in enumerate(template):
        if rest:
            captured |= capture(inner, rest.pop(0), f"{at}.{number}")
        elif not _is_optional(inner):
            raise MismatchError(f"{at}.{number}")
    return captured


def _is_optional(template: object) -> bool:
    """Return whether a member of a template may be left out."""
    if isinstance(template, str):
        found = PLACEHOLDER.fullmatch(template)
        return bool(found and found[2])
    if isinstance(template, Mapping):
        return bool(template) and all(_is_optional(inner) for inner in template.values())
    return False


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its placeholders replaced; those without a value are left out."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)


def parts_of(pointer: str) -> list[str]:
    """Return the parts of a JSON pointer (RFC 6901); a plain name is a pointer with that part."""
    if not pointer.startswith("/"):
        return [pointer] if pointer else []
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def value_at(document: object, pointer: str) -> Any:
    """Return the value at a JSON pointer, or None."""
    node = document
    for part in parts_of(pointer):
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node


def put(document: object, pointer: str, value: object) -> Any:
    """Return a document with a value at a JSON pointer. Containers on the way are created; existing ones change.

    Args:
        document: The document; None creates it.
        pointer: Where to put the value.
        value: The value.
    """
    parts = parts_of(pointer)
    if not parts:
        return value
    name, rest = parts[0], "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts[1:])
    if document is None:
        document = [] if name.isdigit() else {}
    if isinstance(document, list) and name.isdigit():
        document += [None] * (int(name) + 1 - len(document))
        document[int(name)] = put(document[int(name)], rest, value)
    elif isinstance(document, dict):
        document[name] = put(document.get(name), rest, value)
    else:
        return put(None, pointer, value)
    return document
