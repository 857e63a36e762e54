"""Selection of the progress observer: live on a terminal, lines elsewhere, NDJSON on request."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from batchsync.cli.progress_lines import LineObserver, NdjsonObserver, QuietObserver
from batchsync.cli.streams import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.ports import Observer


@contextmanager
def running_app(session: Session, *, live: bool = True, **facts: object) -> Iterator[App]:
    """Open the application for a command that runs the loop: signals made safe, progress shown on stderr.

    Args:
        session: The command's session.
        live: Whether progress may be drawn on a terminal; else it is written as plain lines.
        **facts: Members of the line that opens an NDJSON stream.

    Yields:
        The application with its interrupts installed and its observer connected.
    """
    with session.app() as app, ExitStack() as shown:
        app.interrupts.install()
        app.observer = shown.enter_context(observer(session, lambda: app.clock.now(), facts, live=live))  # noqa: PLW0108 - the mocks replace the clock
        yield app


@contextmanager
def observer(
    session: Session, now: Callable[[], datetime], facts: Mapping[str, object], *, live: bool
) -> Iterator[Observer]:
    """Yield the observer selected by the output options."""
    if session.output == "ndjson":
        session.print_ndjson({"event": "started", "command": session.command} | dict(facts))
        yield NdjsonObserver(session.print_ndjson)
    elif session.quiet:
        yield QuietObserver()
    elif live and _is_live(session):
        from batchsync.cli.progress_live import LiveObserver  # noqa: PLC0415 - only a terminal needs it

        with LiveObserver.shown(now, coloured=session.use_color(err=True)) as drawing:
            yield drawing
    else:
        yield LineObserver(session.print_notice, now)


def _is_live(session: Session) -> bool:
    """Return whether stderr supports cursor movement, and plain lines were not requested."""
    return is_terminal(err=True) and os.environ.get("TERM") not in ("dumb", None) and not session.options.verbose
