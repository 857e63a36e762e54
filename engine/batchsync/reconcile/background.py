"""Work that yields one thing after the other is done in a thread beside the main one, which takes what is there.

It does not know what is made. Whoever takes is never interrupted by the worker: its error waits in the line, too.
"""

from __future__ import annotations

import queue
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import timedelta

One = TypeVar("One")
#: How long a worker that was told to stop is waited for, in seconds; a source that hangs must not keep a process alive.
_PATIENCE = 1.5
#: The longest wait in one go, in seconds: more than the system's own limit is refused.
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of the line, and what stopped the work before it was done."""

    error: BaseException | None


class Aside(Generic[One]):
    """A worker and the line of what it made. The line has no limit: what it stands for lies on the disk."""

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[One]]) -> None:
        """Begin. `work` is given a question to ask often: whether it is to stop."""
        self._made: queue.SimpleQueue[One | _Ended] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._ended = False
        self._worker = threading.Thread(target=self._run, args=(work,), name="lading-aside", daemon=True)
        self._worker.start()

    @property
    def ended(self) -> bool:
        """Whether everything that was made has been taken, and nothing more will come."""
        return self._ended

    def take(self, within: timedelta | None, /) -> One | None:
        """Return the next thing, waiting so long for it (None: as long as it takes); None when there is none (yet).

        Raises whatever stopped the work, after everything that was made before.
        """
        if self._ended:
            return None
        seconds = _LONGEST if within is None else min(_LONGEST, max(0.0, within.total_seconds()))
        try:
            found = self._made.get(timeout=seconds) if seconds else self._made.get_nowait()
        except queue.Empty:
            return None
        if not isinstance(found, _Ended):
            return found
        self._ended = True
        if found.error is not None:
            raise found.error
        return None

    def close(self) -> None:
        """Let the worker stop, and wait for it a while."""
        self._stop.set()
        self._worker.join(_PATIENCE)

    def _run(self, work: Callable[[Callable[[], bool]], Iterator[One]]) -> None:
        try:
            with closing(_closable(work(self._stop.is_set))) as things:
                for one in things:
                    self._made.put(one)
                    if self._stop.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody can do something about it
            self._made.put(_Ended(error))
        else:
            self._made.put(_Ended(None))


class Inline(Generic[One]):
    """The same without a thread: a thing is made when it is asked for, and never two at once for who does not wait."""

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[One]]) -> None:
        """Begin nothing yet."""
        self._things = _closable(work(lambda: False))
        self._ended = False
        self._rests = False

    @property
    def ended(self) -> bool:
        """Whether there is nothing more."""
        return self._ended

    def take(self, within: timedelta | None, /) -> One | None:
        """Return the next thing; None when there is none (yet). Raises whatever making it raises."""
        if self._rests and within is not None and not within:
            self._rests = False
            return None
        for one in self._things:
            self._rests = True
            return one
        self._ended = True
        return None

    def close(self) -> None:
        """End the work where it stands."""
        self._things.close()


def _closable(things: Iterator[One]) -> Generator[One]:
    """Return the things as a generator: closing it closes what makes them."""
    yield from things
