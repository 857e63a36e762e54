"""What `batchsync sync` says of its progress, line by line with the moment of each, becomes seconds by stage.

It does not know processes or clocks. The time before a line belongs to what the line reports, since lines report what
is done; while uploads and preparation overlap, a second belongs to whichever of the two spoke next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The stages in the order of the work.
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
    """Return the stage that a line reports, or None when it reports none."""
    return next((stage for shape, stage in _REPORTS if shape.search(line)), None)


def split(lines: Iterable[tuple[float, str]], seconds: float) -> dict[str, float]:
    """Return the seconds of each stage; together they are all `seconds` that the process took.

    `lines` come with the seconds since the process began. What follows the last line is `end`; of a process that
    spoke of no batch it is `prepare`, because comparing is all that it did.
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


def told(parts: Mapping[str, float]) -> str:
    """Return the stages as a person reads them."""
    return ", ".join(f"{name} {parts[name]:.1f} s" for name in STAGES if round(parts.get(name, 0), 1))
