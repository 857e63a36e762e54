"""Progress on a terminal: one line for each job that is at work, redrawn in place and gone when the command ends.

It does not know when to be used, and writes to stderr only.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lading.cli.channels import Forgiving
from lading.cli.pace import Mark, Pace
from lading.cli.watch_lines import told
from lading.core.batch import Phase
from lading.report.words import span, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import TextIO

    from lading.core.batch import Batch
    from lading.ports import Size

_REFRESHES = 4


class LiveWatcher:
    """Keeps what is true of each job, and draws it when it is looked at."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begin with no job."""
        self._now = now
        self._jobs: list[str] = []
        self._stage: dict[str, str] = {}
        self._pace = Pace()
        self._batches: dict[str, dict[str, Batch]] = defaultdict(dict)
        self._until: datetime | None = None

    @staticmethod
    @contextmanager
    def shown(now: Callable[[], datetime], *, coloured: bool) -> Iterator[LiveWatcher]:
        """Draw on stderr until the block ends."""
        watcher = LiveWatcher(now)
        console = Console(file=cast("TextIO", Forgiving(sys.stderr)), no_color=not coloured)
        with Live(
            get_renderable=watcher.drawn,
            console=console,
            transient=True,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield watcher

    def progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Show the stage, how far it is, and how long it may take."""
        self._seen(job)
        mark = Mark(stage=stage, done=done, unit=unit, total=total, size=size)
        self._stage[job] = self._pace.told(job, mark, self._now())

    def moved(self, batch: Batch) -> None:
        """Show the batch."""
        self._seen(batch.job)
        self._stage.pop(batch.job, None)
        self._until = None
        self._batches[batch.job][batch.id] = batch

    def waiting(self, until: datetime) -> None:
        """Show how long nothing is to be done."""
        self._until = until

    def drawn(self) -> Table:
        """Return a line for each job. Called from the drawing thread, so it works on copies."""
        table = Table.grid(padding=(0, 2))
        now = self._now()
        batches = {job: dict(own) for job, own in list(self._batches.items())}
        stages = dict(self._stage)
        for job in list(self._jobs):
            own = list(batches.get(job, {}).values())
            done = sum(one.phase is Phase.DELIVERED for one in own)
            count = f"{done} of {len(own)} batches" if own else ""
            table.add_row(
                Text(visible(job), style="bold"), Text(count), Text(stages.get(job) or _at_work(own, now), style="cyan")
            )
        until = self._until
        if until is not None and until > now:
            table.add_row(Text(""), Text(""), Text(f"next look in {span(max(until - now, timedelta(seconds=1)))}"))
        return table

    def _seen(self, job: str) -> None:
        """Keep the job in its line from its first sight on."""
        if job not in self._jobs:
            self._jobs.append(job)


def _at_work(batches: list[Batch], now: datetime) -> str:
    """Return what the most advanced open batch is at, and when it is looked at again."""
    waiting = [one for one in batches if one.phase is not Phase.DELIVERED]
    if not waiting:
        return "settled"
    first = min(waiting, key=lambda one: (one.phase is Phase.PREPARED, one.seq))
    later = first.not_before
    again = f", next poll at {later:%H:%M:%S}Z" if later is not None and later > now and not first.failures else ""
    return f"{told(first)}{again}"
