"""Checks of single attributes: each says what is wrong with a value, never the value itself.

They do not know records, tenants or the present moment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from lading_mocks import moments
from lading_mocks.sitecore.problems import VALIDATION, Refused

Check = Callable[[Any], str | None]
Value = dict[str, Any]

# These are bound once, because each is asked several times about every record.
_is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_is_email = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+").fullmatch
_is_attribute = re.compile(r"[A-Za-z0-9]+").fullmatch


def is_uuid(value: object) -> bool:
    """Tell whether a value is 8-4-4-4-12 hex digits, whatever version it claims to be."""
    return isinstance(value, str) and _is_uuid(value) is not None


def text(value: object) -> str | None:
    """Accept a string."""
    return None if isinstance(value, str) else "must be a string"


def filled(value: object) -> str | None:
    """Accept a string with something in it."""
    return None if isinstance(value, str) and value.strip() else "must be a non-empty string"


def texts(value: object) -> str | None:
    """Accept an array of strings."""
    good = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return None if good else "must be an array of strings"


def number(value: object) -> str | None:
    """Accept a finite number, not a boolean and not a number in quotes."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    good = whole or (isinstance(value, float) and math.isfinite(value))
    return None if good else "must be a number"


def moment(value: object) -> str | None:
    """Accept an ISO 8601 date-time in UTC."""
    return None if moments.parse(value, utc=True) is not None else "must be an ISO 8601 date-time in UTC"


def whole_moment(value: object) -> str | None:
    """Accept an ISO 8601 date-time in UTC without a fraction of a second."""
    good = moments.parse(value, utc=True, whole_seconds=True) is not None
    return None if good else "must be an ISO 8601 date-time in UTC without milliseconds"


def minute(value: object) -> str | None:
    """Accept a moment in the form `yyyy-MM-ddTHH:mmZ`."""
    good = moments.parse(value, utc=True) is not None and len(str(value)) == len("2030-12-24T00:00Z")
    return None if good else "must have the form yyyy-MM-ddTHH:mmZ"


def email(value: object) -> str | None:
    """Accept one `@`, no spaces, a dot in the domain."""
    good = isinstance(value, str) and _is_email(value) is not None
    return None if good else "must be an e-mail address"


def one_of(*words: str) -> Check:
    """Accept one of a closed list of words."""
    known, complaint = frozenset(words), f"must be one of {', '.join(words)}"
    return lambda value: None if isinstance(value, str) and value in known else complaint


def shaped(pattern: str, what: str) -> Check:
    """Accept a string of a shape, which `what` describes."""
    fits, complaint = re.compile(pattern).fullmatch, f"must be {what}"
    return lambda value: None if isinstance(value, str) and fits(value) else complaint


def at_most(longest: int) -> Check:
    """Accept a non-empty string of so many characters."""
    return lambda value: filled(value) or (None if len(value) <= longest else f"has more than {longest} characters")


def demand(good: bool, where: str, complaint: str) -> None:  # noqa: FBT001 - it reads as the sentence it stands for
    """Refuse the record unless something holds.

    Raises:
        Refused: `Validation error`, with where and what in the detail.
    """
    if not good:
        raise Refused(VALIDATION, f"{where} {complaint}")


def present(value: Value, names: tuple[str, ...], where: str = "") -> None:
    """Refuse the record unless all these attributes are there."""
    for name in names:
        if name not in value:
            raise Refused(VALIDATION, f"{where}{name} is required")


def known(value: Value, table: Mapping[str, Check], where: str = "") -> None:
    """Refuse the record if an attribute that the table knows breaks its check; the others are passed over."""
    if fit(value, table):
        return
    # Of several broken attributes the first of the table is told.
    for name, check in table.items():
        complaint = check(value[name]) if name in value else None
        demand(complaint is None, f"{where}{name}", complaint or "")


def fit(value: Value, table: Mapping[str, Check]) -> bool:
    """Tell whether no attribute that the table knows breaks its check."""
    for name, inner in value.items():
        check = table.get(name)
        if check is not None and check(inner) is not None:
            return False
    return True


def objects(value: Value, name: str, where: str = "") -> list[Value]:
    """Give an attribute that is an array of objects; empty when it is absent."""
    items = value.get(name, [])
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise Refused(VALIDATION, f"{where}{name} must be an array of objects")
    return items


def extensions(value: Value, *, groups: tuple[str, ...], most: int, where: str = "") -> None:
    """Check `extensions` (sitecore-cdp.md, 5.2 and 6.4): groups, keys, names and kinds of attributes."""
    seen_groups: set[str] = set()
    seen_names: set[str] = set()
    for group in objects(value, "extensions", where):
        place = f"{where}extensions"
        name = group.get("name")
        demand(isinstance(name, str) and name in groups, f"{place}.name", f"must be one of {', '.join(groups)}")
        demand(name not in seen_groups, f"{place}.name", "stands there twice")
        demand(group.get("key") == "default", f"{place}.key", "must be default")
        seen_groups.add(str(name))
        own = {attribute: held for attribute, held in group.items() if attribute not in {"name", "key"}}
        demand(len(own) <= most, place, f"has more than {most} attributes")
        for attribute, held in own.items():
            demand(_is_attribute(attribute) is not None, place, "has a name with other than A-Z a-z 0-9")
            demand(attribute not in seen_names, place, "has an attribute name in two groups")
            if not isinstance(held, str) and not isinstance(held, bool) and number(held) is not None:
                raise Refused(VALIDATION, f"{place}.{attribute} must be a string, a boolean or a number")
            seen_names.add(attribute)


def without_nulls(value: Any) -> Any:
    """Take null attributes out, at every depth: null counts as absent (assumption 27)."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value if inner is not None]
    return value
