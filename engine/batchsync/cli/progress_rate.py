"""How far a long piece of work is, how fast it goes and when it may be done, in words.

It does not know where it is shown. Time is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lading.report.words import size as in_bytes
from lading.report.words import span

if TYPE_CHECKING:
    from datetime import datetime

    from lading.ports import Size

#: Before so much time has passed, a rate says nothing.
_FIRST = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What was told of a stage at a moment: `done` of `total` units, `size` bytes of how many; None is not known."""

    stage: str
    done: int
    unit: str
    total: int | None = None
    size: Size | None = None


class Pace:
    """Remembers when each stage of each job began."""

    def __init__(self) -> None:
        """Begin with none."""
        self._begun: dict[str, tuple[datetime, Mark]] = {}

    def told(self, job: str, mark: Mark, now: datetime) -> str:
        """Return how far a stage is, with its rate and the time that is left once they can be told."""
        if job not in self._begun or self._begun[job][1].stage != mark.stage:
            self._begun[job] = now, mark
        begun, first = self._begun[job]
        words = [_count(mark), _bytes(mark), *_rate(first, mark, now - begun)]
        return ", ".join(one for one in words if one)


def _count(mark: Mark) -> str:
    """Return the units that are done, and of how many."""
    if not mark.done and not mark.total:
        return mark.stage
    of = f" of {mark.total:,}" if mark.total is not None and mark.total != mark.done else ""
    return f"{mark.stage} {mark.done:,}{of} {mark.unit}"


def _bytes(mark: Mark) -> str:
    """Return the bytes that are done, and of how many."""
    done, whole = mark.size or (0, None)
    if not done:
        return ""
    return f"{in_bytes(done)} of {in_bytes(whole)}" if whole is not None and whole != done else in_bytes(done)


def _rate(first: Mark, mark: Mark, passed: timedelta) -> list[str]:
    """Return the rate and the time that is left, since the first mark of the stage."""
    done = mark.done - first.done
    if passed < _FIRST or done <= 0:
        return []
    found = [f"{round(done / passed.total_seconds()):,} {mark.unit}/s"]
    share = _share(first, mark)
    if share is not None and 0 < share < 1:
        found.append(f"about {span(max(passed * (1 / share - 1), timedelta(seconds=1)))} left")
    return found


def _share(first: Mark, mark: Mark) -> float | None:
    """Return how much of what was left at the first mark is done."""
    begun, (size, of) = (first.size or (0, None))[0], mark.size or (0, None)
    for begin, done, whole in ((first.done, mark.done, mark.total), (begun, size, of)):
        if whole is not None and whole > begin:
            return (done - begin) / (whole - begin)
    return None
