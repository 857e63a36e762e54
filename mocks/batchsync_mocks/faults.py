"""Faults that can be armed: each strikes the n-th request that fits, or each with a chance, for real, on the wire.

It does not know any vendor, nor how a fault is carried out: `wire` does that.

Before any work: `refuse` (503, optional `retry_after` seconds), `status` (answer `status`, with the body `text` where
that is given), `throttle` (429 with
Retry-After, `retry_as` seconds or date), `deny` (as to wrong credentials), `vanish` (as to an unknown batch), `expire`
(as to an expired URL), `revoke` (tokens given out so far become worthless), `delay` (wait `seconds` of real time, then
go on), `reset` (TCP RST), `break_upload` (read `after` bytes of the body, default half of it, then RST).

During the work: `rewind` (answer as it was `seconds` ago).

After the work: `lose_answer` (close without an answer), `half_close` (close the sending side only, and go on listening
until the client closes too), `reset_answer` (RST), `cut` (send only the first `after` bytes of the body under the full
Content-Length; default: the first half), `corrupt` (break some bytes of the body), `replace_answer` (answer
`status`, as a gateway does that lost the connection behind it; optional `retry_after` and `text`).
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Before = Literal[
    "refuse", "status", "throttle", "deny", "vanish", "expire", "revoke", "delay", "reset", "break_upload"
]
_During = Literal["rewind"]
_After = Literal["lose_answer", "half_close", "reset_answer", "cut", "corrupt", "replace_answer"]
Kind = Literal[_Before, _During, _After]
KINDS: tuple[str, ...] = get_args(Kind)
_LONGEST = 100_000_000
_LONGEST_DELAY = 600


def _whole(value: object, low: int, high: int = 1 << 40) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _text(value: object) -> bool:
    return isinstance(value, str)


def _optional(good: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or good(value)


_LIMITS: dict[str, tuple[Callable[[object], bool], str]] = {
    "kind": (lambda kind: kind in KINDS, f"one of {', '.join(KINDS)}"),
    "vendor": (_optional(_text), "the name of a vendor, or null for all"),
    "method": (_optional(_text), "an HTTP method, or null for all"),
    "path": (_text, "a regular expression"),
    "nth": (lambda nth: _whole(nth, 1), "a whole number from 1"),
    "times": (_optional(lambda times: _whole(times, 0)), "a whole number, 0 for ever"),
    "most": (lambda most: _whole(most, 0), "a whole number, 0 for no bound"),
    "chance": (
        _optional(lambda chance: isinstance(chance, int | float) and not isinstance(chance, bool) and 0 < chance <= 1),
        "a number above 0 and up to 1, or null",
    ),
    "retry_as": (lambda spelt: spelt in {"seconds", "date"}, "seconds or date"),
    "status": (lambda status: _whole(status, 200, 599), "an HTTP status from 200 to 599"),
    "text": (_optional(_text), "the body of the answer, or null for the usual one"),
    "retry_after": (_optional(lambda seconds: _whole(seconds, 0)), "a whole number of seconds, or null"),
    "seconds": (
        lambda seconds: isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST,
        f"a number from 0 to {_LONGEST}",
    ),
    "after": (_optional(lambda after: _whole(after, 0)), "a whole number of bytes, or null for half of them"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One armed fault: which requests it fits, which of them it strikes, and how.

    `path` is a regular expression searched in the path (without the query). It strikes the `nth` fitting request
    and the `times - 1` after it; `times=0` never ends. With a `chance` it strikes each of these with that probability,
    drawn from the seed of the mocks, and `times` is 0 unless it is given; after `most` strikes it rests.

    Raises:
        ValueError: an unknown kind, an impossible number, or a broken regular expression.
    """

    kind: Kind
    vendor: str | None = None
    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int | None = None
    chance: float | None = None
    most: int = 0
    status: int = 500
    text: str | None = None
    retry_after: int | None = None
    retry_as: str = "seconds"
    seconds: float = 1.0
    after: int | None = None

    def __post_init__(self) -> None:
        """Refuse nonsense when it is armed, not when it should strike."""
        # What comes in as JSON can be of any type, whatever the annotations say.
        for name, (good, meaning) in _LIMITS.items():
            if not good(getattr(self, name)):
                msg = f"A fault's {name} is {meaning}."
                raise ValueError(msg)
        if self.kind == "delay" and self.seconds > _LONGEST_DELAY:
            msg = f"A delay is at most {_LONGEST_DELAY} seconds."
            raise ValueError(msg)
        try:
            re.compile(self.path)
        except re.error as error:
            msg = f"A fault's path is a regular expression; {self.path!r} is not one: {error}."
            raise ValueError(msg) from None

    @classmethod
    def from_json(cls, given: object) -> Fault:
        """Read a fault as it is posted to the control page.

        Raises:
            ValueError: it is not an object, lacks its kind, or has a name that no fault has.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or "kind" not in given or not set(given) <= names:
            msg = f"A fault is an object with kind and, if needed, {', '.join(sorted(names - {'kind'}))}."
            raise ValueError(msg)
        return cls(**given)

    def due(self, met: int, struck: int, draw: float) -> bool:
        """Tell whether the `met`-th fitting request is struck, after so many strikes; `draw` is from 0 to 1."""
        times = self.times if self.times is not None else (1 if self.chance is None else 0)
        window = met >= self.nth and (times == 0 or met < self.nth + times)
        return window and (not self.most or struck < self.most) and (self.chance is None or draw < self.chance)

    def fits(self, vendor: str, method: str, path: str) -> bool:
        """Tell whether a request is one that this fault counts."""
        return (
            self.vendor in {None, vendor}
            and (self.method is None or self.method.upper() == method)
            and re.search(self.path, path) is not None
        )


class Faults:
    """The faults that are armed now, with how often each was met and struck; `seed` decides what chance brings."""

    def __init__(self, seed: int | None = None) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []
        self.seed = seed or 0

    def arm(self, faults: Sequence[Fault]) -> None:
        """Add faults; those already armed stay."""
        with self._lock:
            self._armed.extend((fault, [0, 0]) for fault in faults)

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def report(self) -> list[dict[str, Any]]:
        """List what was armed, how many requests fitted, and how many were struck."""
        with self._lock:
            return [
                {f.name: getattr(fault, f.name) for f in fields(fault)} | {"met": met, "struck": struck}
                for fault, (met, struck) in self._armed
            ]

    def strike(self, vendor: str, method: str, path: str) -> list[Fault]:
        """Count a request and give the faults that strike it, in the order they were armed."""
        striking = []
        with self._lock:
            for place, (fault, counts) in enumerate(self._armed):
                if not fault.fits(vendor, method, path):
                    continue
                counts[0] += 1
                if fault.due(counts[0], counts[1], self._draw(place, counts[0])):
                    counts[1] += 1
                    striking.append(fault)
        return striking

    def _draw(self, place: int, met: int) -> float:
        # Each fault has its own sequence, so that what one request meets does not hang on what others met.
        digest = hashlib.blake2b(f"{self.seed}:{place}:{met}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / (1 << 64)
