"""Says which names jobs and connections may have. It does not know what they name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.spec.field_types import NAME_PATTERN
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.spec.interpolate import TypedMap
    from batchsync.spec.problems import Problems

#: Names become names of files and folders, also on machines where these stand for devices.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{item}{digit}" for item in ("com", "lpt") for digit in range(1, 10))}
)


def check_names(what: str, names: TypedMap, problems: Problems) -> None:
    """Complain about each key that cannot name a job or a connection, or that differs from another in case only."""
    seen: dict[str, str] = {}
    for entry in names.entries:
        expected = "small letters, digits, - and _, at most 63, the first a letter or a digit"
        first = seen.setdefault(entry.key.casefold(), entry.key)
        if first != entry.key:
            problems.add(
                "name",
                entry.start,
                f"{what} {quoted(entry.key)} differs from {quoted(first)} in upper and lower case only",
                expected,
            )
        elif not re.fullmatch(NAME_PATTERN, entry.key):
            better = re.sub(r"[^a-z0-9_-]+", "-", entry.key.casefold()[:63]).strip("-_")
            advice = f"for instance {better}" if re.fullmatch(NAME_PATTERN, better) else ""
            problems.add("name", entry.start, f"{quoted(entry.key)} cannot name a {what}", expected, advice)
        elif entry.key in _DEVICES:
            problems.add(
                "name",
                entry.start,
                f"{quoted(entry.key)} names a device on Windows",
                "another name",
                f"for instance {entry.key}-1",
            )
