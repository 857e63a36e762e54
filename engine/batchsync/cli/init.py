"""`lading init`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lading import spec
from lading.cli.command import command
from lading.cli.new_files import already_there, write_all
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.report.said import Said

#: What lading makes beside the jobs file and nobody should commit: its memory, and what the vendors answered.
IGNORED = (".lading/", "out/")


@command("init", example="lading init\nlading init crm-sync --vendor sitecore-cdp")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), metavar="[FOLDER]", required=False
)
@click.option("--vendor", "vendors", multiple=True, metavar="NAME", help="Start with this vendor (default: all).")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(session: Session, folder: Path, *, vendors: tuple[str, ...], force: bool) -> Answer:
    """Write a jobs.yaml that works, with sample data, to start from.

    One small job for each vendor in the box; `lading sync --mocks` runs them at once, offline. Without --force no file
    that is there is touched.
    """
    if session.options.file is not None:
        raise click.UsageError("init writes jobs.yaml into FOLDER: give the folder instead of --file")
    wanted = {folder / name: text for name, text in spec.starter_files(vendors).items()}
    if (there := already_there(wanted)) and not force:
        names = ", ".join(str(one) for one in there)
        raise UsageError(
            f"{names} {'is' if len(there) == 1 else 'are'} already there; nothing was written",
            hint=f"name another folder, or replace what is there with `{_forced(folder, vendors)}`",
        )
    ignore = folder / ".gitignore"
    first = {} if already_there([ignore]) else {ignore: "".join(f"{line}\n" for line in IGNORED)}
    write_all({**first, **wanted})
    written = [str(one) for one in (*first, *wanted)]
    notes = _notes(ignore)
    report = Said(
        sentences=(*(f"wrote {name}" for name in written), *(f"note: {note}" for note in notes)),
        facts={"folder": str(folder), "written": written, "notes": notes},
        next_step=f"{_way_to(folder)}`lading validate`, then `lading sync --mocks`",
    )
    return Answer(report=report)


def _notes(ignore: Path) -> list[str]:
    """Return what a person should add to a .gitignore that we did not write."""
    try:
        kept = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        kept = []
    missing = [line for line in IGNORED if line not in kept]
    return [f"{ignore} was left as it is; add {' and '.join(missing)} to it"] if missing else []


def _forced(folder: Path, vendors: tuple[str, ...]) -> str:
    """Return the same command, with --force."""
    words = [] if folder == Path() else [str(folder)]
    words += [word for name in vendors for word in ("--vendor", name)]
    return shlex.join(["lading", "init", *words, "--force"])


def _way_to(folder: Path) -> str:
    """Return how to get to the folder, when we are elsewhere."""
    return f"`cd {shlex.quote(str(folder))}`, then " if folder.resolve() != Path.cwd() else ""
