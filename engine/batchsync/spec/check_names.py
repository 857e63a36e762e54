"""Says which names jobs and connections may have. It does not know what they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lading.spec.suggest import quoted
from lading.spec.words import NAME_PATTERN

if TYPE_CHECKING:
    from lading.spec.interpolate import TypedMap
    from lading.spec.problems import Problems

#: Names become names of files and folders, also on machines where these stand for devices.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{one}{digit}" for one in ("com", "lpt") for digit in range(1, 10))}
)


def check_names(what: str, names: TypedMap, problems: Problems) -> None:
    """Complain about each key that cannot name a job or a connection, or that differs from another in case only."""
    seen: dict[str, str] = {}
    for one in names.entries:
        expected = "small letters, digits, - and _, at most 63, the first a letter or a digit"
        first = seen.setdefault(one.key.casefold(), one.key)
        if first != one.key:
            problems.add(
                "name",
                one.start,
                f"{what} {quoted(one.key)} differs from {quoted(first)} in upper and lower case only",
                expected,
            )
        elif not re.fullmatch(NAME_PATTERN, one.key):
            better = re.sub(r"[^a-z0-9_-]+", "-", one.key.casefold()[:63]).strip("-_")
            advice = f"for instance {better}" if re.fullmatch(NAME_PATTERN, better) else ""
            problems.add("name", one.start, f"{quoted(one.key)} cannot name a {what}", expected, advice)
        elif one.key in _DEVICES:
            problems.add(
                "name",
                one.start,
                f"{quoted(one.key)} names a device on Windows",
                "another name",
                f"for instance {one.key}-1",
            )
