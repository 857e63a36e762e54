"""Causes of an error of the HTTP library, whose own messages contain URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes: arguments, `reason`, `__cause__` and `__context__`, recursively."""
    seen: list[BaseException] = []
    pending = [error]
    while pending:
        cause = pending.pop()
        if any(cause is other for other in seen):
            continue
        seen.append(cause)
        yield cause
        parts = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
        pending += [part for part in parts if isinstance(part, BaseException)]


def cause_text(causes: Sequence[BaseException]) -> str:
    """Return the operating system's message of the deepest cause that has one, else the type of the deepest cause."""
    messages = [
        cause.strerror
        for cause in causes
        if isinstance(cause, OSError) and isinstance(cause.strerror, str) and cause.errno
    ]
    return messages[-1] if messages else type(causes[-1]).__name__
