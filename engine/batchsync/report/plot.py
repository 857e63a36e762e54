"""Bars of counts, as wide as a terminal of 80 columns, and the plot of past runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.row_outcome import BATCH_OUTCOMES, RowOutcome
from batchsync.report.text_format import escape_controls, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.report.settlement import RunReport
    from batchsync.report.text_format import Style

WIDTH = 80
#: Least width of a bar; a table with long words becomes wider than the terminal instead of breaking them.
_LEAST = 8
_FULL, _PARTS = "█", " ▏▎▍▌▋▊▉"
#: Role and character by outcome, so that they differ without colours, too.
_DRAWN = {RowOutcome.ACCEPTED: ("good", _FULL), RowOutcome.REJECTED: ("bad", "▓"), RowOutcome.UNKNOWN: ("warn", "▒")}
_OPEN = ("dim", "░")
#: Characters of a moment without its seconds.
_MINUTE = 16


def bar(count: int, most: int, width: int) -> str:
    """Return a bar whose length is proportional to a count; any count above 0 has one.

    Args:
        count: The count.
        most: The count of the longest bar.
        width: Width of the longest bar, in columns.
    """
    if count <= 0 or most <= 0:
        return ""
    eighths = max(1, round(count * width * 8 / most))
    return (_FULL * (eighths // 8) + _PARTS[eighths % 8]).rstrip()


def room_for_bars(used: int) -> int:
    """Return the width that is left for bars next to a table of a width."""
    return max(_LEAST, WIDTH - used)


def plot_runs(runs: Sequence[RunReport], paint: Style) -> str:
    """Return a bar for each run, as long as the number of records that it sent, coloured by their outcomes.

    Args:
        runs: The runs.
        paint: Style of the bars.
    """
    if not runs:
        return "no runs yet"
    sent = [sum(batch.file.rows for batch in run.batches) for run in runs]
    names = [escape_controls(run.settlement.run) for run in runs]
    numbers = [f"{count:,}" for count in sent]
    name_width = max(len(name) for name in names)
    number_width = max(len("sent"), *(len(number) for number in numbers))
    heading = f"{'run':<{name_width}}  {'started':<{_MINUTE}}  {'sent':>{number_width}}"
    width = room_for_bars(len(heading) + 2)
    lines = [paint(heading, "head")]
    for run, name, count, number in zip(runs, names, sent, numbers, strict=True):
        started = moment(run.run.created_at)[:_MINUTE]
        label = f"{name:<{name_width}}  {started}  {number:>{number_width}}"
        lines.append(f"{label}  {_stacked(run, count, max(sent), width, paint)}".rstrip())
    shown = [(outcome.value, _drawn(outcome)) for outcome in BATCH_OUTCOMES] + [("no answer yet", _OPEN)]
    return "\n".join([*lines, ", ".join(f"{paint(char, role)} {name}" for name, (role, char) in shown)])


def _drawn(outcome: RowOutcome) -> tuple[str, str]:
    """Return role and character of an outcome; outcomes that are not of the vendor's answer are drawn as unknown."""
    return _DRAWN.get(outcome, _DRAWN[RowOutcome.UNKNOWN])


def _stacked(run: RunReport, sent: int, most: int, width: int, paint: Style) -> str:
    """Return the bar of a run: a part for each outcome of its records, and one for those without an answer."""
    parts = [(run.settlement.outcomes[outcome], _drawn(outcome)) for outcome in BATCH_OUTCOMES]
    parts.append((max(0, sent - sum(count for count, _ in parts)), _OPEN))
    whole = len(bar(sent, most, width))
    drawn, text = 0, ""
    seen = 0
    for count, (role, char) in parts:
        seen += count
        end = whole if seen >= sent else min(whole, round(whole * seen / sent)) if sent else 0
        if end > drawn:
            text += paint(char * (end - drawn), role)
            drawn = end
    return text
