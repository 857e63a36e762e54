"""`batchsync vendors services` and `vendors template`: what a vendor offers for the targets of jobs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.completion import complete_connections
from batchsync.cli.new_files import existing_paths, write_files
from batchsync.cli.session import Answer, Session
from batchsync.errors import UnavailableError, UsageError, VendorError
from batchsync.ports import VendorCatalog
from batchsync.report.message import Message
from batchsync.report.offers import OptionsReport
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.app import App
    from batchsync.core.connection import Connection
    from batchsync.ports import TargetOption

_CONNECTION = click.argument("connection", metavar="CONNECTION", shell_complete=complete_connections)


@command("services", example="batchsync vendors services motorweb\nbatchsync vendors services motorweb --mocks -o json")
@_CONNECTION
def services(session: Session, connection: str) -> Answer:
    """List what the target of a job may select at a connection.

    Asks the vendor for its list, such as its services, and prints id, name and description of each. The id or the name
    is what `target:` of a job names. Nothing is sent.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no such connection, or its vendor has no list.
        UnavailableError: If the vendor cannot be asked.
    """
    with session.app() as app:
        declared = connection_of(app, connection)
        with asking(declared):
            options = _catalog(app, declared).options()
        key = _selecting_key(app, declared)
    return Answer(report=OptionsReport(connection=connection, key=key, options=options))


@command("template", example='batchsync vendors template motorweb "Vehicle ID WOVR Batch" --save template.csv')
@_CONNECTION
@click.argument("service", metavar="SERVICE")
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the template to this file, as the vendor sends it; an existing file is not replaced.",
)
def template(session: Session, connection: str, service: str, *, save: Path | None) -> Answer:
    """Print the columns of a service's input template, or save it.

    SERVICE is an id or a name that `vendors services` lists, in any letter case. Nothing is sent.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no such connection or service, the vendor has no templates, or the file exists.
        UnavailableError: If the vendor cannot be asked or has no template, or the file cannot be written.
    """
    if save is not None:
        _refuse_place(session, save)
    with session.app() as app:
        declared = connection_of(app, connection)
        catalog = _catalog(app, declared)
        with asking(declared):
            option = _selected(catalog.options(), service, _selecting_key(app, declared))
            found = catalog.input_template(option)
    if found is None:
        raise UnavailableError(
            f"{connection}: the vendor has no template of {option.name or option.id}",
            hint=f"`batchsync vendors services {connection}` lists its services",
        )
    if save is not None:
        write_files({save: found.document})
    shown = f"columns: {', '.join(found.columns)}"
    report = Message(
        sentences=(shown,) if save is None else (f"wrote {save}", shown),
        facts={
            "connection": connection,
            "id": option.id,
            "name": option.name or None,
            "columns": [*found.columns],
            "file": None if save is None else str(save),
        },
    )
    return Answer(report=report)


def connection_of(app: App, name: str) -> Connection:
    """Return the connection of a name, which may be a former one.

    Args:
        app: The application.
        name: The name.

    Raises:
        UsageError: If jobs.yaml declares no account at a vendor of that name.
    """
    known = app.deployment.connections
    found = known.get(name) or next((item for item in known.values() if name in item.renamed_from), None)
    if found is None:
        raise UsageError(f'unknown connection "{name}"', hint=names_hint(name, known, "connections"))
    return found


@contextmanager
def asking(connection: Connection) -> Iterator[None]:
    """Turn the failure of a request to the vendor into an error of the command.

    Args:
        connection: The connection, for the message.

    Yields:
        Nothing.

    Raises:
        UnavailableError: If a request fails.
    """
    reason = None
    try:
        yield
    except VendorError as failure:
        reason = failure.reason
    if reason is not None:
        hint = "check base_url and credentials of the connection; `batchsync doctor` checks every connection"
        raise UnavailableError(f"{connection.name}: {reason}", hint=hint)


def _catalog(app: App, connection: Connection) -> VendorCatalog:
    """Return what asks a vendor for its list; refuse a vendor without one."""
    vendor = app.vendor_of(connection)
    if not _selecting_key(app, connection) or not isinstance(vendor, VendorCatalog):
        title = app.rules_of_connection(connection).title
        raise UsageError(
            f"{connection.name}: {title} has no documented list that a target selects from",
            hint=f"`batchsync vendors {connection.vendor}` shows the keys of its targets",
        )
    return vendor


def _selecting_key(app: App, connection: Connection) -> str:
    """Return the key of `target:` that selects from the vendor's list; empty if there is none."""
    dialect = app.rules_of_connection(connection).dialect
    choice = dialect.describe.choice if dialect else None
    return choice.target if choice else ""


def _selected(options: tuple[TargetOption, ...], wanted: str, key: str) -> TargetOption:
    """Return the option with this id or name, in any letter case."""
    folded = wanted.strip().casefold()
    found = [item for item in options if folded in (item.id.strip().casefold(), item.name.strip().casefold())]
    if len({item.id for item in found}) == 1:
        return found[0]
    if found:
        ids = ", ".join(sorted({item.id for item in found}))
        raise UsageError(f'{key} "{wanted}" is ambiguous', hint=f"use an id: {ids}")
    hint = names_hint(wanted, [item.name or item.id for item in options], "available")
    raise UsageError(f'the vendor has no {key} "{wanted}"', hint=hint)


def _refuse_place(session: Session, path: Path) -> None:
    """Refuse a file that exists, or is outside of the folders that jobs may use."""
    if existing_paths([path]):
        raise UsageError(f"{path} exists already; nothing was written", hint="name another file", name="usage.exists")
    fence = session.settings().fence
    if objection := fence.objection(str(path)):
        raise UsageError(f"{path} {objection}", hint=fence.advice)
