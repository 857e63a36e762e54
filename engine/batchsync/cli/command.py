"""What all commands share: global options after the command too, help with an example, an answer as the return value.

It does not know the commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lading.cli import options
from lading.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_EPILOG = "The global options of `lading` may stand here too; `lading --help` lists them."


class Command(click.Command):
    """A command of lading. Its callback takes the Session first and returns an Answer."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        """Keep the example, and accept the global options."""
        kwargs.setdefault("context_settings", SETTINGS)
        super().__init__(*args, **kwargs)
        self.example = example
        self.params.extend(options.declared(hidden=True))

    def invoke(self, ctx: click.Context) -> Any:
        """Put the global options into the session, and run."""
        session = ctx.find_object(Session)
        assert session is not None  # noqa: S101 - the group makes it before any command runs
        given = {name: ctx.params.pop(name) for name in options.NAMES}
        session.options = session.options.overridden(given)
        session.parsed = True
        session.command = ctx.command_path.partition(" ")[2]
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the example and where the global options are."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        formatter.write_paragraph()
        formatter.write_text(_EPILOG)


def command(name: str, example: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function, whose docstring is the help."""

    def made(function: Callable[..., Any]) -> Command:
        return click.command(name, cls=Command, example=example)(click.make_pass_decorator(Session)(function))

    return made


job_names = click.argument("jobs", nargs=-1, metavar="[JOB]...")
