"""Progress as lines: for logs one for each thing that happened, for programs the same as NDJSON, or nothing.

Polling that brings nothing new writes nothing. It does not know terminals.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from lading.cli.pace import Mark, Pace
from lading.core.batch import Phase
from lading.report.settlement import batch_data
from lading.report.words import iso, noun, size, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.ports import Size


#: So often a log gets a line about a stage that goes on.
_EVERY = timedelta(seconds=10)


class QuietWatcher:
    """Somebody who does not look."""

    def progress(self, job: str, stage: str, done: int, unit: str, *more: object, **sizes: object) -> None:
        """Show nothing."""

    def moved(self, batch: Batch) -> None:
        """Show nothing."""

    def waiting(self, until: datetime) -> None:
        """Show nothing."""


class LineWatcher:
    """Writes a line with the time for each stage of a job, each move of a batch, and the first wait after it."""

    def __init__(self, tell: Callable[[str], None], now: Callable[[], datetime]) -> None:
        """Keep where lines go and what time it is."""
        self._tell = tell
        self._now = now
        self._stage: dict[str, tuple[str, datetime]] = {}
        self._pace = Pace()
        self._news = News()
        self._said_waiting = False

    def progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Write a line when the job enters another stage, and every ten seconds while it stays there."""
        now, last = self._now(), self._stage.get(job)
        told = self._pace.told(job, Mark(stage=stage, done=done, unit=unit, total=total, size=size), now)
        if last is not None and last[0] == stage and now - last[1] < _EVERY:
            return
        self._stage[job] = stage, now
        self._line(f"{visible(job)}: {told}")

    def moved(self, batch: Batch) -> None:
        """Write a line when the batch is another one than before."""
        if self._news.is_new(batch):
            self._line(f"{visible(batch.job)}: batch {batch.id}: {told(batch)}")

    def waiting(self, until: datetime) -> None:
        """Write a line for the first wait after something happened."""
        if not self._said_waiting:
            self._line(f"waiting until {until:%H:%M:%S}")
            self._said_waiting = True

    def _line(self, text: str) -> None:
        self._tell(f"{self._now():%H:%M:%S} {text}")
        self._said_waiting = False


class NdjsonWatcher:
    """Writes one JSON object for each run that begins, each move of a batch, and each wait after it."""

    def __init__(self, stream: Callable[[Mapping[str, object]], None]) -> None:
        """Keep where objects go."""
        self._stream = stream
        self._runs: set[str] = set()
        self._stage: dict[str, str] = {}
        self._news = News()
        self._said_waiting = False

    def progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Write an object when the job enters another stage."""
        if self._stage.get(job) != stage:
            self._stage[job] = stage
            known = {"job": job, "stage": stage, "done": done, "total": total, "unit": unit}
            self._stream(
                {"event": "stage"}
                | known
                | {"bytes": size[0] if size else None, "bytes_total": size[1] if size else None}
            )

    def moved(self, batch: Batch) -> None:
        """Write an object when the batch is another one than before, and one before it for a run not seen before."""
        if batch.run not in self._runs:
            self._runs.add(batch.run)
            self._stream({"event": "run_started", "job": batch.job, "run": batch.run})
        if self._news.is_new(batch):
            self._stream({"event": "batch_moved"} | batch_data(batch))
            self._said_waiting = False

    def waiting(self, until: datetime) -> None:
        """Write an object for the first wait after something happened."""
        if not self._said_waiting:
            self._stream({"event": "waiting", "until": iso(until)})
            self._said_waiting = True


class News:
    """Remembers how each batch was last told, to say what is new."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self._told: dict[str, tuple[object, ...]] = {}

    def is_new(self, batch: Batch) -> bool:
        """Whether anything but the count of polls is new about the batch."""
        now = (batch.phase, batch.doubt, batch.word, batch.verdict, batch.failures, batch.attempt)
        if self._told.get(batch.id) == now:
            return False
        self._told[batch.id] = now
        return True


def told(batch: Batch) -> str:  # noqa: PLR0911 - one arm for each phase
    """Return how a batch stands, in a few words."""
    if batch.failures and batch.phase is not Phase.STUCK:
        when = f", again at {batch.not_before:%H:%M:%S}" if batch.not_before else ""
        return f"{batch.phase}, failure {batch.failures}: {visible(batch.reason)}{when}"
    match batch.phase:
        case Phase.PREPARED if batch.attempt > 1 and batch.reason:
            return f"slot lost, next attempt {batch.attempt}: {visible(batch.reason)}"
        case Phase.PREPARED:
            return f"prepared, {noun(batch.file.rows, 'record')}, {size(batch.file.size)}"
        case Phase.SUBMITTED if batch.word:
            return f'submitted, the vendor says "{visible(batch.word)}"'
        case Phase.SETTLED:
            return f"settled, the vendor's word is {batch.verdict}{f' ({visible(batch.word)})' if batch.word else ''}"
        case Phase.COLLECTED | Phase.DELIVERED if batch.books:
            books = batch.books
            counts = f"accepted {books.accepted:,}, rejected {books.rejected:,}, unknown {books.unknown:,}"
            return f"{batch.phase}, {counts}"
        case Phase.STUCK:
            return f"stuck: {visible(batch.reason)}"
        case _:
            return str(batch.phase)
