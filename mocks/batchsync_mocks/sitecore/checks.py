"""Checks of single attributes: each returns a problem of a value, or None. Messages never contain the value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from batchsync_mocks import datetimes
from batchsync_mocks.sitecore.problems import VALIDATION, RecordRejectedError

Check = Callable[[Any], str | None]
Value = dict[str, Any]

# Bound once, because each is called several times per record.
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_is_email = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+").fullmatch
_is_attribute_name = re.compile(r"[A-Za-z0-9]+").fullmatch


def is_uuid(value: object) -> bool:
    """Return whether a value has the format of a UUID (8-4-4-4-12 hex digits), of any version."""
    return isinstance(value, str) and _is_uuid(value) is not None


def string(value: object) -> str | None:
    """Return a problem unless the value is a string."""
    return None if isinstance(value, str) else "must be a string"


def non_empty(value: object) -> str | None:
    """Return a problem unless the value is a string that is not blank."""
    return None if isinstance(value, str) and value.strip() else "must be a non-empty string"


def string_list(value: object) -> str | None:
    """Return a problem unless the value is an array of strings."""
    is_valid = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if is_valid else "must be an array of strings"


def number(value: object) -> str | None:
    """Return a problem unless the value is a finite number, not a boolean and not a number in quotes."""
    exact = isinstance(value, int | Decimal) and not isinstance(value, bool)
    is_valid = exact or (isinstance(value, float) and math.isfinite(value))
    return None if is_valid else "must be a number"


def utc_datetime(value: object) -> str | None:
    """Return a problem unless the value is an ISO 8601 date-time in UTC."""
    return None if datetimes.parse(value, utc=True) is not None else "must be an ISO 8601 date-time in UTC"


def whole_second_datetime(value: object) -> str | None:
    """Return a problem unless the value is an ISO 8601 date-time in UTC without a fraction of a second."""
    is_valid = datetimes.parse(value, utc=True, whole_seconds=True) is not None
    return None if is_valid else "must be an ISO 8601 date-time in UTC without milliseconds"


def minute_datetime(value: object) -> str | None:
    """Return a problem unless the value is a timestamp in the format `yyyy-MM-ddTHH:mmZ`."""
    is_valid = datetimes.parse(value, utc=True) is not None and len(str(value)) == len("2030-12-24T00:00Z")
    return None if is_valid else "must have the form yyyy-MM-ddTHH:mmZ"


def email(value: object) -> str | None:
    """Return a problem unless the value is a string with a single `@`, no spaces, and a dot in the domain."""
    is_valid = isinstance(value, str) and _is_email(value) is not None
    return None if is_valid else "must be an e-mail address"


def one_of(*choices: str) -> Check:
    """Return a check that accepts a value of a closed list."""
    accepted, complaint = frozenset(choices), f"must be one of {', '.join(choices)}"
    return lambda value: None if isinstance(value, str) and value in accepted else complaint


def matching(pattern: str, description: str) -> Check:
    """Return a check that accepts a string that matches a regular expression, described in the message."""
    matches, complaint = re.compile(pattern).fullmatch, f"must be {description}"
    return lambda value: None if isinstance(value, str) and matches(value) else complaint


def max_length(longest: int) -> Check:
    """Return a check that accepts a non-empty string of at most `longest` characters."""
    return lambda value: non_empty(value) or (None if len(value) <= longest else f"has more than {longest} characters")


def require(condition: bool, path: str, complaint: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Check a condition.

    Args:
        condition: The condition.
        path: Attribute, for the detail.
        complaint: Problem of the attribute, for the detail.

    Raises:
        RecordRejectedError: If the condition is false: `Validation error`.
    """
    if not condition:
        raise RecordRejectedError(VALIDATION, f"{path} {complaint}")


def require_attributes(value: Value, names: tuple[str, ...], path: str = "") -> None:
    """Check that some attributes are present.

    Args:
        value: The object.
        names: Names of the required attributes.
        path: Prefix of attribute paths in messages.

    Raises:
        RecordRejectedError: If an attribute is missing: `Validation error`.
    """
    for name in names:
        if name not in value:
            raise RecordRejectedError(VALIDATION, f"{path}{name} is required")


def check_attributes(value: Value, table: Mapping[str, Check], path: str = "") -> None:
    """Check all attributes listed in a table; others are ignored.

    Args:
        value: The object.
        table: Checks by attribute.
        path: Prefix of attribute paths in messages.

    Raises:
        RecordRejectedError: If an attribute is invalid: `Validation error`.
    """
    if all_valid(value, table):
        return
    # Of several invalid attributes the first of the table is reported.
    for name, check in table.items():
        complaint = check(value[name]) if name in value else None
        require(complaint is None, f"{path}{name}", complaint or "")


def all_valid(value: Value, table: Mapping[str, Check]) -> bool:
    """Return whether all attributes listed in a table pass their checks."""
    for name, inner in value.items():
        check = table.get(name)
        if check is not None and check(inner) is not None:
            return False
    return True


def object_list(value: Value, name: str, path: str = "") -> list[Value]:
    """Return an attribute that is an array of objects; empty if absent.

    Args:
        value: The object.
        name: Name of the attribute.
        path: Prefix of attribute paths in messages.

    Raises:
        RecordRejectedError: If the attribute is not an array of objects: `Validation error`.
    """
    items = value.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RecordRejectedError(VALIDATION, f"{path}{name} must be an array of objects")
    return items


def check_extensions(value: Value, *, groups: tuple[str, ...], max_attributes: int, path: str = "") -> None:
    """Check `extensions` (sitecore-cdp.md, 5.2 and 6.4): groups, keys, names and types of attributes.

    Args:
        value: Object that may have `extensions`.
        groups: Accepted group names; empty for any name and key.
        max_attributes: Maximum number of attributes per group.
        path: Prefix of attribute paths in messages.

    Raises:
        RecordRejectedError: If a rule is violated.
    """
    seen_groups: set[str] = set()
    seen_names: set[str] = set()
    for group in object_list(value, "extensions", path):
        location = f"{path}extensions"
        name = group.get("name")
        if groups:
            require(isinstance(name, str) and name in groups, f"{location}.name", f"must be one of {', '.join(groups)}")
            require(group.get("key") == "default", f"{location}.key", "must be default")
        else:
            require(non_empty(name) is None, f"{location}.name", "must be a non-empty string")
            require(non_empty(group.get("key")) is None, f"{location}.key", "must be a non-empty string")
        require(name not in seen_groups, f"{location}.name", "occurs twice")
        seen_groups.add(str(name))
        attributes = {attribute: content for attribute, content in group.items() if attribute not in {"name", "key"}}
        require(len(attributes) <= max_attributes, location, f"has more than {max_attributes} attributes")
        for attribute, content in attributes.items():
            require(_is_attribute_name(attribute) is not None, location, "has a name with other than A-Z a-z 0-9")
            require(attribute not in seen_names, location, "has an attribute name in two groups")
            if not isinstance(content, str) and not isinstance(content, bool) and number(content) is not None:
                raise RecordRejectedError(VALIDATION, f"{location}.{attribute} must be a string, a boolean or a number")
            seen_names.add(attribute)


def without_nulls(value: Any) -> Any:
    """Return a value without null attributes at any depth: null counts as absent (assumption 27)."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value if inner is not None]
    return value
