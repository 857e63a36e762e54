"""Exit of every command: report on stdout or error on stderr, and a documented exit code.

Tracebacks are never shown; that of an unexpected error is written to a file, without values.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from batchsync import spec
from batchsync.cli import streams
from batchsync.cli.options import sniff_output_format
from batchsync.cli.session import Answer, Session
from batchsync.errors import BatchsyncError, ExitCode, SpecError, StalePlanError, UnavailableError
from batchsync.interrupts import NEXT_COMMAND, SIGNAL_NOTICE, Interrupted
from batchsync.report.envelope import Failure, annotation, as_json, as_line, envelope
from batchsync.report.junit import junit
from batchsync.report.tests import TestsReport
from batchsync.report.text_format import escape_controls
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CODES = {
    ExitCode.UNEXPECTED: "unexpected",
    ExitCode.INVALID: "invalid",
    ExitCode.ENVIRONMENT: "environment",
    ExitCode.REJECTS: "rejects",
    ExitCode.UNSETTLED: "unsettled",
    ExitCode.AWAITING_APPROVAL: "awaiting_approval",
    ExitCode.LOCKED: "locked",
    ExitCode.NEEDS_ATTENTION: "needs_attention",
    ExitCode.TESTS_FAILED: "tests_failed",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}


#: Names of errors of the command line by their class; subclasses first.
_USAGE: dict[type[click.UsageError], str] = {
    click.exceptions.NoSuchCommand: "usage.unknown_command",
    click.NoSuchOption: "usage.unknown_option",
    click.MissingParameter: "usage.missing_argument",
    click.BadParameter: "usage.bad_value",
    click.BadOptionUsage: "usage.bad_value",
}
#: Names of errors of commands that have a result.
_RUN_ENDS = {
    ExitCode.REJECTS: "run.rejects",
    ExitCode.UNSETTLED: "run.unsettled",
    ExitCode.AWAITING_APPROVAL: "run.awaiting_approval",
    ExitCode.NEEDS_ATTENTION: "run.needs_attention",
}
_LESS_MEMORY = "set `memory: small` in jobs.yaml, or give the process more memory; then run the same command again"


def run_command(run: Callable[[], Any], session: Session, arguments: list[str]) -> int:
    """Run a command and print its result.

    Args:
        run: Runs the command line and returns its result.
        session: The session of the command.
        arguments: The command line, in case it cannot be parsed.

    Returns:
        The exit code of the process.
    """
    streams.repair_std_streams()
    try:
        result = run()
    except click.exceptions.NoArgsIsHelpError as error:
        streams.to_stderr(error.format_message())
        return ExitCode.INVALID
    except SystemExit as end:
        # click ends so after it completed a line of the shell.
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException as error:  # noqa: BLE001 - the last stop of everything, signals included
        if not session.parsed:
            session.options = session.options.merged(sniff_output_format(arguments))
        code, failure = _to_failure(error, session)
        failure = replace(failure, hint=session.options.with_global_options(failure.hint))
        return int(_printed(lambda: _print_failure(failure, code, session), code))
    if not isinstance(result, Answer):
        # Help and version are printed by click.
        return result if isinstance(result, int) else 0
    return int(_printed(lambda: print_answer(result, session), result.exit_code))


def _to_failure(error: BaseException, session: Session) -> tuple[int, Failure]:  # noqa: PLR0911 - a case for each kind of error
    """Return the exit code and the failure for the exception that ended the command."""
    match error:
        case click.exceptions.UsageError():
            return ExitCode.INVALID, _usage(error)
        case click.ClickException():
            return ExitCode.INVALID, Failure(code="usage", message=error.format_message(), name="usage.bad_value")
        case SpecError():
            hint = "correct it, then run `batchsync validate`"
            return error.exit_code, Failure(code="spec", message=error.message, hint=hint, problems=error.problems)
        case BatchsyncError():
            code = "stale_plan" if isinstance(error, StalePlanError) else _CODES[error.exit_code]
            return error.exit_code, Failure(code=code, message=error.message, hint=error.hint, name=error.name)
        case Interrupted():
            return error.exit_code, Failure(code=_CODES[error.exit_code], message=error.notice, hint=error.hint)
        case KeyboardInterrupt() | click.Abort():
            failure = Failure(code=_CODES[ExitCode.INTERRUPTED], message=SIGNAL_NOTICE, hint=NEXT_COMMAND)
            return ExitCode.INTERRUPTED, failure
        case BrokenPipeError():
            return ExitCode.DONE, Failure(code="", message="")
        case MemoryError():
            problem = UnavailableError("not enough memory", hint=_LESS_MEMORY, name="environment.memory")
            return _to_failure(problem, session)
        case OSError() if error.strerror and error.filename:
            problem = UnavailableError(f"{error.filename}: {error.strerror}", hint="batchsync doctor")
            return _to_failure(problem, session)
        case _:
            return ExitCode.UNEXPECTED, _unexpected(error, session)


def print_failure(error: BatchsyncError, session: Session) -> Failure:
    """Print an error to stderr without ending the command.

    Returns:
        The failure that was printed.
    """
    _, failure = _to_failure(error, session)
    failure = replace(failure, hint=session.options.with_global_options(failure.hint))
    _to_stderr(failure, session)
    return failure


def print_problems(error: BatchsyncError | None, session: Session) -> None:
    """Print each problem of a job with its source to stderr, with its place in jobs.yaml; nothing for other errors."""
    if isinstance(error, SpecError):
        print_failure(error, session)


def _usage(error: click.UsageError) -> Failure:
    path = error.ctx.command_path if error.ctx else "batchsync"
    name = next((name for kind, name in _USAGE.items() if isinstance(error, kind)), "usage")
    dry = isinstance(error, click.NoSuchOption) and error.option_name in {"--dry-run", "--dry", "-n"}
    hint = "`batchsync plan` prints what a sync would send" if dry else f"{path} --help"
    return Failure(code="usage", message=error.format_message().rstrip("."), hint=hint, name=name)


def _unexpected(error: BaseException, session: Session) -> Failure:
    """Write the traceback to a file in the state folder, and return the failure naming it."""
    name = type(error).__name__
    trace = "\n".join(_traceback_without_locals(error))
    try:
        path = _crash_file(session)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(trace + "\n")
    except Exception:  # noqa: BLE001 - a failure to write must not hide the original error
        streams.to_stderr(trace)
        return Failure(
            code="unexpected",
            message=f"unexpected {name}; state saved",
            hint="report it with the lines above",
            name="unexpected",
        )
    return Failure(
        code="unexpected",
        message=f"unexpected {name}; state saved, traceback in {path}",
        hint="report it with that file (it contains no row values), then run `batchsync resume`",
        name="unexpected",
    )


def _crash_file(session: Session) -> Path:
    folder = session.state_folder()
    make_private(folder)
    return folder / f"crash-{session.now():%Y%m%dT%H%M%SZ}.txt"


def _traceback_without_locals(error: BaseException | None) -> list[str]:
    """Return the traceback without locals; messages only of our own errors, because others may quote row values."""
    if error is None:
        return []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = _traceback_without_locals(cause)
    if before:
        before += ["", "and then:", ""]
    ours = type(error).__module__.startswith("batchsync.") or isinstance(error, (AssertionError, ImportError))
    message = f": {error}" if ours else ""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return [*before, frames, f"{type(error).__module__}.{type(error).__qualname__}{message}"]


def print_answer(answer: Answer, session: Session) -> None:
    """Write a report to stdout in the selected output format."""
    report, command, failure = answer.report, session.command or "batchsync", _incomplete(answer.exit_code)
    match session.output:
        case "json":
            click.echo(as_json(envelope(command, answer.exit_code, result=report.data(), failure=failure)))
        case "ndjson":
            at = session.line_time()
            for line in report.lines():
                click.echo(as_line(line, at))
            end = envelope(command, answer.exit_code, result=None, failure=failure)
            click.echo(as_line({"event": "finished"} | end, at))
        case "md":
            click.echo(session.options.with_global_options(report.markdown()))
        case "junit" if isinstance(report, TestsReport):
            click.echo(junit(report))
        case _:
            text = session.options.with_global_options(report.text(session.style_for(err=False)))
            click.echo(text, color=session.use_color(err=False))


def _incomplete(code: int) -> Failure | None:
    """Return the failure for a nonzero exit code of a command that has a result."""
    found = next(((item, name) for item, name in _CODES.items() if item == code), None)
    return Failure(code=found[1], message=found[0].meaning, name=_RUN_ENDS.get(found[0], "")) if found else None


def _print_failure(failure: Failure, code: int, session: Session) -> None:
    if not failure.message:
        return
    _to_stderr(failure, session)
    command = session.command or "batchsync"
    document = envelope(command, code, result=None, failure=failure)
    if session.output == "json":
        click.echo(as_json(document))
    elif session.output == "ndjson":
        click.echo(as_line({"event": "finished"} | document, session.line_time()))
    elif session.output == "md":
        click.echo(failure.markdown())


def _to_stderr(failure: Failure, session: Session) -> None:
    if session.json_logs:
        for problem in failure.problems:
            session.print_entry("problem", spec.render_problem(problem), logging.ERROR)
        hint = f"; next: {failure.hint}" if failure.hint else ""
        session.print_entry("failed", escape_controls(f"{failure.message_with_code}{hint}"), logging.ERROR)
        return
    paint = session.style_for(err=True)
    lines = [f"{spec.render_problem(problem)}\n" for problem in failure.problems]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines += [annotation(problem) for problem in failure.problems]
    lines.append(f"{paint('error:', 'bad')} {escape_controls(failure.message_with_code)}")
    if failure.hint:
        lines.append(f"{paint('next:', 'head')} {escape_controls(failure.hint)}")
    streams.to_stderr("\n".join(lines), color=session.use_color(err=True))


def _printed(write: Callable[[], None], code: int) -> int:
    """Write to stdout and return the exit code, which a closed pipe (`| head`) does not change."""
    try:
        write()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        streams.redirect_to_null(sys.stdout)
    except OSError as error:
        streams.redirect_to_null(sys.stdout)
        streams.to_stderr(f"error: cannot write to stdout: {error.strerror}")
        return code or ExitCode.ENVIRONMENT
    return code
