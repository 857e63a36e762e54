"""`batchsync init`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.new_files import IGNORED, cd_hint, existing_paths, ignoring, write_files
from batchsync.cli.session import Answer, Session
from batchsync.cli.vendor_folders import refuse_outside
from batchsync.errors import UsageError
from batchsync.report.message import Message


@command(
    "init",
    example="batchsync init\nbatchsync init crm-sync --vendor sitecore-cdp\n"
    "batchsync init --from customers.csv --vendor sitecore-cdp --schema guest",
)
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), metavar="[FOLDER]", required=False
)
@click.option(
    "--vendor",
    "vendors",
    multiple=True,
    metavar="NAME",
    help="Include this vendor, by name or folder (default: two bundled ones); repeatable.",
)
@click.option("--force", is_flag=True, help="Replace existing files; not with --from.")
@click.option(
    "--from",
    "origin",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Propose a mapping of this file, of any readable format, to one vendor.",
)
@click.option("--schema", metavar="NAME", help="With --from: the record schema (default: the vendor's first).")
@click.option("--mode", metavar="NAME", help="With --from: the mode of the job (default: the first of the schema).")
def init(  # noqa: PLR0913 - the options of the command
    session: Session,
    folder: Path,
    *,
    vendors: tuple[str, ...],
    force: bool,
    origin: Path | None,
    schema: str | None,
    mode: str | None,
) -> Answer:
    """Write a working jobs.yaml with sample data.

    Writes one small job for each of two bundled vendors, or of those that --vendor names; `batchsync sync --mocks` runs
    them offline. Existing files are not replaced without --force.

    With --from, writes a job for a file instead: its columns are mapped to the members of the vendor's record schema by
    their names and the form of their first values. Each guess has a comment, and tests have synthetic values.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If FOLDER contains one of the files and --force is not given, or --file is given.
    """
    if session.options.file is not None:
        raise click.UsageError("init writes jobs.yaml into FOLDER: give the folder instead of --file")
    if origin is not None:
        if force or len(vendors) != 1:
            problem = "--force with --from" if force else "--from needs exactly one --vendor"
            raise click.UsageError(f"{problem}: init --from writes the job of one vendor, and replaces no file")
        from batchsync.cli.init_from import init_from  # noqa: PLC0415 - reads rows, unlike the starters

        return init_from(folder, origin, vendors[0], schema_name=schema, mode_name=mode)
    if schema or mode:
        raise click.UsageError("--schema and --mode choose what --from maps a file to: name the file")
    for vendor in (item for item in vendors if "/" in item):
        refuse_outside(session, vendor)
    wanted = {folder / name: text for name, text in spec.starter_files(vendors, folder).items()}
    if (existing := existing_paths(wanted)) and not force:
        names = ", ".join(str(item) for item in existing)
        raise UsageError(
            f"{names} {'exists' if len(existing) == 1 else 'exist'} already; nothing was written",
            hint=f"choose another folder, or replace existing files with `{_forced(folder, vendors)}`",
            name="usage.exists",
        )
    ignore = folder / ".gitignore"
    first = ignoring(ignore)
    write_files({**first, **wanted})
    written = [str(item) for item in (*first, *wanted)]
    notes = _notes(ignore)
    report = Message(
        sentences=(*(f"wrote {name}" for name in written), *(f"note: {note}" for note in notes)),
        facts={"folder": str(folder), "written": written, "notes": notes},
        next_step=f"{cd_hint(folder)}`batchsync validate`, then `batchsync sync --mocks`",
    )
    return Answer(report=report)


def _notes(ignore: Path) -> list[str]:
    """Return the entries to add to an existing .gitignore."""
    try:
        kept = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        kept = []
    missing = [line for line in IGNORED if line not in kept]
    return [f"{ignore} was not changed; add {' and '.join(missing)} to it"] if missing else []


def _forced(folder: Path, vendors: tuple[str, ...]) -> str:
    """Return the same command, with --force."""
    words = [] if folder == Path() else [str(folder)]
    words += [word for name in vendors for word in ("--vendor", name)]
    return shlex.join(["batchsync", "init", *words, "--force"])
