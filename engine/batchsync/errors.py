"""Errors by consequence: each says what went wrong, what to do next, and with which code the process ends.

They know nothing of YAML, HTTP or SQLite; whoever raises one puts the words in. No row value, secret or signed
query string belongs in a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime


class ExitCode(IntEnum):
    """How the process ends (DESIGN.md section 8). `meaning` says it in a few words."""

    meaning: str

    DONE = 0, "done and settled, or nothing to do"
    UNEXPECTED = 1, "unexpected error"
    INVALID = 2, "usage or spec invalid"
    ENVIRONMENT = 3, "environment: vendor, source, disk or secret store unreachable; or a batch waits for you"
    REJECTS = 4, "settled with more invalid or rejected records than the budget allows, or with unknown ones"
    UNSETTLED = 5, "not settled yet: run `lading resume`, or `lading sync` if preparing was cut short"
    HELD = 6, "held by a guard: needs `lading approve`"
    LOCKED = 7, "locked by another process, or plan stale"
    INTERRUPTED = 130, "interrupted by SIGINT, state saved"
    TERMINATED = 143, "terminated by SIGTERM, state saved"

    def __new__(cls, value: int, meaning: str) -> Self:
        """Make a member that is its number and knows its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class LadingError(Exception):
    """Something lading can name. `hint` is the next thing to do, and `exit_code` how the process ends."""

    exit_code: ExitCode = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message for the person and the hint for the line below it."""
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file that a person wrote, with the place and the way out.

    `line` and `column` count from 1; 0 means that the place is not known. `source_line` is the line itself.
    `code` is a stable dotted word such as `spec.unknown_key`.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    source_line: str = ""
    expected: str = ""
    suggestion: str = ""


class SpecError(LadingError):
    """jobs.yaml or a vendor spec is wrong. It carries every problem found, not the first."""

    exit_code = ExitCode.INVALID

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep all problems, in the order of the file."""
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the spec", hint="")
        self.problems = problems


class UsageError(LadingError):
    """The command line asks for something that is not there."""

    exit_code = ExitCode.INVALID


class SourceError(LadingError):
    """The source cannot be read as declared: absent, truncated, wrongly encoded, or not what its name says."""

    exit_code = ExitCode.ENVIRONMENT


class EnvironmentProblem(LadingError):  # noqa: N818 - "EnvironmentError" is taken by the standard library
    """The disk, a secret or the vendor cannot be reached now."""

    exit_code = ExitCode.ENVIRONMENT


class StateError(LadingError):
    """The state folder cannot be trusted: damaged, of a newer lading, or written by somebody else."""

    exit_code = ExitCode.ENVIRONMENT


class LockedError(LadingError):
    """Another process runs this job, or took the job over while we were away."""

    exit_code = ExitCode.LOCKED


class VendorFailure(Exception):  # noqa: N818 - the three kinds below are events of DESIGN.md section 4, not errors
    """A vendor call that did not give its answer. The three kinds below are all there are."""

    def __init__(self, reason: str) -> None:
        """Keep the reason, in words that carry no secret and no signed query string."""
        super().__init__(reason)
        self.reason = reason


class DidNotHappen(VendorFailure):
    """Surely not done: no connection, or a refusal that proves it. Try again, not before `retry_at` if that is given.

    A 429 or 503 proves it for a question alone. A call whose repetition could hurt needs a documented body.
    """

    def __init__(self, reason: str, *, retry_at: datetime | None = None) -> None:
        """Keep the moment that the vendor named, if it named one."""
        super().__init__(reason)
        self.retry_at = retry_at


class Unclear(VendorFailure):
    """The request left and no usable answer came: it may have been done. Ask before repeating.

    Nothing is asked before `retry_at`, if the answer named a moment (Retry-After).
    """

    def __init__(self, reason: str, *, retry_at: datetime | None = None) -> None:
        """Keep the moment that the answer named, if it named one."""
        super().__init__(reason)
        self.retry_at = retry_at


class Permanent(VendorFailure):
    """The vendor said no, and asking again unchanged will not help. A person must look."""


class SlotGone(Permanent):
    """The slot can no longer take the file: its URL expired. An earlier request may have stored it all the same."""
