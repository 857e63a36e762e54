"""Seconds by stage from the timestamped progress lines of `batchsync sync`.

The time before a line is attributed to the stage of the line, because lines report completed work; while uploads and
preparation overlap, to the stage that reports next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Stages in the order of the work.
STAGES = ("prepare", "upload", "wait", "collect and settle", "baseline", "end")
_REPORTS = (
    (re.compile(r"batch \S+: prepared"), "prepare"),
    (re.compile(r"batch \S+: submitted, vendor status"), "wait"),
    (re.compile(r"batch \S+: (allocated|submitted)"), "upload"),
    (re.compile(r"batch \S+: finished|waiting until"), "wait"),
    (re.compile(r"batch \S+: collected"), "collect and settle"),
    (re.compile(r"batch \S+: delivered"), "baseline"),
    (re.compile(r": (compare|check|read|stage|prepare|seal)"), "prepare"),
)


def stage_of(line: str) -> str | None:
    """Return the stage that a progress line reports, or None."""
    return next((stage for pattern, stage in _REPORTS if pattern.search(line)), None)


def split(lines: Iterable[tuple[float, str]], seconds: float) -> dict[str, float]:
    """Return the seconds of each stage, which add up to the total.

    The time after the last line is attributed to `end`, or to `prepare` if no line is about a batch.

    Args:
        lines: Progress lines with the seconds since the start of the process.
        seconds: Duration of the process.

    Returns:
        Seconds by stage, for all stages.
    """
    spent = dict.fromkeys(STAGES, 0.0)
    before, batches = 0.0, False
    for at, line in lines:
        stage = stage_of(line)
        if stage is None:
            continue
        batches = batches or "batch " in line
        spent[stage] += at - before
        before = at
    spent["end" if batches else "prepare"] += seconds - before
    return spent


def describe(parts: Mapping[str, float]) -> str:
    """Return the seconds by stage as text, without stages of less than 0.05 seconds."""
    return ", ".join(f"{name} {parts[name]:.1f} s" for name in STAGES if round(parts.get(name, 0), 1))
