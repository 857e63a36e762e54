"""Errors by consequence: each has a message, a hint (the next command) and the exit code of the process.

Messages must not contain row values, secrets or signed query strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


class ExitCode(IntEnum):
    """Exit codes of the process (DESIGN.md section 8), each with its `meaning`."""

    meaning: str

    DONE = 0, "settled, or nothing to do"
    UNEXPECTED = 1, "unexpected error"
    INVALID = 2, "usage or spec invalid"
    ENVIRONMENT = 3, "environment: vendor, source, disk or secret store unreachable"
    REJECTS = 4, "settled, with more invalid or rejected rows than the budget allows"
    UNSETTLED = 5, "not settled yet: run `batchsync resume`, or `batchsync sync` if preparation was aborted"
    AWAITING_APPROVAL = 6, "awaiting approval: run `batchsync approve`"
    LOCKED = 7, "locked by another process, or plan stale"
    NEEDS_ATTENTION = 8, "needs attention: an unknown outcome, or a batch that only a person can resolve"
    TESTS_FAILED = (
        9,
        "a test (`test`) or an exchange (`vendors check`) failed, or a fact was refuted (`vendors verify`)",
    )
    INTERRUPTED = 130, "interrupted by SIGINT, state saved"
    TERMINATED = 143, "terminated by SIGTERM, state saved"

    def __new__(cls, value: int, meaning: str) -> Self:
        """Create a member with its number and meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


#: When jobs end differently, the process exits with the first of these that occurs.
_MOST_SEVERE_FIRST = (
    ExitCode.UNEXPECTED,
    ExitCode.INVALID,
    ExitCode.ENVIRONMENT,
    ExitCode.LOCKED,
    ExitCode.NEEDS_ATTENTION,
    ExitCode.AWAITING_APPROVAL,
    ExitCode.UNSETTLED,
    ExitCode.REJECTS,
)


def most_severe_exit_code(codes: Iterable[int]) -> ExitCode:
    """Return the exit code of a process whose jobs ended with these codes."""
    present = set(codes)
    return next((code for code in _MOST_SEVERE_FIRST if code in present), ExitCode.DONE)


#: Shortest value that is replaced in any text, and from which length it is replaced within words, too.
_HIDDEN_MIN, _HIDDEN_IN_WORDS = 4, 8
#: Values that no message of this process shows, with what it shows instead.
_hidden_values: dict[str, str] = {}


def hide_values(values: Mapping[str, str]) -> None:
    """Replace values in the messages and hints of all errors that are raised from now on.

    Args:
        values: Values of environment variables, each with the reference to show instead, such as `${DATA}`.
    """
    _hidden_values.update((value, shown) for value, shown in values.items() if value != "batchsync")


def show_values(values: Iterable[str]) -> None:
    """Show values again that `hide_values` hid."""
    for value in values:
        _hidden_values.pop(value, None)


def without_values(text: str, values: Mapping[str, str]) -> str:
    """Return a text in which values are replaced, also where they are quoted, normalized as a path, or in lower case.

    Args:
        text: A message.
        values: As for `hide_values`. Values of fewer than four characters are kept: they are parts of many words.

    Returns:
        The text without the values.
    """
    for value, shown in sorted(values.items(), key=lambda item: -len(item[0])):
        slim = re.sub(r"/(?:\./|/)+", "/", value.removeprefix("./").removeprefix("~"))
        for form in dict.fromkeys((value, repr(value)[1:-1], slim, slim.rstrip("/"), _printable(value))):
            if len(form) >= _HIDDEN_MIN and form.casefold() in text.casefold():
                # Words of a command to type, such as `batchsync sync`, are no values.
                edge = ("", "") if len(form) >= _HIDDEN_IN_WORDS else (r"(?<!\w)(?<!batchsync )", r"(?!\w)")
                pattern = edge[0] + re.escape(form) + edge[1]
                text = re.sub(pattern, shown.replace("\\", r"\\"), text, flags=re.IGNORECASE)
    return text


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


