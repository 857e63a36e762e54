"""Virtual clock under test control: it follows real time, stands still, runs faster, or jumps on request.

Setting the clock triggers nothing: the mocks compute every state from the time of the request.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchsync_mocks import datetimes, disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


FASTEST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedClock:
    """A clock as its file holds it: real and virtual time in epoch seconds, and the mode."""

    real: float
    virtual: float
    frozen: bool
    rate: float
    auto: bool

    @classmethod
    def from_json(cls, saved: Any) -> SavedClock:
        """Return the content of a clock's file.

        Raises:
            ValueError: If it is not that of a clock.
        """
        names = ("real", "virtual", "rate")
        numbers = [saved.get(name) for name in names] if isinstance(saved, dict) else [None]
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            msg = f"The file of a clock contains the numbers {', '.join(names)}."
            raise ValueError(msg)
        return cls(
            real=float(saved["real"]),
            virtual=_checked_epoch(saved["virtual"]),
            frozen=bool(saved.get("frozen", False)),
            rate=_checked_rate(saved["rate"]),
            auto=bool(saved.get("auto", False)),
        )


class Clock:
    """Virtual time in epoch seconds.

    Args:
        at: Start, in epoch seconds or as ISO 8601 with a zone; default: real time.
        frozen: Whether the clock stands still.
        rate: Virtual seconds per real second, above 0 and up to 1,000,000.
        auto: Whether polling a batch advances the clock to the batch's next status change.

    Raises:
        ValueError: If `at` is not a timestamp, or `rate` is out of range.
    """

    def __init__(
        self, at: float | str | None = None, *, frozen: bool = False, rate: float = 1.0, auto: bool = False
    ) -> None:
        """Start the clock."""
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._real = time.time()
        self._virtual = self._real if at is None else _to_epoch(at)
        self._frozen = frozen
        self._rate = _checked_rate(rate)
        self._auto = auto
        self._thread_lag = threading.local()

    @property
    def auto(self) -> bool:
        """Return whether polling advances the clock; false for a thread that sees it lagging."""
        return self._auto and not getattr(self._thread_lag, "seconds", 0)

    def now(self) -> float:
        """Return the virtual time in epoch seconds."""
        with self._lock:
            return self._now() - float(getattr(self._thread_lag, "seconds", 0))

    @contextmanager
    def lagging(self, seconds: float) -> Iterator[None]:
        """Let this thread see the time `seconds` ago, as a lagging replica would."""
        self._thread_lag.seconds = seconds
        try:
            yield
        finally:
            self._thread_lag.seconds = 0

    def advance_to(self, at: float) -> None:
        """Jump forwards to a time in epoch seconds; a time in the past changes nothing."""
        with self._lock:
            if at > self._now():
                self._jump(_checked_epoch(at))

    def set_auto(self, *, auto: bool = True) -> None:
        """Enable or disable advancing to the next status change whenever an unfinished batch is polled."""
        with self._lock:
            now, self._auto = self._now(), auto
            self._jump(now)

    def set(self, at: float | str) -> None:
        """Jump to a time, forwards or backwards: epoch seconds, or ISO 8601 with a zone."""
        epoch = _to_epoch(at)
        with self._lock:
            self._jump(epoch)

    def advance(self, seconds: float) -> None:
        """Jump by a number of seconds; a negative number goes back."""
        with self._lock:
            self._jump(_checked_epoch(self._now() + seconds))

    def freeze(self, *, frozen: bool = True) -> None:
        """Stop the clock, or let it run again."""
        with self._lock:
            now, self._frozen = self._now(), frozen
            self._jump(now)

    def set_rate(self, rate: float) -> None:
        """Set how many virtual seconds pass per real second."""
        rate = _checked_rate(rate)
        with self._lock:
            now, self._rate = self._now(), rate
            self._jump(now)

    def report(self) -> dict[str, Any]:
        """Return the state of the clock as in `GET /_mock/clock`: `iso`, `epoch`, `frozen`, `rate`, `auto`."""
        with self._lock:
            now = self._now()
            shown = {"frozen": self._frozen, "rate": self._rate, "auto": self._auto}
            return {"iso": datetimes.format_millis(now), "epoch": now, **shown}

    def persist_to(self, file: Path) -> None:
        """Restore the clock from a JSON file, if it exists, and keep the file up to date from now on.

        Raises:
            ValueError: If the file is not that of a clock.
        """
        saved = disk.read_json(file)
        try:
            restored = None if saved is None else SavedClock.from_json(saved)
        except ValueError as error:
            msg = f"{file} is not a state file of the mocks: {error} Use an empty state directory."
            raise ValueError(msg) from None
        with self._lock:
            self._file = file
            if restored is not None:
                self._adopt(restored)
            else:
                self._jump(self._now())

    def replace(self, saved: SavedClock, replace_file: Callable[[], None]) -> None:
        """Take over a saved clock, after its file has been replaced; if `replace_file` raises, nothing changes.

        Args:
            saved: The clock to take over.
            replace_file: Replaces the file that the clock is saved to; no time is saved meanwhile.
        """
        with self._lock:
            replace_file()
            self._adopt(saved)

    def _adopt(self, saved: SavedClock) -> None:
        """Take over a saved clock; the caller holds the lock."""
        self._real, self._virtual = saved.real, saved.virtual
        self._frozen, self._rate, self._auto = saved.frozen, saved.rate, saved.auto

    def _now(self) -> float:
        """Return the virtual time; the caller holds the lock."""
        if self._frozen:
            return self._virtual
        return self._virtual + (time.time() - self._real) * self._rate

    def _jump(self, now: float) -> None:
        """Set the virtual time and save the clock; the caller holds the lock."""
        self._real, self._virtual = time.time(), now
        if self._file is not None:
            saved = {"real": self._real, "virtual": now, "frozen": self._frozen, "rate": self._rate}
            saved["auto"] = self._auto
            disk.write_json(self._file, saved)


def _to_epoch(at: float | str) -> float:
    """Return a time in epoch seconds, from epoch seconds or ISO 8601 with a zone."""
    if isinstance(at, str):
        parsed = datetimes.parse(at)
        if parsed is None:
            msg = f"{at[:60]!r} is not an ISO 8601 date-time with a zone; write it like 2026-01-31T09:30:00Z."
            raise ValueError(msg)
        return _checked_epoch(parsed)
    return _checked_epoch(at)


def _checked_epoch(epoch: float) -> float:
    """Return a time; raise if it is out of range."""
    # Outside these years the vendors' timestamp formats no longer work. NaN fails the comparison too.
    if not 0 <= epoch <= 32_503_680_000:  # noqa: PLR2004 - the year 3000, named by this comment
        msg = "The clock can be set to any time between the years 1970 and 3000."
        raise ValueError(msg)
    return float(epoch)


def _checked_rate(rate: float) -> float:
    """Return a rate; raise if it is out of range."""
    if not 0 < rate <= FASTEST:
        msg = f"A clock's rate is a number above 0 and up to 1000000, not {rate!r}."
        raise ValueError(msg)
    return float(rate)
