"""Failed tries of tasks: how they are described, and the error after the last of them."""

from __future__ import annotations

import signal

from batchsync.errors import UnavailableError

_MINUTE = 60


def label_of(task: object) -> str:
    """Return how messages name a task: its property `label`, such as `rows 1 to 25,000 of guests`."""
    return str(getattr(task, "label", "")) or "a task of the preparation"


def exit_text(code: int | None) -> str:
    """Return how a worker process ended.

    Args:
        code: Its exit code; negative for a signal, None if it is unknown.
    """
    if code is None:
        return "the worker process ended"
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    names = {item.value: item.name for item in signal.Signals}
    return f"the worker process was killed by {names.get(-code, f'signal {-code}')}"


def duration_text(seconds: float) -> str:
    """Return a number of seconds as people read it."""
    minutes, rest = divmod(seconds, _MINUTE)
    return f"{seconds:g} s" if rest or not minutes else f"{minutes:g} min"


def task_failed(task: object, tries: int, reason: str, advice: str) -> UnavailableError:
    """Return the error of a task whose last try failed.

    Args:
        task: The task.
        tries: Number of tries.
        reason: Why the last of them failed.
        advice: What may help, as a command to a person.
    """
    count = "once" if tries == 1 else f"{tries} times"
    return UnavailableError(
        f"{label_of(task)}: tried {count} without success; the last time, {reason}",
        hint=f"{advice}, then run the same command again; nothing is lost",
        name="environment.executor",
    )
