"""Base class and decorator of all commands: global options after the command name, and help with an example."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import click

from batchsync.cli import options
from batchsync.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
#: Beginning of the sections of a docstring, which are not part of the help text.
_SECTION = re.compile(r"\n\n(?=(?:Args|Returns|Raises):\n)")
_EPILOG = "Global options are accepted here too; `batchsync --help` lists them."


class Command(click.Command):
    """Command whose callback takes the Session first and returns an Answer."""

    def __init__(self, *args: Any, example: str, outputs: Sequence[str] = options.OUTPUTS, **kwargs: Any) -> None:
        """Create the command with its example and the global options; `outputs` are its output formats."""
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.example = example
        self.params.extend(options.declared(hidden=True, outputs=outputs))

    def invoke(self, ctx: click.Context) -> Any:
        """Store the global options in the session, then run the command.

        Returns:
            The result of the command.
        """
        session = ctx.find_object(Session)
        assert session is not None  # noqa: S101 - the group makes it before any command runs
        values = {name: ctx.params.pop(name) for name in options.NAMES}
        session.options = session.options.merged(values)
        session.parsed = True
        session.command = ctx.command_path.partition(" ")[2]
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the example and a note on global options."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        formatter.write_paragraph()
        formatter.write_text(_EPILOG)


def command(
    name: str, example: str, outputs: Sequence[str] = options.OUTPUTS
) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that turns a function into a command; its docstring without sections is the help text.

    Args:
        name: Name of the command.
        example: Command lines for its help.
        outputs: Formats of `--output`.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        decorated = click.make_pass_decorator(Session)(function)
        made = click.command(name, cls=Command, example=example, outputs=outputs, help=_help_text(function))
        return made(decorated)

    return decorate


def _help_text(function: Callable[..., Any]) -> str:
    """Return the docstring of a function up to its first section (Args, Returns, Raises)."""
    return _SECTION.split(inspect.getdoc(function) or "", maxsplit=1)[0]
