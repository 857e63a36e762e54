"""Validation of the names of jobs and connections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.spec.field_types import NAME_PATTERN
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.spec.interpolate import TypedMap
    from batchsync.spec.problems import Problems

#: Names become file and folder names; Windows reserves these for devices.
RESERVED_NAMES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{item}{digit}" for item in ("com", "lpt") for digit in range(1, 10))}
)


def check_names(kind: str, names: TypedMap, problems: Problems) -> None:
    """Report names that are invalid, reserved, or equal to an earlier name but for case.

    Args:
        kind: `job` or `connection`, for messages.
        names: The block whose keys are the names.
        problems: Receives the problems.
    """
    seen: dict[str, str] = {}
    for entry in names.entries:
        expected = "at most 63 lower-case letters, digits, - and _, starting with a letter or digit"
        first = seen.setdefault(entry.key.casefold(), entry.key)
        if first != entry.key:
            problems.add(
                "name",
                entry.start,
                f"{kind} {quoted(entry.key)} differs from {quoted(first)} only in case",
                expected,
            )
        elif not re.fullmatch(NAME_PATTERN, entry.key):
            valid_name = re.sub(r"[^a-z0-9_-]+", "-", entry.key.casefold()[:63]).strip("-_")
            advice = f"for example {valid_name}" if re.fullmatch(NAME_PATTERN, valid_name) else ""
            problems.add("name", entry.start, f"invalid {kind} name {quoted(entry.key)}", expected, advice)
        elif entry.key in RESERVED_NAMES:
            problems.add(
                "name",
                entry.start,
                f"{quoted(entry.key)} is a reserved device name on Windows",
                "another name",
                f"for example {entry.key}-1",
            )
