"""The group `lading`: finds a command when it is asked for, and ends every command in one of the documented ways.

Nothing is imported for a command that is not run, and the list of commands needs none of them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

from lading import __version__
from lading.cli import options
from lading.cli.command import SETTINGS
from lading.cli.ending import ended
from lading.cli.session import Session
from lading.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Each command: the module of `lading.cli` that it is in, and its line in the list. A test holds the lines to the help.
COMMANDS = {
    "init": ("init", "Write a jobs.yaml that works, with sample data, to start from."),
    "validate": ("validate", "Check jobs.yaml and its sources without sending anything."),
    "plan": ("plan", "Print what a sync would send, without contacting a vendor."),
    "sync": ("sync", "Bring every target in line with its source."),
    "resume": ("resume", "Go on with what is open, planning nothing new."),
    "status": ("status", "Show what is open, what comes next, and how each job stands."),
    "settle": ("settle", "Print the settlement equation of a run."),
    "rejects": ("rejects", "Show the rows that did not get there, and why."),
    "why": ("why", "Show what is known of one key, and why."),
    "history": ("history", "List the runs of the past, newest first."),
    "approve": ("approve", "Allow the plan of a job that a guard holds."),
    "cancel": ("cancel", "Give up a batch, or all open batches of a job."),
    "schedule": ("schedule", "Show when jobs run next."),
    "serve": ("serve", "Run jobs on their schedules, in the foreground."),
    "doctor": ("doctor", "Examine this machine, the state and every connection."),
    "resolve": ("resolve", "End an unknown outcome on your word."),
    "unlock": ("unlock", "Take a job away from a process that holds it."),
    "schema": ("schema", "Print the JSON Schema of jobs.yaml."),
    "mocks": ("mocks", "Run the vendors in the box."),
}


class Group(click.Group):
    """`lading` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lading.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, and remember its name for the answer."""
        try:
            found = super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            # The group knows names only, and click looks for one that is alike among imported commands.
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None
        session = ctx.find_object(Session)
        if session is not None and found[0]:
            session.command = found[0]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Say how the process may end."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in ExitCode])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002 - click's signature; however it was started, it is lading
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002 - click's signature
        **extra: Any,
    ) -> Any:
        """Run a command line and end the process as documented. Never returns."""
        arguments = list(sys.argv[1:] if args is None else args)
        session = Session()

        def run() -> Any:
            return super(Group, self).main(
                arguments, "lading", complete_var, standalone_mode=False, **extra | {"obj": session}
            )

        code = ended(run, session, arguments)
        sys.exit(code)


@click.group(cls=Group, context_settings=SETTINGS, params=options.declared(hidden=False), no_args_is_help=True)
@click.version_option(__version__, prog_name="lading", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, /, **given: Any) -> None:
    """Sync what is declared in jobs.yaml to vendors that take their data as file batches."""
    session = ctx.ensure_object(Session)
    session.options = session.options.overridden(given)
