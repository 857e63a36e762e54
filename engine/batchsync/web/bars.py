"""Geometry of bars and time lines, for templates that draw them as SVG; no style is computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.report.text_format import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from batchsync.ports.overview import StoredEvent

#: Width of a bar or time line, in units of its view box.
WIDTH = 1_000
#: Least width of a part that is not empty, so that one reject among a million is seen.
_LEAST = 8

#: Phase of a batch after an event, by the name of the event; other events keep the phase.
_PHASE_AFTER = {
    "Prepared": Phase.PREPARED,
    "Allocated": Phase.ALLOCATED,
    "AllocationLost": Phase.PREPARED,
    "Stored": Phase.UPLOADED,
    "Uploaded": Phase.SUBMITTED,
    "Committed": Phase.SUBMITTED,
    "FileMissing": Phase.ALLOCATED,
    "VendorFinished": Phase.FINISHED,
    "Cancelled": Phase.FINISHED,
    "ResultsLost": Phase.FINISHED,
    "Collected": Phase.COLLECTED,
    "Delivered": Phase.DELIVERED,
    "Parked": Phase.NEEDS_ATTENTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a bar: its class in the style sheet, place, width, and words."""

    kind: str
    x: int
    width: int
    words: str


def stacked(counts: Mapping[str, int]) -> tuple[Part, ...]:
    """Return the parts of a bar, as wide as their counts; each that is not 0 is visible.

    Args:
        counts: Count by name, in the order of the bar.
    """
    shown = {name: count for name, count in counts.items() if count > 0}
    total = sum(shown.values())
    widths = {name: max(_LEAST, count * WIDTH // total) for name, count in shown.items()}
    if widths:
        # Rounding and least widths are taken from the widest part.
        widest = max(widths, key=widths.__getitem__)
        widths[widest] += WIDTH - sum(widths.values())
    parts, x = [], 0
    for name, width in widths.items():
        parts.append(Part(kind=name, x=x, width=width, words=f"{name} {shown[name]:,}"))
        x += width
    return tuple(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An event on a time line."""

    kind: str
    x: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A batch on the time line of its run: phases as parts, events as marks."""

    phases: tuple[Part, ...]
    marks: tuple[Mark, ...]


def timeline(events: Sequence[StoredEvent], begin: datetime, end: datetime) -> Timeline:
    """Return the time line of a batch.

    Args:
        events: Its events in order.
        begin: Time at the left end.
        end: Time at the right end.
    """
    span = max((end - begin).total_seconds(), 1.0)

    def place(at: datetime) -> int:
        return min(WIDTH, max(0, round((at - begin).total_seconds() / span * WIDTH)))

    parts: list[Part] = []
    phase, since = None, begin
    for event in events:
        after = phase_after(event) or phase
        if after is phase:
            continue
        if phase is not None:
            parts.append(_part(phase, place(since), place(event.at), since, event.at))
        phase, since = after, event.at
    if phase is not None and phase is not Phase.DELIVERED:
        parts.append(_part(phase, place(since), WIDTH, since, end))
    marks = tuple(
        Mark(kind=event.kind, x=place(event.at), words=f"{event.kind} {moment(event.at)}") for event in events
    )
    return Timeline(phases=tuple(parts), marks=marks)


def phase_after(event: StoredEvent) -> Phase | None:
    """Return the phase that a batch has reached with an event; None if it keeps its phase."""
    return _PHASE_AFTER.get(event.kind)


def _part(phase: Phase, left: int, right: int, since: datetime, until: datetime) -> Part:
    words = f"{phase.label} from {moment(since)} to {moment(until)}"
    return Part(kind=phase.value, x=left, width=max(right - left, 2), words=words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a plot by day: place, width, stacked parts from the bottom, and words."""

    x: float
    width: float
    parts: tuple[tuple[str, float, float], ...]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot by day: title, unit, columns, greatest value, and the same values as text."""

    title: str
    unit: str
    columns: tuple[Column, ...]
    most: str
    width: int = WIDTH
    height: int = 160


def plot(title: str, unit: str, days: Sequence[str], values: Mapping[str, Sequence[float]]) -> Plot:
    """Return a plot of stacked columns.

    Args:
        title: What is shown.
        unit: Unit of the values.
        days: The days, from left to right.
        values: Values of each day by the class of their part, in the order of the stack from the bottom.
    """
    height = 160
    totals = [sum(series[index] for series in values.values()) for index in range(len(days))]
    most = max(totals, default=0) or 1
    step = WIDTH / max(len(days), 1)
    columns = []
    for index, day in enumerate(days):
        parts, top = [], float(height)
        for kind, series in values.items():
            size = series[index] / most * height
            if size > 0:
                top -= max(size, 1)
                parts.append((kind, round(top, 1), round(max(size, 1), 1)))
        listed = ", ".join(f"{kind} {series[index]:,.0f}" for kind, series in values.items())
        columns.append(
            Column(
                x=round(index * step + step * 0.1, 1),
                width=round(step * 0.8, 1),
                parts=tuple(parts),
                words=f"{day}: {listed} {unit}".rstrip(),
            )
        )
    return Plot(title=title, unit=unit, columns=tuple(columns), most=f"{max(totals, default=0):,.0f}", height=height)
