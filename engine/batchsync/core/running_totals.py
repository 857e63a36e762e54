"""Counters that never decrease, from sums over a journal whose old runs are deleted.

The sums of a job are taken apart at the newest run that was there when they were last taken. Those of newer runs are
added. Those of older runs are added as far as they grew, since a run may settle late; a decrease means that runs were
deleted, or that a row of unknown outcome was resolved, and takes nothing back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSums:
    """Sums over the settled runs of a job that the journal has.

    Attributes:
        newest: Serial number of the newest run, whatever its state.
        older: Sums over runs up to the serial number that was asked for.
        newer: Sums over later runs.
    """

    newest: int
    older: Mapping[str, int]
    newer: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTotal:
    """Counters of a job.

    Attributes:
        newest: Serial number of the newest run when the sums were taken.
        counted: The sums over all runs at that time.
        totals: The counters.
    """

    newest: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)


def advance(before: RunningTotal, sums: JobSums) -> RunningTotal:
    """Return the counters after sums were taken, with `older` up to the newest run of `before`.

    Args:
        before: The counters so far.
        sums: The sums.
    """
    totals = Counter(before.totals)
    for name, value in sums.older.items():
        totals[name] += max(0, value - before.counted.get(name, 0))
    totals.update(sums.newer)
    counted = Counter(sums.older)
    counted.update(sums.newer)
    return RunningTotal(newest=sums.newest, counted=dict(counted), totals=dict(totals))
