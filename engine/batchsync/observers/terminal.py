"""Live progress on a terminal: one line per active job on a terminal, removed when the command ends."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from batchsync.core.batch import Phase
from batchsync.observers.batch_text import describe_batch
from batchsync.observers.progress_rate import ProgressRate
from batchsync.ports import BatchChanged, PartialRead, Progress, Waiting
from batchsync.report.sources import partial_read_words
from batchsync.report.text_format import escape_controls, format_duration, time_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import TextIO

    from batchsync.core.batch import Batch
    from batchsync.ports import RunEvent

_REFRESHES = 4


class TerminalObserver:
    """Observer that keeps the state of each job and renders it on demand."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Create an observer without jobs."""
        self._now = now
        self._jobs: list[str] = []
        self._stage: dict[str, str] = {}
        self._partial: dict[str, str] = {}
        self._rate = ProgressRate()
        self._batches: dict[str, dict[str, Batch]] = defaultdict(dict)
        self._until: datetime | None = None
        # Drawn while a vendor works, so that a person sees that the process does.
        self._spinner = Spinner("line")

    @staticmethod
    @contextmanager
    def shown(stream: TextIO, now: Callable[[], datetime], *, coloured: bool) -> Iterator[TerminalObserver]:
        """Draw on a terminal until the block ends.

        Args:
            stream: The terminal; writing to it must not raise.
            now: Returns the current time.
            coloured: Whether to use colours.

        Yields:
            The observer whose state is drawn.
        """
        observer = TerminalObserver(now)
        console = Console(file=stream, no_color=not coloured)
        with Live(
            get_renderable=observer.drawn,
            console=console,
            transient=True,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield observer

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Keep what is to be shown: the stage of a job, what it reads, its batches, and the time of the next check.

        Args:
            event: The event.
            at: When it was emitted.
        """
        match event:
            case Progress(job=job):
                self._seen(job)
                self._stage[job] = self._rate.describe(event, at, share=True)
            case PartialRead(job=job):
                self._partial[job] = partial_read_words(event)
            case BatchChanged(batch=batch):
                self._seen(batch.job)
                self._stage.pop(batch.job, None)
                self._until = None
                self._batches[batch.job][batch.id] = batch
            case Waiting(until=until):
                self._until = until
            case _:
                pass

    def drawn(self) -> Table:
        """Return a line for each job. Called from the drawing thread, so it works on copies."""
        table = Table.grid(padding=(0, 2))
        now = self._now()
        batches = {job: dict(own) for job, own in list(self._batches.items())}
        stages = dict(self._stage)
        for job in list(self._jobs):
            own = list(batches.get(job, {}).values())
            stage = stages.get(job)
            is_at_vendor = not stage and any(item.phase is Phase.SUBMITTED for item in own)
            table.add_row(
                Text(escape_controls(job), style="bold"),
                Text(_share(own, now)),
                Text(stage or _describe_open(own, now), style="cyan"),
                self._spinner if is_at_vendor else Text(""),
            )
            if job in self._partial:
                table.add_row(Text(""), Text(""), Text(self._partial[job]))
        until = self._until
        if until is not None and until > now:
            table.add_row(
                Text(""), Text(""), Text(f"next check in {format_duration(max(until - now, timedelta(seconds=1)))}")
            )
        return table

    def _seen(self, job: str) -> None:
        """Register the job in order of appearance."""
        if job not in self._jobs:
            self._jobs.append(job)


def _share(batches: list[Batch], now: datetime) -> str:
    """Return how many batches are delivered, the percentage of their records, and the time that passed and is left."""
    if not batches:
        return ""
    delivered = [batch for batch in batches if batch.phase is Phase.DELIVERED]
    words = [f"{len(delivered)} of {len(batches)} batches"]
    done, whole = (sum(batch.file.rows for batch in some) for some in (delivered, batches))
    if 0 < done < whole:
        words.append(f"{100 * done // whole} %")
    submitted = [batch.submitted_at for batch in batches if batch.submitted_at is not None]
    passed = now - min(submitted) if submitted and done < whole else timedelta()
    if passed >= timedelta(seconds=1):
        words.append(f"{format_duration(passed)} elapsed")
        if done:
            words.append(f"about {format_duration(max(passed * (whole / done - 1), timedelta(seconds=1)))} left")
    return ", ".join(words)


def _describe_open(batches: list[Batch], now: datetime) -> str:
    """Return the state of the most advanced open batch, and its next poll."""
    waiting = [batch for batch in batches if batch.phase is not Phase.DELIVERED]
    if not waiting:
        return "settled"
    first = min(waiting, key=lambda batch: (batch.phase is Phase.PREPARED, batch.seq))
    later = first.not_before
    if later is None or later <= now or first.failures:
        return describe_batch(first)
    return f"{describe_batch(first)}, next poll at {time_of_day(later, now)}"
