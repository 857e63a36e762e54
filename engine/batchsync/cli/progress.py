"""Selection of the observers of a command: a display on a terminal, log lines elsewhere, NDJSON on request."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from batchsync.cli.monitoring import traced
from batchsync.cli.streams import BrokenPipeSafeStream, is_terminal, to_stderr
from batchsync.observers.dispatch import Dispatcher, installed_observers
from batchsync.observers.log import LogObserver
from batchsync.observers.ndjson import NdjsonObserver
from batchsync.ports import CommandStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from typing import TextIO

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.ports import Observer


@contextmanager
def running_app(
    session: Session, *, using: App | None = None, live: bool = True, also: Sequence[Observer] = (), **options: object
) -> Iterator[App]:
    """Open the application for a command that runs the loop: signals made safe, events shown.

    Args:
        session: The command's session.
        using: The application to open; None for that of the session.
        live: Whether progress may be drawn on a terminal; else it is written as log lines.
        also: Further observers.
        **options: Options of the command for observers; JSON-compatible.

    Yields:
        The application with its interrupts installed and its observers connected.
    """
    with using or session.app() as app, ExitStack() as displays:
        app.interrupts.install()

        def now() -> datetime:
            return app.clock.now()  # the mocks replace the clock

        def warn(message: str) -> None:
            session.print_line(f"warning: {message}", role="warn")

        own = _observer(session, displays, now, live=live)
        traces = displays.enter_context(traced(os.environ))
        app.events = Dispatcher([own, *also, *traces, *installed_observers(warn)], now=now, warn=warn)
        app.events.emit(CommandStarted(command=session.command, options=options))
        try:
            yield app
        except Exception:
            # Native code may swallow the exception of a signal, for instance during an import, and fail after it.
            app.interrupts.check()
            raise


def _observer(session: Session, displays: ExitStack, now: Callable[[], datetime], *, live: bool) -> Observer:
    """Return the observer that the output options select; a display is removed when `displays` is closed."""
    if session.output == "ndjson":
        return NdjsonObserver(session.print_ndjson)
    if live and not session.quiet and _is_display(session):
        from batchsync.observers.terminal import TerminalObserver  # noqa: PLC0415 - only a terminal needs it

        stream = cast("TextIO", BrokenPipeSafeStream(sys.stderr))
        shown = TerminalObserver.shown(stream, now, coloured=session.use_color(err=True))
        return displays.enter_context(shown)
    minimum = logging.WARNING if session.quiet else logging.INFO
    if session.json_logs:
        return LogObserver(to_stderr, minimum, as_json=True)
    return LogObserver(session.print_line, minimum)


def _is_display(session: Session) -> bool:
    """Return whether stderr supports cursor movement, and log lines were not requested."""
    if session.options.verbose or session.log_format:
        return False
    return is_terminal(err=True) and os.environ.get("TERM") not in ("dumb", None)
