"""Live updates: an observer whose events reach browsers as server-sent events.

A browser only learns that something changed, and reads the page again; no event has content of rows. Queues are
bounded: a reader that falls behind gets one `reload` instead of the events that it missed.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from batchsync.ports import (
    BatchChanged,
    GuardTripped,
    JobFinished,
    JobsReloaded,
    JobsReloadFailed,
    NeedsAttention,
    Progress,
    RunFinished,
    RunStarted,
)
from batchsync.report.text_format import iso

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from batchsync.ports import RunEvent

#: Events that a browser may be behind.
_QUEUE = 64
#: Seconds between comments that keep a connection open, and between looks for changes by other processes.
_HEARTBEAT, _LOOK = 15.0, 2.0
_RELOAD = b"event: reload\ndata: {}\n\n"
_END = b""


class LiveEvents:
    """Observer that passes events on to the browsers that listen."""

    def __init__(self) -> None:
        """Begin without browsers."""
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Why a job failed when it was last tried, by job.
        self.failures: dict[str, str] = {}
        #: Why jobs.yaml cannot be used as it is now; empty if it can.
        self.problem = ""

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Tell all browsers, if the event changes what a page shows."""
        if isinstance(event, JobFinished):
            self.failures[event.job] = event.message
        if isinstance(event, JobsReloaded):
            self.problem = ""
        elif isinstance(event, JobsReloadFailed):
            self.problem = f"{event.file} cannot be used, and the jobs stay as they were: {event.error['message']}"
        message = _message(event, at)
        if message is not None and self._loop is not None and self._queues:
            with suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._deliver, message)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver events in the thread of this event loop."""
        self._loop = loop

    async def stream(self, serial: Callable[[], Awaitable[int]]) -> AsyncIterator[bytes]:
        """Yield server-sent events for one browser.

        Args:
            serial: Returns the number of transactions of the journal, by which changes of other processes are seen.
        """
        queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        self._queues.add(queue)
        known, silent = await serial(), 0.0
        try:
            yield b"retry: 2000\n\n"
            while True:
                try:
                    item = await asyncio.wait_for(queue.get(), _LOOK)
                except TimeoutError:
                    silent += _LOOK
                    before, known = known, await serial()
                    if before != known:
                        yield _changed()
                    elif silent >= _HEARTBEAT:
                        silent = 0.0
                        yield b": still here\n\n"
                    continue
                if item == _END:
                    return
                silent, known = 0.0, await serial()
                yield item
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver, _END)

    def _deliver(self, message: bytes) -> None:
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(_RELOAD if message != _END else _END)
            else:
                queue.put_nowait(message)


def _changed(**what: str | None) -> bytes:
    return f"event: changed\ndata: {json.dumps(what)}\n\n".encode()


def _message(event: RunEvent, at: datetime) -> bytes | None:
    """Return the server-sent event of an event; None if it changes no page."""
    match event:
        case Progress():
            of = f" of {event.total:,}" if event.total is not None else ""
            text = f"{event.job}: {event.stage} {event.done:,}{of} {event.unit}"
            return f"event: progress\ndata: {json.dumps({'text': text})}\n\n".encode()
        case BatchChanged() | NeedsAttention():
            return _changed(at=iso(at), job=event.batch.job, run=event.batch.run)
        case RunStarted() | RunFinished() | GuardTripped():
            return _changed(at=iso(at), job=event.job, run=event.run)
        case JobFinished():
            return _changed(at=iso(at), job=event.job)
        case JobsReloaded() | JobsReloadFailed():
            return _changed(at=iso(at))
        case _:
            return None
