"""Faults that can be armed: each strikes the n-th request that fits, for real, on the wire.

It does not know any vendor; what it does to a socket is what a broken network does.

Kinds: `refuse` (503 before any work, optional `retry_after` seconds), `status` (answer `status` before any work),
`delay` (wait `seconds` of real time, then go on), `reset` (TCP RST before any work), `lose_answer` (do the work, then
close the connection without an answer), `reset_answer` (do the work, then RST), `cut` (do the work, send only the first
`after` bytes of the body under the full Content-Length; default: the first half).
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Never, get_args

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["refuse", "status", "delay", "reset", "lose_answer", "reset_answer", "cut"]
KINDS: tuple[str, ...] = get_args(Kind)
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
    "times": (lambda times: _whole(times, 0), "a whole number, 0 for ever"),
    "status": (lambda status: _whole(status, 200, 599), "an HTTP status from 200 to 599"),
    "retry_after": (_optional(lambda seconds: _whole(seconds, 0)), "a whole number of seconds, or null"),
    "seconds": (
        lambda seconds: isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST_DELAY,
        f"a number from 0 to {_LONGEST_DELAY}",
    ),
    "after": (_optional(lambda after: _whole(after, 0)), "a whole number of bytes, or null for half of them"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One armed fault: which requests it fits, which of them it strikes, and how.

    `path` is a regular expression searched in the path (without the query). It strikes the `nth` fitting request
    and the `times - 1` after it; `times=0` never ends.

    Raises:
        ValueError: an unknown kind, an impossible number, or a broken regular expression.
    """

    kind: Kind
    vendor: str | None = None
    method: str | None = None
    path: str = ""
    nth: int = 1
    times: int = 1
    status: int = 500
    retry_after: int | None = None
    seconds: float = 1.0
    after: int | None = None

    def __post_init__(self) -> None:
        """Refuse nonsense when it is armed, not when it should strike."""
        # What comes in as JSON can be of any type, whatever the annotations say.
        for name, (good, meaning) in _LIMITS.items():
            if not good(getattr(self, name)):
                msg = f"A fault's {name} is {meaning}."
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

    def fits(self, vendor: str, method: str, path: str) -> bool:
        """Tell whether a request is one that this fault counts."""
        return (
            self.vendor in {None, vendor}
            and (self.method is None or self.method.upper() == method)
            and re.search(self.path, path) is not None
        )


class SocketGone(ConnectionAbortedError):  # noqa: N818 - no error: the connection was closed on purpose
    """The client's connection is closed already; there is nobody left to answer."""


class Faults:
    """The faults that are armed now, with how often each was met and struck."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._armed: list[tuple[Fault, list[int]]] = []

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
            for fault, counts in self._armed:
                if not fault.fits(vendor, method, path):
                    continue
                counts[0] += 1
                if counts[0] >= fault.nth and (fault.times == 0 or counts[0] < fault.nth + fault.times):
                    counts[1] += 1
                    striking.append(fault)
        return striking


def suffer(request: Request, striking: Sequence[Fault], work: Callable[[Request], Response]) -> Response:
    """Answer a request under the faults that strike it: those before the work first, then the work, then the others."""
    for fault in striking:
        if fault.kind in _BEFORE and (answer := _BEFORE[fault.kind](request, fault)) is not None:
            return answer
    answer = work(request)
    for fault in striking:
        if fault.kind in _AFTER:
            answer = _AFTER[fault.kind](request, fault, answer)
    return answer


def close(request: Request, *, reset: bool) -> Never:
    """Close the client's connection now, with FIN or RST, and leave the server by `SocketGone`.

    The exception alone would close nothing: the server would go on reading from the connection.
    """
    connection = request.environ["werkzeug.socket"]
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
    else:
        connection.shutdown(socket.SHUT_RDWR)
    raise SocketGone


def _refuse(_request: Request, fault: Fault) -> Response:
    answer = Response("Service Unavailable", 503, content_type="text/plain")
    if fault.retry_after is not None:
        answer.headers["Retry-After"] = str(fault.retry_after)
    return answer


def _status(_request: Request, fault: Fault) -> Response:
    return Response(f"Answered {fault.status} by an armed fault.", fault.status, content_type="text/plain")


def _delay(_request: Request, fault: Fault) -> None:
    time.sleep(fault.seconds)


def _reset(request: Request, _fault: Fault) -> Never:
    close(request, reset=True)


def _lose_answer(request: Request, _fault: Fault, answer: Response) -> Never:
    answer.close()
    close(request, reset=False)


def _reset_answer(request: Request, _fault: Fault, answer: Response) -> Never:
    answer.close()
    close(request, reset=True)


def _cut(_request: Request, fault: Fault, answer: Response) -> Response:
    whole = answer.get_data()
    kept = len(whole) // 2 if fault.after is None else fault.after
    answer.set_data(whole[:kept])
    # The length promised is more than what follows, so the client sees the body end too early.
    answer.headers["Content-Length"] = str(max(len(whole), kept + 1))
    answer.automatically_set_content_length = False
    return answer


_BEFORE: dict[str, Callable[[Request, Fault], Response | None]] = {
    "refuse": _refuse,
    "status": _status,
    "delay": _delay,
    "reset": _reset,
}
_AFTER: dict[str, Callable[[Request, Fault, Response], Response]] = {
    "lose_answer": _lose_answer,
    "reset_answer": _reset_answer,
    "cut": _cut,
}
