"""Injectable faults: each applies to the n-th matching request, or to every matching request with a probability.

Before processing: `refuse` (503, optional `retry_after` seconds), `status` (respond with `status`), `throttle` (429
with Retry-After, `retry_as` seconds or date), `deny` (response to wrong credentials), `vanish` (response to an unknown
batch), `expire` (response to an expired URL), `revoke` (revoke the tokens issued so far), `delay` (wait `seconds` of
real time, then continue), `reset` (TCP RST), `break_upload` (read `after` bytes of the body, default: half, then RST).

During processing: `rewind` (respond with the state `seconds` ago).

After processing: `lose_answer` (close without a response), `half_close` (close the sending side only, and read until
the client closes), `reset_answer` (RST), `cut` (send only the first `after` bytes of the body under the full
Content-Length; default: the first half), `cut_unframed` (the same without a Content-Length, so that the end of the
connection ends the body), `drip` (send a header one byte at a time for `seconds` of real time, then the rest), `blank`
(send no body under the same status), `corrupt` (flip some bytes of the body), `replace_answer` (respond with `status`,
as a gateway does that lost the connection to the vendor; optional `retry_after` and `text`).
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
_After = Literal[
    "lose_answer", "half_close", "reset_answer", "cut", "cut_unframed", "drip", "blank", "corrupt", "replace_answer"
]
Kind = Literal[_Before, _During, _After]
KINDS: tuple[str, ...] = get_args(Kind)
_MAX_SECONDS = 100_000_000
_MAX_DELAY = 600


def _is_whole(value: object, low: int, high: int = 1 << 40) -> bool:
    """Return whether a value is a whole number within limits."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_string(value: object) -> bool:
    """Return whether a value is a string."""
    return isinstance(value, str)


