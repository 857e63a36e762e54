"""Completion of names in the shell: jobs and selectors, runs, open batches. Prints nothing and raises nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from batchsync import spec
from batchsync.cli.options import NAMES
from batchsync.cli.session import Session
from batchsync.util.error_codes import error_codes

if TYPE_CHECKING:
    import click

    from batchsync.spec.outline import Outline

#: Number of runs that are completed, newest first.
_RUNS_MAX = 20
_STATES = ("state:new", "state:modified", "result:failed", "result:rejected", "result:attention")


def complete_selectors(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the selectors that begin as the last term of a word."""
    before, sign, term = incomplete.rpartition(",")
    plus = "+" if term.startswith("+") else ""
    found: list[str] = []
    with suppress(Exception):  # completion must not fail: an invalid jobs.yaml is reported by the command itself
        found = _selectors(_session(ctx))
    start = f"{before}{sign}{plus}"
    return [CompletionItem(start + item) for item in found if item.startswith(term.removeprefix("+"))]


def complete_jobs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the declared jobs whose names begin so."""
    found: list[str] = []
    with suppress(Exception):  # the same
        found = list(_outline(_session(ctx)).jobs)
    return [CompletionItem(item) for item in found if item.startswith(incomplete)]


def complete_connections(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the declared connections whose names begin so."""
    found: list[str] = []
    with suppress(Exception):  # the same
        found = list(_outline(_session(ctx)).connections)
    return [CompletionItem(item) for item in found if item.startswith(incomplete)]


def complete_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the declared jobs and the newest runs whose names begin so."""
    found: list[str] = []
    with suppress(Exception), _session(ctx).journal() as journal:  # the same
        found = [str(run.id) for run in journal.history(None, _RUNS_MAX)] if journal else []
    runs = [CompletionItem(item) for item in found if item.startswith(incomplete)]
    return [*complete_jobs(ctx, _param, incomplete), *runs]


def complete_batches(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the open batches whose ids begin so."""
    found: list[str] = []
    with suppress(Exception), _session(ctx).journal() as journal:  # the same
        found = [str(batch.id) for batch in journal.open_batches()] if journal else []
    return [CompletionItem(item) for item in found if item.startswith(incomplete)]


def complete_codes(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the error codes that begin so, with their titles."""
    start = incomplete.upper()
    return [CompletionItem(code, help=item.title) for code, item in error_codes().items() if code.startswith(start)]


def _selectors(session: Session) -> list[str]:
    outline = _outline(session)
    methods = {"tag": outline.tags, "connection": outline.connections}
    return [*outline.jobs, *(f"{name}:{item}" for name, items in methods.items() for item in items), *_STATES]


def _outline(session: Session) -> Outline:
    settings = session.settings()
    return spec.outline_of(settings.file, settings.jobs)


def _session(ctx: click.Context) -> Session:
    """Return a session with the global options of the line so far; callbacks do not run while it is completed."""
    session = Session()
    line: click.Context | None = ctx
    while line is not None:
        outer = {name: line.params[name] for name in NAMES if line.params.get(name) is not None}
        session.options = session.options.merged(outer | session.options.given())
        line = line.parent
    return session
