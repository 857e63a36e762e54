"""Global options, accepted before and after the command name; those after it take precedence."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A command in advice: in backquotes, or a line of its own.
_ADVICE = re.compile(r"(?:(?<=`)|^)batchsync (?=[a-z])", re.MULTILINE)
OUTPUTS = ("text", "json", "ndjson", "md")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """Global options of a command line; None means the `BATCHSYNC_*` variable or the default."""

    file: Path | None = None
    state: Path | None = None
    env: str | None = None
    jobs_folder: Path | None = None
    output: str | None = None
    mocks: bool | None = None
    no_color: bool | None = None
    quiet: bool | None = None
    verbose: bool | None = None
    log_format: str | None = None

    def merged(self, values: dict[str, Any]) -> GlobalOptions:
        """Return the options, overridden by these values."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def with_global_options(self, text: str) -> str:
        """Return the text with these options added to every suggested command.

        Runs against the mocks have their own state folder, which commands without `--mocks` do not read.
        """
        words = [f"-f {shlex.quote(str(self.file))}"] if self.file is not None else []
        words += [f"--state {shlex.quote(str(self.state))}"] if self.state is not None else []
        words += [f"--env {shlex.quote(self.env)}"] if self.env is not None else []
        words += [f"--jobs {shlex.quote(str(self.jobs_folder))}"] if self.jobs_folder is not None else []
        words += ["--mocks"] if self.mocks else []
        return _ADVICE.sub(" ".join(["batchsync", *words, ""]), text) if words else text


NAMES = tuple(GlobalOptions.__dataclass_fields__)


def declared(*, hidden: bool, outputs: Sequence[str] = OUTPUTS) -> list[click.Parameter]:
    """Return the click options; hidden in the help of single commands. `outputs` are the formats of `--output`."""

    def flag(*names: str, text: str) -> click.Option:
        return click.Option(names, is_flag=True, default=None, hidden=hidden, help=text)

    return [
        click.Option(
            ["-f", "--file"], type=click.Path(path_type=Path), metavar="PATH", hidden=hidden,
            help="The jobs file (BATCHSYNC_FILE; default: jobs.yaml).",
        ),
        click.Option(
            ["--state"], type=click.Path(path_type=Path), metavar="FOLDER", hidden=hidden,
            help="The state folder (BATCHSYNC_STATE; default: .batchsync next to the jobs file).",
        ),
        click.Option(
            ["--env"], metavar="NAME", hidden=hidden,
            help="The environment, of those that the jobs file declares (BATCHSYNC_ENV).",
        ),
        click.Option(
            ["--jobs", "jobs_folder"], type=click.Path(path_type=Path), metavar="FOLDER", hidden=hidden,
            help="A folder whose files *.yaml are added to the jobs file (BATCHSYNC_JOBS).",
        ),
        click.Option(
            ["-o", "--output"], type=click.Choice(outputs), hidden=hidden,
            help="Format of stdout (default: text). Messages and progress go to stderr.",
        ),
        flag("--mocks", text="Use the bundled mocks for every vendor (BATCHSYNC_MOCKS=1)."),
        flag("--no-color", text="No colour; NO_COLOR and TERM=dumb do the same."),
        flag("-q", "--quiet", text="No progress, only warnings and errors."),
        flag("-v", "--verbose", text="Plain progress lines, also on a terminal."),
        click.Option(
            ["--log-format"], type=click.Choice(LOG_FORMATS), hidden=hidden,
            help="Format of log lines on stderr (BATCHSYNC_LOG_FORMAT; default: text, and a display on a terminal).",
        ),
    ]  # fmt: skip


def sniff_output_format(arguments: list[str]) -> dict[str, object]:
    """Return output options of a command line that could not be parsed."""
    json_logs = "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)
    return {
        "output": _sniffed_format(arguments),
        "no_color": True if "--no-color" in arguments else None,
        "log_format": "json" if json_logs else None,
    }


def _sniffed_format(arguments: list[str]) -> str | None:
    for index, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if word in ("-o", "--output"):
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
        elif name != "--output":
            value = word[2:] if word.startswith("-o") else ""
        if value in OUTPUTS:
            return value
    return None
