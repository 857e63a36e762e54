"""A clock under test control: it flows with the real one, stands still, runs faster, and jumps on request.

It does not know who reads it; setting it never wakes anybody, because every state of the mocks is
computed from the moment at which somebody asks.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lading_mocks import disk, moments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


FASTEST = 1_000_000


class Clock:
    """Virtual time in epoch seconds.

    `at` is where it starts (epoch seconds or ISO 8601 with a zone; default: real time), `frozen` stops it from
    flowing, `rate` is how many virtual seconds pass in one real second. While `auto` is on, the vendors let the clock
    jump to the next thing that whoever asks is waiting for.

    Raises:
        ValueError: `at` is not a moment, or `rate` is not above zero.
    """

    def __init__(
        self, at: float | str | None = None, *, frozen: bool = False, rate: float = 1.0, auto: bool = False
    ) -> None:
        """Start the clock; see the class."""
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._real = time.time()
        self._virtual = self._real if at is None else _moment(at)
        self._frozen = frozen
        self._rate = _positive(rate)
        self._auto = auto
        self._lag = threading.local()

    @property
    def auto(self) -> bool:
        """Tell whether the clock jumps by itself; not for whoever sees it late."""
        return self._auto and not getattr(self._lag, "seconds", 0)

    def now(self) -> float:
        """Tell the virtual moment in epoch seconds."""
        with self._lock:
            return self._now() - float(getattr(self._lag, "seconds", 0))

    @contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        """Let this thread see the time so many seconds late, as a replica that lags behind does."""
        self._lag.seconds = seconds
        try:
            yield
        finally:
            self._lag.seconds = 0

    def reach(self, at: float) -> None:
        """Jump forwards to a moment; one that is past already changes nothing."""
        with self._lock:
            if at > self._now():
                self._anchor(_sane(at))

    def jump_by_itself(self, *, auto: bool = True) -> None:
        """Jump whenever a client asks about a batch that is not finished, or no more."""
        with self._lock:
            moment, self._auto = self._now(), auto
            self._anchor(moment)

    def set(self, at: float | str) -> None:
        """Jump to a moment, forwards or backwards."""
        moment = _moment(at)
        with self._lock:
            self._anchor(moment)

    def advance(self, seconds: float) -> None:
        """Jump by so many seconds; a negative number goes back."""
        with self._lock:
            self._anchor(_sane(self._now() + seconds))

    def freeze(self, *, frozen: bool = True) -> None:
        """Stand still from here on, or flow again."""
        with self._lock:
            moment, self._frozen = self._now(), frozen
            self._anchor(moment)

    def run_at(self, rate: float) -> None:
        """Let so many virtual seconds pass in one real second from here on."""
        rate = _positive(rate)
        with self._lock:
            moment, self._rate = self._now(), rate
            self._anchor(moment)

    def report(self) -> dict[str, Any]:
        """Give the state of the clock as the control page shows it."""
        with self._lock:
            moment = self._now()
            shown = {"frozen": self._frozen, "rate": self._rate, "auto": self._auto}
            return {"iso": moments.millis(moment), "epoch": moment, **shown}

    def live_in(self, file: Path) -> None:
        """Go on from what the file remembers, if it exists, and keep it up to date from now on."""
        with self._lock:
            self._file = file
            kept = disk.read_json(file)
            if kept is not None:
                self._real, self._virtual = float(kept["real"]), float(kept["virtual"])
                self._frozen, self._rate = bool(kept["frozen"]), _positive(float(kept["rate"]))
                self._auto = bool(kept.get("auto", False))
            else:
                self._anchor(self._now())

    def _now(self) -> float:
        if self._frozen:
            return self._virtual
        return self._virtual + (time.time() - self._real) * self._rate

    def _anchor(self, moment: float) -> None:
        self._real, self._virtual = time.time(), moment
        if self._file is not None:
            kept = {"real": self._real, "virtual": moment, "frozen": self._frozen, "rate": self._rate}
            kept["auto"] = self._auto
            disk.write_json(self._file, kept)


def _moment(at: float | str) -> float:
    if isinstance(at, str):
        parsed = moments.parse(at)
        if parsed is None:
            msg = f"{at[:60]!r} is not an ISO 8601 date-time with a zone; write it like 2026-01-31T09:30:00Z."
            raise ValueError(msg)
        return _sane(parsed)
    return _sane(at)


def _sane(epoch: float) -> float:
    # Outside these years the vendors' spellings of a moment no longer work (and NaN is in no year).
    if not 0 <= epoch <= 32_503_680_000:  # noqa: PLR2004 - the year 3000, named by this comment
        msg = "The clock can stand anywhere between the years 1970 and 3000."
        raise ValueError(msg)
    return float(epoch)


def _positive(rate: float) -> float:
    if not 0 < rate <= FASTEST:
        msg = f"A clock's rate is a number above 0 and up to 1000000, not {rate!r}."
        raise ValueError(msg)
    return float(rate)
