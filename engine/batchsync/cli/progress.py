"""Chooses how progress is shown: live on a terminal, one line per event elsewhere, NDJSON on stdout when asked for.

It does not know what is shown.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.cli.channels import is_terminal
from lading.cli.watch_lines import LineWatcher, NdjsonWatcher, QuietWatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from lading.cli.session import Session
    from lading.ports import Watcher


@contextmanager
def watcher(
    session: Session, now: Callable[[], datetime], facts: Mapping[str, object], *, live: bool
) -> Iterator[Watcher]:
    """Give somebody who is shown how far the work is, until the block ends."""
    if session.output == "ndjson":
        session.stream({"event": "started", "command": session.command} | dict(facts))
        yield NdjsonWatcher(session.stream)
    elif session.quiet:
        yield QuietWatcher()
    elif live and _is_live(session):
        from lading.cli.watch_live import LiveWatcher  # noqa: PLC0415 - only a terminal needs it

        with LiveWatcher.shown(now, coloured=session.coloured(err=True)) as drawing:
            yield drawing
    else:
        yield LineWatcher(session.tell, now)


def _is_live(session: Session) -> bool:
    """Whether a person watches a terminal that can move its cursor, and did not ask for plain lines."""
    return is_terminal(err=True) and os.environ.get("TERM") not in ("dumb", None) and not session.options.verbose
