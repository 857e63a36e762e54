"""The global options: the same before a command and after it. What stands after the command wins.

It does not know what the options lead to.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

#: A command in advice: in backquotes, or a line of its own.
_ADVICE = re.compile(r"(?:(?<=`)|^)lading (?=[a-z])", re.MULTILINE)
OUTPUTS = ("text", "json", "ndjson", "md")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What was asked for on the command line; None leaves it to `LADING_*` variables and defaults."""

    file: Path | None = None
    state: Path | None = None
    output: str | None = None
    mocks: bool | None = None
    no_color: bool | None = None
    quiet: bool | None = None
    verbose: bool | None = None

    def overridden(self, given: dict[str, Any]) -> GlobalOptions:
        """Return the options with those that were given in their place."""
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def addressed(self, text: str) -> str:
        """Return the text with these options in every command that it advises, so that it can be typed as it stands.

        A run against the mocks has a state folder of its own: `lading rejects` without `--mocks` would look elsewhere.
        """
        words = [f"-f {shlex.quote(str(self.file))}"] if self.file is not None else []
        words += [f"--state {shlex.quote(str(self.state))}"] if self.state is not None else []
        words += ["--mocks"] if self.mocks else []
        return _ADVICE.sub(" ".join(["lading", *words, ""]), text) if words else text


NAMES = tuple(GlobalOptions.__dataclass_fields__)


def declared(*, hidden: bool) -> list[click.Parameter]:
    """Return the options as click knows them, shown on the group and merely accepted by each command."""

    def flag(*names: str, text: str) -> click.Option:
        return click.Option(names, is_flag=True, default=None, hidden=hidden, help=text)

    return [
        click.Option(
            ["-f", "--file"], type=click.Path(path_type=Path), metavar="PATH", hidden=hidden,
            help="The jobs file (LADING_FILE; default: jobs.yaml).",
        ),
        click.Option(
            ["--state"], type=click.Path(path_type=Path), metavar="FOLDER", hidden=hidden,
            help="The state folder (LADING_STATE; default: .lading beside the jobs file).",
        ),
        click.Option(
            ["-o", "--output"], type=click.Choice(OUTPUTS), hidden=hidden,
            help="What stdout gets (default: text). Messages and progress go to stderr.",
        ),
        flag("--mocks", text="Let the bundled mocks stand in for every vendor (LADING_MOCKS=1)."),
        flag("--no-color", text="No colour; NO_COLOR and TERM=dumb do the same."),
        flag("-q", "--quiet", text="No progress, only warnings and errors."),
        flag("-v", "--verbose", text="Plain progress lines, also on a terminal."),
    ]  # fmt: skip


def peeked(arguments: list[str]) -> dict[str, object]:
    """Return how a command line wants to be answered, although it could not be parsed."""
    return {"output": _peeked_output(arguments), "no_color": True if "--no-color" in arguments else None}


def _peeked_output(arguments: list[str]) -> str | None:
    for at, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if word in ("-o", "--output"):
            value = arguments[at + 1] if at + 1 < len(arguments) else ""
        elif name != "--output":
            value = word[2:] if word.startswith("-o") else ""
        if value in OUTPUTS:
            return value
    return None
