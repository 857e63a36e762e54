"""Session of one command: options, access to the engine, stdout and stderr.

Heavy modules are imported on use, so that `--help` stays fast.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli import streams
from batchsync.cli.options import GlobalOptions
from batchsync.deployments import CHECKOUTS, RECORD
from batchsync.errors import BatchsyncError, UsageError
from batchsync.report.envelope import as_line
from batchsync.report.log_entry import LogEntry
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.path_fence import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from batchsync.app import App
    from batchsync.core.deployment import Deployment
    from batchsync.journal import Journal
    from batchsync.report.text_format import Report
    from batchsync.settings import Settings

_COLOURS = {"good": "green", "bad": "red", "warn": "yellow"}
#: Levels of messages on stderr by their role; others are INFO.
_LEVELS = {"bad": logging.ERROR, "warn": logging.WARNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Result of a command: a report and the exit code."""

    report: Report
    exit_code: int = 0


@dataclass(slots=True)
class Session:
    """State of one command; `parsed` means that all its options are known, `confined` that its process is limited."""

    options: GlobalOptions = field(default_factory=GlobalOptions)
    command: str = ""
    parsed: bool = False
    confined: bool = False
    _last_line: datetime | None = None

    @property
    def output(self) -> str:
        """Output format of stdout."""
        return self.options.output or "text"

    @property
    def quiet(self) -> bool:
        """Whether progress is suppressed."""
        return bool(self.options.quiet)

    @property
    def log_format(self) -> str:
        """Format of log lines; empty if none was chosen."""
        return self.options.log_format or os.environ.get("BATCHSYNC_LOG_FORMAT", "")

    @property
    def json_logs(self) -> bool:
        """Whether everything on stderr is lines of JSON."""
        return self.log_format == "json"

    def settings(self) -> Settings:
        """Return the settings: flags first, then `BATCHSYNC_*` variables, then defaults.

        Raises:
            UsageError: If a variable is invalid, or a variable or state folder of lading is present.
        """
        from pydantic import ValidationError  # noqa: PLC0415 - see the top of this file

        from batchsync.settings import Settings  # noqa: PLC0415 - the same

        if os.environ.get("BATCHSYNC_ROOTS") == "":
            raise UsageError(
                "BATCHSYNC_ROOTS is empty", hint="name the folders that jobs may use, or unset it", name="usage.setting"
            )
        values = {name: getattr(self.options, name) for name in ("file", "state", "mocks", "env", "log_format")}
        values["jobs"] = self.options.jobs_folder
        try:
            settings = Settings(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "BATCHSYNC_" + "_".join(str(part) for part in first["loc"]).upper()
            raise UsageError(
                f"{name}: {first['msg'].lower()}", hint=f"correct {name}, or unset it", name="usage.setting"
            ) from None
        for path in (settings.file, settings.state_folder):
            if not is_utf8(path):
                raise UsageError(f"{path} is a path that is not UTF-8", hint="rename it, or use a link to it")
        if settings.state_folder.exists() and not settings.state_folder.is_dir():
            hint = "name a folder with --state or BATCHSYNC_STATE"
            raise UsageError(f"{settings.state_folder} is no folder, and cannot hold the state", hint=hint)
        refuse_former_names(settings.file, os.environ)
        if settings.state is None:
            refuse_links(settings.state_folder)
            refuse_checkouts(settings.file)
        return settings

    @contextmanager
    def app(self) -> Iterator[App]:
        """Yield the wired application; signal handlers are not installed yet."""
        with self.new_app(self.settings()) as app:
            yield app

    def new_app(self, settings: Settings) -> App:
        """Return an application, which the caller opens.

        Args:
            settings: Its settings.
        """
        from batchsync.app import App  # noqa: PLC0415 - see the top of this file

        return App(settings, untrusted=self.confined)

    def deployment(self) -> Deployment:
        """Return the contents of jobs.yaml, loaded without the rest of the engine.

        Raises:
            SpecError: If the file is invalid; contains all problems.
        """
        settings = self.settings()
        choice = spec.Choice(settings.env, settings.jobs)
        return spec.load(settings.file, environ=os.environ, fence=settings.fence, choice=choice)

    @contextmanager
    def journal(self) -> Iterator[Journal | None]:
        """Yield the journal, opened read-only; None if nothing was run in this state folder yet.

        Raises:
            StateError: If it is missing, and jobs.yaml requires it.
        """
        folder = self.settings().state_folder
        if self.confined:
            yield None
            return
        # An incomplete journal is reported by Journal.open.
        if not any(folder.glob("journal.db*")):
            if not self.settings().is_trial and self._requires_state():
                from batchsync.journal import check_present  # noqa: PLC0415 - see the top of this file

                check_present(folder, required=lambda: True)
            yield None
            return
        from batchsync.journal import Journal, check_environment  # noqa: PLC0415 - see the top of this file

        check_environment(folder, self.settings().env or "")
        with Journal.open(folder, read_only=True, objects=LocalFolder(folder)) as journal:
            yield journal

    def _requires_state(self) -> bool:
        """Return whether jobs.yaml requires the state folder; an invalid file is reported elsewhere."""
        with suppress(BatchsyncError):
            return self.deployment().state_required
        return False

    def now(self) -> datetime:
        """Return the current time of the engine's clock."""
        from batchsync.system_clock import SystemClock  # noqa: PLC0415 - see the top of this file

        return SystemClock(lambda _: None).now()

    def state_folder(self) -> Path:
        """Return the state folder."""
        return self.settings().state_folder

    def use_color(self, *, err: bool) -> bool:
        """Return whether to colour a stream: terminals are coloured unless colour is disabled."""
        if self.options.no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return streams.is_terminal(err=err)

    def style_for(self, *, err: bool) -> _Style:
        """Return the style of a stream."""
        return _Style(self.use_color(err=err))

    def print_line(self, message: str, *, role: str = "") -> None:
        """Print a message to stderr."""
        message = self.options.with_global_options(message)
        if self.json_logs:
            self.print_entry("message", message.removeprefix("warning: "), _LEVELS.get(role, logging.INFO))
            return
        styled = self.style_for(err=True)(message, role) if role else message
        streams.to_stderr(styled, color=self.use_color(err=True))

    def print_entry(self, event: str, message: str, level: int) -> None:
        """Write a line of JSON to stderr.

        Args:
            event: Kind of the line.
            message: The text.
            level: A level of the module `logging`.
        """
        streams.to_stderr(LogEntry(at=self.now(), level=level, event=event, message=message).json())

    def print_notice(self, message: str) -> None:
        """Print a message to stderr unless `--quiet` is set."""
        if not self.quiet:
            self.print_line(message)

    def line_time(self, at: datetime | None = None) -> datetime:
        """Return the time of the next NDJSON line: `at`, or now, but not before the last line.

        The clock of the mocks may be ahead of ours, and stops when they do.
        """
        self._last_line = max(filter(None, (at or self.now(), self._last_line)))
        return self._last_line

    def print_ndjson(self, line: Mapping[str, object], at: datetime | None = None) -> None:
        """Write one line of NDJSON, with its time (None: now); a closed pipe does not end the command."""
        try:
            click.echo(as_line(line, self.line_time(at)))
        except OSError:
            streams.redirect_to_null(sys.stdout)


@dataclass(frozen=True, slots=True)
class _Style:
    """Colours for a terminal, or none."""

    coloured: bool

    def __call__(self, text: str, role: str) -> str:
        """Return the text in the colour of its role."""
        if not self.coloured:
            return text
        if role in _COLOURS:
            return click.style(text, fg=_COLOURS[role])
        return click.style(text, bold=role == "head" or None, dim=role == "dim" or None)


def refuse_former_names(jobs_file: Path, environ: Mapping[str, str]) -> None:
    """Refuse settings and state of lading, the former name of batchsync.

    A variable that has no effect, or a state folder that is not read, would send every row again.

    Args:
        jobs_file: Path of the jobs file; the former state folder is looked for next to it.
        environ: Environment variables.

    Raises:
        UsageError: If a variable `LADING_*` is set, or a folder `.lading` exists.
    """
    if former := next((name for name in sorted(environ) if name.startswith("LADING_")), None):
        raise UsageError(
            f"{former} is set, but lading is now batchsync and reads BATCHSYNC_* only",
            hint=f"rename it to BATCHSYNC_{former.removeprefix('LADING_')}, or unset it",
            name="usage.former_names",
        )
    folder = jobs_file.parent / ".lading"
    if folder.exists():
        raise UsageError(
            f"{folder} is state of lading, which batchsync does not read: what it delivered would be sent again",
            hint="finish its batches with lading, then move the folder away to begin again",
            name="usage.former_names",
        )


def refuse_links(folder: Path) -> None:
    """Refuse a state folder next to jobs.yaml that is a link, or has links: they may come with a checkout.

    Args:
        folder: The state folder; it need not exist.

    Raises:
        UsageError: If there is a link.
    """
    above = next((item for item in (folder, *folder.parents[:1]) if item.is_symlink()), None)
    found = above or next((item for item in folder.glob("*") if item.is_symlink()), None)
    if found is not None:
        hint = "remove the link, or name the state folder with BATCHSYNC_STATE or --state"
        raise UsageError(f"{found} is a link; state is neither read nor written through it", hint=hint)


def refuse_checkouts(jobs_file: Path) -> None:
    """Refuse a state folder next to the jobs file of a revision: it would be empty, and deleted with the revision.

    Args:
        jobs_file: The jobs file.

    Raises:
        UsageError: If it is part of a revision that `serve --git` or `serve --watch` loaded.
    """
    folder = next((item for item in jobs_file.resolve().parents if item.name == CHECKOUTS), None)
    if folder is not None and (folder / RECORD).is_file():
        raise UsageError(
            f"{jobs_file} is part of a revision that `batchsync serve` follows, whose state is elsewhere",
            hint=f"export BATCHSYNC_STATE={folder.parents[1] if folder.parent.name == 'mocks' else folder.parent}",
            name="usage.setting",
        )
