"""`batchsync vendors`: what vendors take, and its subcommands, which ask the vendor of a connection."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from batchsync import spec
from batchsync.cli.command import SETTINGS, command
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.vendor import VendorReport, VendorsReport
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from batchsync.core.vendor_details import VendorDetails


@command(
    "vendors",
    example="batchsync vendors\nbatchsync vendors sitecore-cdp guest\nbatchsync vendors services motorweb",
)
@click.argument("name", required=False, metavar="[NAME]")
@click.argument("schema", required=False, metavar="[SCHEMA]")
def described(session: Session, name: str | None, schema: str | None) -> Answer:
    """Print what a vendor takes, and what its answers mean.

    Without a name, the available vendors. With one: credentials, target keys, modes, record schemas with their members,
    limits, statuses and error codes, each with the document that says so. With a record schema, its members only.
    A folder with a vendor.yaml may stand for the name.

    Two commands work on the folder of a vendor: `vendors new NAME` writes one, `vendors check FOLDER` validates it and
    plays its exchanges. Three ask the vendor of a connection: `vendors services CONNECTION` lists what a target may
    select, `vendors template CONNECTION SERVICE` prints or saves the input template of a service, and `vendors verify
    CONNECTION` sends a test batch and confirms or refutes what is known. Each has its own --help.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no vendor or record schema of that name.
    """
    if name is None:
        found = tuple(spec.load_vendor_details(item) for item in spec.available_vendors())
        return Answer(report=VendorsReport(vendors=found))
    details = _details(session, name)
    known = details.rules.schemas
    if schema is not None and schema not in known:
        hint = names_hint(schema, known, "record schemas")
        raise UsageError(f'{details.rules.name} has no record schema "{schema}"', hint=hint)
    return Answer(report=VendorReport(details=details, schema=schema or ""))


def _details(session: Session, name: str) -> VendorDetails:
    available = spec.available_vendors()
    if "/" not in name and name not in available:
        raise UsageError(f'unknown vendor "{name}"', hint=names_hint(name, available, "vendors"))
    fence = session.settings().fence
    if "/" in name and (objection := fence.objection(name)):
        raise UsageError(f"{name} {objection}", hint=fence.advice)
    return spec.load_vendor_details(name)


#: Module of each subcommand, imported when it runs.
_MODULES = {
    "new": "vendors_new",
    "check": "vendors_check",
    "services": "vendors_ask",
    "template": "vendors_ask",
    "verify": "vendors_verify",
}


class VendorsGroup(click.Group):
    """`batchsync vendors`: words that are no subcommand are the arguments of `plain`, a command by itself."""

    plain = described

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the subcommands."""
        return list(_MODULES)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand, imported; None if there is none of the name."""
        if cmd_name not in _MODULES:
            return None
        found: click.Command = getattr(import_module(f"batchsync.cli.{_MODULES[cmd_name]}"), cmd_name)
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of the group of a subcommand, or of `plain`."""
        if args and args[0] in _MODULES:
            return super().make_context(info_name, args, parent, **extra)
        return self.plain.make_context(info_name, args, parent, **extra)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return name, command and remaining arguments."""
        return super().resolve_command(ctx, args) if args[0] in _MODULES else (self.name, self.plain, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help of `plain`, which names the subcommands."""
        return self.plain.get_help(ctx)


vendors = VendorsGroup("vendors", help=described.help, context_settings=SETTINGS)
