"""`batchsync vendors new`: write the folder of a new vendor."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.new_files import existing_paths, write_files
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.message import Message


@command("new", example="batchsync vendors new acme\nbatchsync vendors new acme --folder vendors/acme")
@click.argument("name", metavar="NAME")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the files there (default: a folder of the vendor's name in the working directory).",
)
def new(session: Session, name: str, *, folder: Path | None) -> Answer:
    """Write the folder of a new vendor, with comments.

    NAME has lower-case letters and digits, with - between words. The folder has vendor.yaml, a record schema,
    exchanges, facts.yaml and a starter, and is valid at once: `vendors check` plays its exchanges, and `sync --mocks`
    sends to its mock. Everything in it is assumed: replace it by what the vendor's pages say. Existing files are never
    replaced.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the name is no name of a vendor, or a file exists.
        UnavailableError: If a file cannot be written.
    """
    texts = spec.scaffold_files(name)
    if name in spec.available_vendors():
        raise UsageError(f"{name} is an available vendor", hint="choose another name; `batchsync vendors` lists them")
    into = folder if folder is not None else Path(name)
    fence = session.settings().fence
    if objection := fence.objection(str(into)):
        raise UsageError(f"{into} {objection}", hint=fence.advice)
    wanted = {into / path: text for path, text in texts.items()}
    if existing := existing_paths(wanted):
        raise UsageError(
            f"{existing[0]} exists already; nothing was written",
            hint="choose another folder with --folder; existing files are never replaced",
            name="usage.exists",
        )
    write_files(wanted)
    written = [str(path) for path in wanted]
    place = str(into) if "/" in str(into) else f"./{into}"
    report = Message(
        sentences=tuple(f"wrote {path}" for path in written),
        facts={"vendor": name, "folder": str(into), "written": written},
        next_step=f"edit {into / 'vendor.yaml'}, then `batchsync vendors check {shlex.quote(place)}`",
    )
    return Answer(report=report)
