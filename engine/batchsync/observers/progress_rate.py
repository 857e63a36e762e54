"""Description of progress: amount, rate and remaining time of a stage."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.report.text_format import format_duration
from batchsync.report.text_format import size as in_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.ports import Progress

#: Minimum elapsed time before a rate is shown.
_FIRST = timedelta(seconds=2)


class ProgressRate:
    """Rate of each job, measured from the start of its stage."""

    def __init__(self) -> None:
        """Create without samples."""
        self._begun: dict[str, tuple[datetime, Progress]] = {}

    def describe(self, sample: Progress, now: datetime, *, share: bool = False) -> str:
        """Return how far a stage is, with its rate and the time that is left once they are known.

        Args:
            sample: The progress.
            now: The present time.
            share: Whether to add the percentage that is done, and the time that has passed.
        """
        begun, first = self._begun.get(sample.job, (now, sample))
        if first.stage != sample.stage:
            begun, first = now, sample
        self._begun[sample.job] = begun, first
        words = [_count(sample), _bytes(sample), *_rate(first, sample, now - begun)]
        if share:
            words[2:2] = [_percentage(sample), _elapsed(now - begun)]
        return ", ".join(word for word in words if word)


def _count(sample: Progress) -> str:
    """Return the units that are done, and of how many."""
    if not sample.done and not sample.total:
        return sample.stage
    of = f" of {sample.total:,}" if sample.total is not None and sample.total != sample.done else ""
    return f"{sample.stage} {sample.done:,}{of} {sample.unit}"


def _percentage(sample: Progress) -> str:
    """Return the percentage that is done; empty if it is not known, or nothing is left."""
    size, of = sample.size or (0, None)
    for done, whole in ((sample.done, sample.total), (size, of)):
        if whole is not None and 0 < done < whole:
            return f"{100 * done // whole} %"
    return ""


def _elapsed(passed: timedelta) -> str:
    """Return how long a stage has taken so far; empty before a rate is shown."""
    return "" if passed < _FIRST else f"{format_duration(passed)} elapsed"


def _bytes(sample: Progress) -> str:
    """Return the bytes that are done, and of how many."""
    done, whole = sample.size or (0, None)
    if not done:
        return ""
    return f"{in_bytes(done)} of {in_bytes(whole)}" if whole is not None and whole != done else in_bytes(done)


def _rate(first: Progress, sample: Progress, passed: timedelta) -> list[str]:
    """Return the rate and the time that is left, since the first sample of the stage."""
    done = sample.done - first.done
    if passed < _FIRST or done <= 0:
        return []
    found = [f"{round(done / passed.total_seconds()):,} {sample.unit}/s"]
    fraction = _fraction(first, sample)
    if fraction is not None and 0 < fraction < 1:
        found.append(f"about {format_duration(max(passed * (1 / fraction - 1), timedelta(seconds=1)))} left")
    return found


def _fraction(first: Progress, sample: Progress) -> float | None:
    """Return how much of what was left at the first sample is done."""
    begun, (size, of) = (first.size or (0, None))[0], sample.size or (0, None)
    for begin, done, whole in ((first.done, sample.done, sample.total), (begun, size, of)):
        if whole is not None and whole > begin:
            return (done - begin) / (whole - begin)
    return None
