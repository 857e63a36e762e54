"""What a command is given: its options, a door to the engine, and the two channels to whoever typed it.

The doors import what they need when they are opened: help must not wait for libraries that it does not use.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from lading import spec
from lading.cli import channels
from lading.cli.options import GlobalOptions
from lading.errors import UsageError
from lading.report.envelope import as_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from lading.app import App
    from lading.core.job import Deployment
    from lading.journal import Journal
    from lading.report.words import Report
    from lading.settings import Settings

_COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command came to: a report and how the process ends."""

    report: Report
    exit_code: int = 0


@dataclass(slots=True)
class Session:
    """One command from its parsing to its last line. `parsed` says that all its options are known."""

    options: GlobalOptions = field(default_factory=GlobalOptions)
    command: str = ""
    parsed: bool = False

    @property
    def output(self) -> str:
        """Return the form that stdout gets."""
        return self.options.output or "text"

    @property
    def quiet(self) -> bool:
        """Whether progress is unwelcome."""
        return bool(self.options.quiet)

    def settings(self) -> Settings:
        """Return the settings: flags first, then `LADING_*` variables, then defaults.

        Raises:
            UsageError: when a variable makes no sense.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - see the top of this file

        from lading.settings import Settings  # noqa: PLC0415 - the same

        given = {name: getattr(self.options, name) for name in ("file", "state", "mocks")}
        try:
            return Settings(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "LADING_" + "_".join(str(part) for part in first["loc"]).upper()
            raise UsageError(f"{name}: {first['msg'].lower()}", hint=f"set {name} right, or unset it") from None

    @contextmanager
    def app(self) -> Iterator[App]:
        """Give the engine, wired; its signals are still the system's."""
        from lading.app import App  # noqa: PLC0415 - see the top of this file

        with App(self.settings()) as app:
            yield app

    @contextmanager
    def running_app(self, *, live: bool = True, **facts: object) -> Iterator[App]:
        """Give the engine to a command that runs the loop: signals made safe, and progress shown on stderr.

        Without `live` progress is plain lines, whoever watches. `facts` stand in the line that opens an NDJSON stream.
        """
        from lading.cli.watching import watcher  # noqa: PLC0415 - see the top of this file

        with self.app() as app, ExitStack() as shown:
            app.interrupts.install()
            app.watcher = shown.enter_context(watcher(self, lambda: app.clock.now(), facts, live=live))  # noqa: PLW0108 - the mocks replace the clock
            yield app

    def deployment(self) -> Deployment:
        """Return what jobs.yaml says, without the rest of the engine.

        Raises:
            SpecError: with everything that is wrong in it.
        """
        return spec.load(self.settings().file, environ=os.environ)

    @contextmanager
    def journal(self) -> Iterator[Journal | None]:
        """Give the journal, only to be read; None when nothing was run in this state folder yet."""
        folder = self.settings().state_folder
        # A journal of which only a part is left is for the journal to complain about.
        if not any(folder.glob("journal.db*")):
            yield None
            return
        from lading.journal import Journal  # noqa: PLC0415 - see the top of this file

        with Journal.open(folder, read_only=True) as journal:
            yield journal

    def now(self) -> datetime:
        """Return the moment, as the engine's own clock says it."""
        from lading.app import SystemClock  # noqa: PLC0415 - see the top of this file

        return SystemClock(lambda _: None).now()

    def state_folder(self) -> Path:
        """Return the state folder."""
        return self.settings().state_folder

    def coloured(self, *, err: bool) -> bool:
        """Whether a channel wants colour: a terminal does, unless somebody said no."""
        if self.options.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return channels.is_terminal(err=err)

    def paint_on(self, *, err: bool) -> _Paint:
        """Return how text is coloured on a channel."""
        return _Paint(self.coloured(err=err))

    def say(self, message: str, *, role: str = "") -> None:
        """Tell the person something, on stderr."""
        message = self.options.addressed(message)
        said = self.paint_on(err=True)(message, role) if role else message
        channels.to_stderr(said, color=self.coloured(err=True))

    def tell(self, message: str) -> None:
        """Tell the person something that `--quiet` leaves out, on stderr."""
        if not self.quiet:
            self.say(message)

    def stream(self, line: Mapping[str, object]) -> None:
        """Write one line of NDJSON. A reader that went away is no reason to stop working."""
        try:
            click.echo(as_line(line))
        except OSError:
            channels.silence(sys.stdout)


@dataclass(frozen=True, slots=True)
class _Paint:
    """Colours for a terminal, or none."""

    coloured: bool

    def __call__(self, text: str, role: str) -> str:
        """Return the text in the colour of its role."""
        if not self.coloured:
            return text
        if role in _COLOURS:
            return click.style(text, fg=_COLOURS[role])
        return click.style(text, bold=role == "head" or None, dim=role == "dim" or None)
