"""Dispatch of events to a list of observers, and the observers that installed packages register."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from batchsync.ports import Observer, RunEvent

#: Entry point group of observers; an entry point names a callable without parameters that returns an `Observer`.
ENTRY_POINTS = "batchsync.observers"


class Dispatcher:
    """`EventSink` that stamps each event with the time and passes it on to every observer in turn.

    An observer that raises is dropped, with one warning: it must neither stop a run nor hide events from the others.
    """

    def __init__(
        self, observers: Iterable[Observer], *, now: Callable[[], datetime], warn: Callable[[str], None]
    ) -> None:
        """Create a dispatcher.

        Args:
            observers: Observers, in the order in which they receive an event.
            now: Returns the current time, timezone-aware.
            warn: Prints a warning.
        """
        self._observers = list(observers)
        self._now = now
        self._warn = warn

    def emit(self, event: RunEvent, /) -> None:
        """Pass an event on to all observers."""
        if not self._observers:
            return
        at = self._now()
        for observer in tuple(self._observers):
            try:
                observer.observe(event, at)
            except Exception as error:  # noqa: BLE001 - an observer of any origin must not stop a run
                # Another thread may have dropped it at the same event.
                if observer in self._observers:
                    self._observers.remove(observer)
                    name = f"{type(observer).__module__}.{type(observer).__qualname__}"
                    self._warn(f"observer {name} failed and is ignored from now on: {type(error).__name__}")


def installed_observers(warn: Callable[[str], None]) -> Iterator[Observer]:
    """Yield the observers that installed packages register; one that cannot be created is reported and left out.

    Args:
        warn: Prints a warning.

    Yields:
        The observers, by name of their entry points.
    """
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda item: item.name):
        try:
            observer: Observer = point.load()()
        except Exception as error:  # noqa: BLE001 - code of another package must not stop a run
            warn(f"observer {point.name} ({point.value}) cannot be created: {type(error).__name__}")
        else:
            yield observer