class BatchsyncError(Exception):
    """Base of all expected errors. `hint` is the next command to run, `exit_code` that of the process.

    `name` is the name of the error in the registry of codes (`batchsync_specs/errors.toml`).
    """

    exit_code: ExitCode = ExitCode.UNEXPECTED
    name: str = "unexpected"

    def __init__(self, message: str, *, hint: str = "", name: str = "") -> None:
        """Store the message, the hint, which is printed on the line below it, and the name if it is no general one."""
        message = without_values(message, _hidden_values)
        super().__init__(message)
        self.message = message
        self.hint = without_values(hint, _hidden_values)
        self.name = name or type(self).name

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to pickle the error: with its attributes, as constructors have other arguments than `args`."""
        return _restored, (type(self), self.__dict__)


def _restored(kind: type[BatchsyncError], attributes: Mapping[str, Any]) -> BatchsyncError:
    """Return an error of another process, which shows no more values than errors of this one.

    Args:
        kind: Class of the error.
        attributes: Its attributes.
    """
    error = kind.__new__(kind)
    vars(error).update(attributes)
    error.message = without_values(error.message, _hidden_values)
    error.hint = without_values(error.hint, _hidden_values)
    error.args = (error.message,)
    return error


def install_hint(extra: str) -> str:
    """Return the hint of an error about a package that is not installed: the command that installs it.

    Args:
        extra: Name of an extra of batchsync, such as `postgres`.
    """
    return f"Install it: pip install 'batchsync[{extra}]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem in a file that a person wrote, with its location and suggested correction.

    `line` and `column` count from 1; 0 means that the location is unknown. `source_line` is the line itself. `code` is
    a stable dotted identifier such as `spec.unknown_key`.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    source_line: str = ""
    expected: str = ""
    suggestion: str = ""


def without_hidden(problem: Problem) -> Problem:
    """Return a problem without the values of `hide_values`; its line of the file has references only."""
    if not _hidden_values:
        return problem
    return replace(
        problem,
        message=without_values(problem.message, _hidden_values),
        suggestion=without_values(problem.suggestion, _hidden_values),
    )


class SpecError(BatchsyncError):
    """jobs.yaml or a vendor spec is invalid. Carries every problem found, not only the first."""

    exit_code = ExitCode.INVALID
    name = "spec"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Store all problems, in the order of the file; the hint of the error is the first of them."""
        problems = tuple(without_hidden(item) for item in problems)
        count = len(problems)
        hint = "".join(f"{item.file}:{item.line}: {item.message}" for item in problems[:1])
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the spec", hint=hint)
        self.problems = problems


class UsageError(BatchsyncError):
    """The command line names something that does not exist or is not possible."""

    exit_code = ExitCode.INVALID
    name = "usage"


class SourceError(BatchsyncError):
    """The source cannot be read as declared: missing, truncated, wrongly encoded, or of another format."""

    exit_code = ExitCode.ENVIRONMENT
    name = "source"


class UnavailableError(BatchsyncError):
    """The disk, a secret or the vendor is not reachable now."""

    exit_code = ExitCode.ENVIRONMENT
    name = "environment"


class StateError(BatchsyncError):
    """The state folder cannot be trusted: damaged, of a newer batchsync, or written by another program."""

    exit_code = ExitCode.ENVIRONMENT
    name = "state"


class LockedError(BatchsyncError):
    """Another process runs this job, or took over its lease."""

    exit_code = ExitCode.LOCKED
    name = "locked"


class StalePlanError(BatchsyncError):
    """A plan file cannot be applied: what it was made from moved, or it was applied already. Nothing was sent."""

    exit_code = ExitCode.LOCKED
    name = "plan.stale"


class AccountLimitError(BatchsyncError):
    """A limit of the account leaves nothing for a job now. Nothing is wrong; the same command goes on later."""

    exit_code = ExitCode.UNSETTLED
    name = "run.account_limit"


class VendorError(Exception):
    """A vendor call failed. Its three kinds are the subclasses below."""

    def __init__(self, reason: str) -> None:
        """Store the reason, which must not contain secrets or signed query strings."""
        super().__init__(reason)
        self.reason = reason


class RetryableError(VendorError):
    """The request surely had no effect: no connection, or a refusal that proves it. Retry after `retry_at`.

    A 429 or 503 proves it for a read only. A call whose repetition could do harm needs a documented body.
    """

    def __init__(self, reason: str, *, retry_at: datetime | None = None) -> None:
        """Store the time before which the vendor asked not to retry, if any."""
        super().__init__(reason)
        self.retry_at = retry_at


class CallsUsedUpError(RetryableError):
    """The calls of the account for a day are used up, so that the request was not sent. `retry_at` is always known."""

    def __init__(self, retry_at: datetime) -> None:
        """Store when a call may be made again."""
        super().__init__("the calls of the account for a day are used up", retry_at=retry_at)
        self.free_at = retry_at


class NotReadyError(RetryableError):
    """The vendor has finished a batch, and its results cannot be downloaded yet. This is no failure."""


class AmbiguousOutcomeError(VendorError):
    """The request was sent and got no usable response: it may have had an effect. Query the vendor first.

    No query is sent before `retry_at`, if the response named it (Retry-After). `foreign`: something else than the
    vendor answered, such as a proxy with a page of its own.
    """

    def __init__(self, reason: str, *, retry_at: datetime | None = None, foreign: bool = False) -> None:
        """Store the time before which the vendor asked not to query, if any, and who answered."""
        super().__init__(reason)
        self.retry_at = retry_at
        self.foreign = foreign


class PermanentError(VendorError):
    """The vendor refused the request, and repeating it unchanged will not help. A person must act.

    `proven`: the vendor spec documents the refusal, or nothing was sent. Otherwise a gateway may have answered.
    """

    def __init__(self, reason: str, *, proven: bool = True) -> None:
        """Store the reason, and whether the request surely had no effect."""
        super().__init__(reason)
        self.proven = proven


class AllocationExpiredError(PermanentError):
    """The allocation can no longer take the file: its URL expired. An earlier request may have stored it."""
