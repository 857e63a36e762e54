"""The thread of alerts: when it evaluates, delivers and pings."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError
from batchsync.observers.alert_engine import AlertEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from batchsync.journal import Journal
    from batchsync.observers.alert_engine import Means
    from batchsync.observers.alert_facts import Schedules
    from batchsync.observers.alerts import AlertObserver

#: Seconds between evaluations at the most, and at the least.
EVERY, AT_LEAST = 60.0, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the thread evaluates, and by which means it delivers.

    Attributes:
        open_journal: Opens a journal for the thread.
        schedules: What is known about ticks.
        means: How messages leave this machine.
        now: Returns the current time.
        once: Whether the command ends by itself, so that its begin and its end are pinged.
    """

    open_journal: Callable[[], Journal]
    schedules: Schedules
    means: Means
    now: Callable[[], datetime]
    once: bool


class AlertWorker:
    """Evaluates when an observer has noted something, every minute, and at the end."""

    def __init__(self, observer: AlertObserver, origin: Origin) -> None:
        """Keep the collaborators.

        Args:
            observer: Says what happened.
            origin: What is evaluated.
        """
        self._observer, self._origin = observer, origin
        self._failure = ""

    def run(self) -> None:
        """Evaluate and deliver until the command ends. An error is reported, and never raised."""
        self._attempt(self._work)

    def _work(self) -> None:
        with self._origin.open_journal() as journal:
            self._loop(AlertEngine(journal, self._origin.schedules, self._origin.means))

    def _loop(self, engine: AlertEngine) -> None:
        watch, _, _ = self._observer.taken()
        once = self._origin.once
        if watch is None:
            return
        if once:
            engine.ping(watch.settings, "start")
        while True:
            ending = self._observer.wait(EVERY)
            present, seen, active = self._observer.taken()
            watch = present or watch
            self._attempt(partial(engine.step, watch, seen, self._origin.now()))
            if ending:
                break
            if active and not once:
                engine.ping(watch.settings, "")
            self._observer.pause(AT_LEAST)
        if ending == "fail":
            engine.ping(watch.settings, "fail")
        elif once:
            engine.ping(watch.settings, "")

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do work, and report a failure, unless it is the same as the last time: alerts must not stop a run."""
        reason = "an unexpected error"
        with suppress(Exception):
            try:
                work()
                reason = ""
            except BatchsyncError as error:
                reason = error.message
        if reason and reason != self._failure:
            self._origin.means.warn(f"alerts: {reason}")
        self._failure = reason
