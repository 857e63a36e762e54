"""How every command ends: its answer on stdout, or what went wrong on stderr, and an exit code that is documented.

It does not know what any command does. No traceback is ever shown; an unexpected one goes to a file, without values.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lading import spec
from lading.cli import channels
from lading.cli.options import peeked
from lading.cli.session import Answer, Session
from lading.errors import EnvironmentProblem, ExitCode, LadingError, SpecError
from lading.folders import make_private
from lading.interrupts import NEXT, SAID, Interrupted
from lading.report.envelope import Failure, annotation, as_json, as_line, envelope
from lading.report.words import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CODES = {
    ExitCode.UNEXPECTED: "unexpected",
    ExitCode.INVALID: "invalid",
    ExitCode.ENVIRONMENT: "environment",
    ExitCode.REJECTS: "rejects",
    ExitCode.UNSETTLED: "unsettled",
    ExitCode.HELD: "held",
    ExitCode.LOCKED: "locked",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}


def ended(run: Callable[[], Any], session: Session, arguments: list[str]) -> int:
    """Run a command, print how it came out, and return the exit code of the process."""
    channels.ready()
    try:
        came = run()
    except click.exceptions.NoArgsIsHelpError as error:
        channels.to_stderr(error.format_message())
        return ExitCode.INVALID
    except BaseException as error:  # noqa: BLE001 - the last stop of everything, signals included
        if not session.parsed:
            session.options = session.options.overridden(peeked(arguments))
        code, failure = _explained(error, session)
        failure = replace(failure, hint=session.options.addressed(failure.hint))
        return int(_printed(lambda: _print_failure(failure, code, session), code))
    if not isinstance(came, Answer):
        # Help and version print themselves.
        return came if isinstance(came, int) else 0
    return int(_printed(lambda: print_answer(came, session), came.exit_code))


def _explained(error: BaseException, session: Session) -> tuple[int, Failure]:  # noqa: PLR0911 - one arm for each way to end
    """Return the exit code and the words for whatever ended the command."""
    match error:
        case click.exceptions.UsageError():
            return ExitCode.INVALID, _usage(error)
        case click.ClickException():
            return ExitCode.INVALID, Failure(code="usage", message=error.format_message())
        case SpecError():
            hint = error.hint or "correct it, then run `lading validate`"
            return error.exit_code, Failure(code="spec", message=error.message, hint=hint, problems=error.problems)
        case LadingError():
            return error.exit_code, Failure(code=_CODES[error.exit_code], message=error.message, hint=error.hint)
        case Interrupted():
            return error.exit_code, _interrupted(error.exit_code)
        case KeyboardInterrupt() | click.Abort():
            return ExitCode.INTERRUPTED, _interrupted(ExitCode.INTERRUPTED)
        case BrokenPipeError():
            return ExitCode.DONE, Failure(code="", message="")
        case OSError() if error.strerror and error.filename:
            problem = EnvironmentProblem(f"{error.filename}: {error.strerror}", hint="lading doctor")
            return _explained(problem, session)
        case _:
            return ExitCode.UNEXPECTED, _unexpected(error, session)


def tell_failure(error: LadingError, session: Session) -> Failure:
    """Tell on stderr what went wrong, as at the end of a command, and return it; the command goes on."""
    _, failure = _explained(error, session)
    failure = replace(failure, hint=session.options.addressed(failure.hint))
    _to_stderr(failure, session)
    return failure


def _usage(error: click.UsageError) -> Failure:
    path = error.ctx.command_path if error.ctx else "lading"
    return Failure(code="usage", message=error.format_message().rstrip("."), hint=f"{path} --help")


def _interrupted(code: ExitCode) -> Failure:
    return Failure(code=_CODES[code], message=SAID, hint=NEXT)


def _unexpected(error: BaseException, session: Session) -> Failure:
    """Keep the traceback in a file of the state folder, and say where."""
    name = type(error).__name__
    story = "\n".join(_story(error))
    try:
        path = _crash_file(session)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(story + "\n")
    except Exception:  # noqa: BLE001 - whatever keeps us from the folder must not hide the error itself
        channels.to_stderr(story)
        return Failure(
            code="unexpected", message=f"unexpected {name}; state saved", hint="report it with the lines above"
        )
    return Failure(
        code="unexpected",
        message=f"unexpected {name}; state saved, traceback in {path}",
        hint="report it with that file (it holds no row values), then go on with `lading resume`",
    )


def _crash_file(session: Session) -> Path:
    folder = session.state_folder()
    make_private(folder)
    return folder / f"crash-{session.now():%Y%m%dT%H%M%SZ}.txt"


def _story(error: BaseException | None) -> list[str]:
    """Return the traceback without locals; words only of our own errors, for others may quote row values."""
    if error is None:
        return []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = _story(cause)
    if before:
        before += ["", "and then:", ""]
    ours = type(error).__module__.startswith("lading.") or isinstance(error, (AssertionError, ImportError))
    said = f": {error}" if ours else ""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return [*before, frames, f"{type(error).__module__}.{type(error).__qualname__}{said}"]


def print_answer(answer: Answer, session: Session) -> None:
    """Write an answer to stdout in the form that was asked for."""
    report, command, failure = answer.report, session.command or "lading", _shortfall(answer.exit_code)
    match session.output:
        case "json":
            click.echo(as_json(envelope(command, answer.exit_code, result=report.data(), failure=failure)))
        case "ndjson":
            for line in report.lines():
                click.echo(as_line(line))
            end = envelope(command, answer.exit_code, result=None, failure=failure)
            click.echo(as_line({"event": "finished"} | end))
        case "md":
            click.echo(session.options.addressed(report.markdown()))
        case _:
            text = session.options.addressed(report.text(session.paint_on(err=False)))
            click.echo(text, color=session.coloured(err=False))


def _shortfall(code: int) -> Failure | None:
    """Return what an answer fell short of, for programs; its result says the rest."""
    return next((Failure(code=word, message=one.meaning) for one, word in _CODES.items() if one == code), None)


def _print_failure(failure: Failure, code: int, session: Session) -> None:
    if not failure.message:
        return
    _to_stderr(failure, session)
    command = session.command or "lading"
    document = envelope(command, code, result=None, failure=failure)
    if session.output == "json":
        click.echo(as_json(document))
    elif session.output == "ndjson":
        click.echo(as_line({"event": "finished"} | document))
    elif session.output == "md":
        click.echo(failure.markdown())


def _to_stderr(failure: Failure, session: Session) -> None:
    paint = session.paint_on(err=True)
    lines = [f"{spec.render_problem(one)}\n" for one in failure.problems]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines += [annotation(one) for one in failure.problems]
    lines.append(f"{paint('error:', 'bad')} {visible(failure.message)}")
    if failure.hint:
        lines.append(f"{paint('next:', 'head')} {visible(failure.hint)}")
    channels.to_stderr("\n".join(lines), color=session.coloured(err=True))


def _printed(write: Callable[[], None], code: int) -> int:
    """Write, quietly when the reader went away (`| head`); what was done stays done, so the code stays."""
    try:
        write()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        channels.silence(sys.stdout)
    except OSError as error:
        channels.silence(sys.stdout)
        channels.to_stderr(f"error: stdout could not be written: {error.strerror}")
        return code or ExitCode.ENVIRONMENT
    return code
