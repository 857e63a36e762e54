"""Command group `batchsync`. Commands are imported only when they run; the list of commands imports none."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import TYPE_CHECKING, Any

import click

from batchsync import __version__
from batchsync.cli import options
from batchsync.cli.command import SETTINGS
from batchsync.cli.exits import run_command
from batchsync.cli.session import Session
from batchsync.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Number of new objects after which garbage is collected; Python's default is below a thousand.
_GC_THRESHOLD = 20_000
#: Module and summary of each command. A test compares the summaries with the help texts.
COMMANDS = {
    "init": ("init", "Write a working jobs.yaml with sample data."),
    "validate": ("validate", "Check jobs.yaml and its sources without sending anything."),
    "test": ("test", "Run the tests that jobs.yaml declares."),
    "plan": ("plan", "Print what a sync would send, without contacting a vendor."),
    "preview": ("preview", "Show the records that a job makes of rows, with these rows next to them."),
    "sync": ("sync", "Bring every target in line with its source."),
    "resume": ("resume", "Resume open batches; plan nothing new."),
    "status": ("status", "Show open batches, next steps and the state of each job."),
    "show": ("show", "Print the settlement equation of a run, or a plan file."),
    "rejects": ("rejects", "Show rejected and invalid rows, with reasons."),
    "why": ("why", "Show the state and history of one key."),
    "history": ("history", "List past runs, newest first, and when a restored state folder was accepted."),
    "approve": ("approve", "Approve a plan blocked by a guard."),
    "cancel": ("cancel", "Cancel open batches."),
    "schedule": ("schedule", "Show when jobs run next, or write their schedules for another scheduler."),
    "serve": ("serve", "Run jobs on their schedules, in the foreground."),
    "doctor": ("doctor", "Check this machine, the state folder and every connection."),
    "resolve": ("resolve", "Manually resolve an unknown outcome."),
    "collect": ("collect", "Ask the vendor again about rows of unknown outcome."),
    "forget": ("forget", "Erase a key from the state folder."),
    "unlock": ("unlock", "Break a job's lease."),
    "schema": ("schema", "Print the JSON Schema of jobs.yaml, or of the JSON output of a command."),
    "fmt": ("fmt", "Format the files of jobs."),
    "explain": ("explain", "Explain an error code, such as BS-Y012."),
    "vendors": ("vendors", "Print what a vendor takes, and what its answers mean."),
    "dbt-exposures": ("dbt_exposures", "Print an exposure of dbt for each job that reads a model of dbt."),
    "state": ("state", "List, move, remove, back up, restore, begin or accept state, or record what targets hold."),
    "alerts": ("alerts", "Send a test message to the channels of alerts."),
    "mocks": ("mocks", "Run mocks of vendors."),
}


class Group(click.Group):
    """`batchsync` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in order of first use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return the command, imported; None if there is none of the name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"batchsync.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, and store its name in the session.

        Returns:
            Name, command and remaining arguments.

        Raises:
            NoSuchCommand: If there is no command of the name.
        """
        try:
            found = super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            # Commands are not imported, so click cannot suggest similar names by itself.
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
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in ExitCode])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002 - click's signature; the program is always called batchsync
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002 - click's signature
        **extra: Any,
    ) -> Any:
        """Run a command line and exit with a documented code. Never returns."""
        # Modules and the values of jobs.yaml live as long as the process: looking for garbage among them is in vain.
        gc.set_threshold(_GC_THRESHOLD)
        arguments = list(sys.argv[1:] if args is None else args)
        session = extra.pop("obj", None) or Session()

        def run() -> Any:
            return super(Group, self).main(
                arguments, "batchsync", complete_var, standalone_mode=False, **extra | {"obj": session}
            )

        code = run_command(run, session, arguments)
        sys.exit(code)


@click.group(cls=Group, context_settings=SETTINGS, params=options.declared(hidden=False), no_args_is_help=True)
@click.version_option(__version__, prog_name="batchsync", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, /, **values: Any) -> None:
    """Sync the jobs declared in jobs.yaml to vendors that take their data as file batches."""
    session = ctx.ensure_object(Session)
    session.options = session.options.merged(values)