def _or_none(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return a check that accepts None, too."""
    return lambda value: value is None or is_valid(value)


_LIMITS: dict[str, tuple[Callable[[object], bool], str]] = {
    "kind": (lambda kind: kind in KINDS, f"one of {', '.join(KINDS)}"),
    "vendor": (_or_none(_is_string), "the name of a vendor, or null for all"),
    "method": (_or_none(_is_string), "an HTTP method, or null for all"),
    "path": (_is_string, "a regular expression"),
    "nth": (lambda nth: _is_whole(nth, 1), "a whole number from 1"),
    "times": (_or_none(lambda times: _is_whole(times, 0)), "a whole number, 0 for no limit"),
    "max_hits": (lambda hits: _is_whole(hits, 0), "a whole number, 0 for no limit"),
    "chance": (
        _or_none(lambda chance: isinstance(chance, int | float) and not isinstance(chance, bool) and 0 < chance <= 1),
        "a number above 0 and up to 1, or null",
    ),
    "retry_as": (lambda form: form in {"seconds", "date"}, "seconds or date"),
    "status": (lambda status: _is_whole(status, 200, 599), "an HTTP status from 200 to 599"),
    "text": (_or_none(_is_string), "the body of the response, or null for the usual text"),
    "retry_after": (_or_none(lambda seconds: _is_whole(seconds, 0)), "a whole number of seconds, or null"),
    "seconds": (
        lambda seconds: isinstance(seconds, int | float) and 0 <= seconds <= _MAX_SECONDS,
        f"a number from 0 to {_MAX_SECONDS}",
    ),
    "after": (_or_none(lambda after: _is_whole(after, 0)), "a whole number of bytes, or null for half of them"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault: the requests it matches, those it hits, and its effect.

    It hits the `nth` matching request and the `times - 1` after it. With a `chance` it hits each of these with that
    probability, drawn from the seed of the mocks.

    Args:
        kind: The effect; see the module.
        vendor: Name of the vendor; None matches all.
        method: HTTP method; None matches all.
        path: Regular expression, searched in the path without the query.
        nth: First matching request to hit, from 1.
        times: Number of requests in the window; 0 for no limit. Default: 1, or 0 with a `chance`.
        chance: Probability of a hit within the window, above 0 and up to 1.
        max_hits: Maximum number of hits; 0 for no limit.
        status: HTTP status of the kind `status`.
        retry_after: Seconds in a Retry-After header; None for no header.
        retry_as: Format of Retry-After: `seconds` or `date`.
        seconds: Seconds of real time for `delay` and `drip`, of virtual time for `rewind`.
        after: Bytes for `cut`, `cut_unframed` and `break_upload`; None for half of the body.

    Raises:
        ValueError: If the kind is unknown, a number is out of range, or the regular expression is invalid.
    """

    kind: Kind
    vendor: str | None = None
    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int | None = None
    chance: float | None = None
    max_hits: int = 0
    status: int = 500
    text: str | None = None
    retry_after: int | None = None
    retry_as: str = "seconds"
    seconds: float = 1.0
    after: int | None = None

    def __post_init__(self) -> None:
        """Validate all fields, so that an invalid fault fails when it is armed.

        Raises:
            ValueError: If a field is invalid.
        """
        # Fields read from JSON can have any type.
        for name, (is_valid, expected) in _LIMITS.items():
            if not is_valid(getattr(self, name)):
                msg = f"A fault's {name} is {expected}."
                raise ValueError(msg)
        if self.kind in {"delay", "drip"} and self.seconds > _MAX_DELAY:
            msg = f"A delay is at most {_MAX_DELAY} seconds."
            raise ValueError(msg)
        try:
            re.compile(self.path)
        except re.error as error:
            msg = f"A fault's path is a regular expression; {self.path!r} is invalid: {error}."
            raise ValueError(msg) from None

    @classmethod
    def from_json(cls, content: object) -> Fault:
        """Return a fault built from a JSON object, as posted to `/_mock/faults`.

        Raises:
            ValueError: If it is not an object, has no `kind`, or has an unknown or invalid field.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(content, dict) or "kind" not in content or not set(content) <= names:
            msg = f"A fault is an object with kind and, if needed, {', '.join(sorted(names - {'kind'}))}."
            raise ValueError(msg)
        return cls(**content)

    def triggers(self, matched: int, hits: int, draw: float) -> bool:
        """Return whether the fault hits a matching request.

        Args:
            matched: Number of the request among the matching ones, from 1.
            hits: Number of earlier hits.
            draw: Random draw from 0 to 1.
        """
        times = self.times if self.times is not None else (1 if self.chance is None else 0)
        window = matched >= self.nth and (times == 0 or matched < self.nth + times)
        return window and (not self.max_hits or hits < self.max_hits) and (self.chance is None or draw < self.chance)

    def matches(self, vendor: str, method: str, path: str) -> bool:
        """Return whether the fault counts a request."""
        return (
            self.vendor in {None, vendor}
            and (self.method is None or self.method.upper() == method)
            and re.search(self.path, path) is not None
        )


class Faults:
    """The armed faults, with their numbers of matched and hit requests; `seed` determines the random draws."""

    def __init__(self, seed: int | None = None) -> None:
        """Create an empty set of faults."""
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
        """Return every armed fault by field, with the requests `matched` and the `hits`."""
        with self._lock:
            return [
                {f.name: getattr(fault, f.name) for f in fields(fault)} | {"matched": matched, "hits": hits}
                for fault, (matched, hits) in self._armed
            ]

    def hits(self, vendor: str, method: str, path: str) -> list[Fault]:
        """Count a request.

        Returns:
            The faults that hit it, in the order in which they were armed.
        """
        active_faults = []
        with self._lock:
            for index, (fault, counts) in enumerate(self._armed):
                if not fault.matches(vendor, method, path):
                    continue
                counts[0] += 1
                if fault.triggers(counts[0], counts[1], self._draw(index, counts[0])):
                    counts[1] += 1
                    active_faults.append(fault)
        return active_faults

    def _draw(self, index: int, matched: int) -> float:
        """Return the random draw, from 0 to 1, of a fault for its `matched`-th request."""
        # Each fault has its own random sequence, so that one request does not change the draws of another.
        digest = hashlib.blake2b(f"{self.seed}:{index}:{matched}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / (1 << 64)
