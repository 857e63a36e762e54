"""`--export` of `batchsync schedule`: files of another scheduler, printed or written."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.cli.new_files import write_files
from batchsync.errors import UsageError
from batchsync.report.message import Message
from batchsync.schedule.command import Command
from batchsync.schedule.export import export

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.core.job import Job
    from batchsync.settings import Settings


def exported(jobs: Sequence[Job], form: str, settings: Settings, into: Path | None) -> Message:
    """Return the files of a scheduler as a document, or write them.

    Args:
        jobs: The selected jobs.
        form: Format of the files.
        settings: Where jobs.yaml and the state are.
        into: Folder to write the files to; None to print them.

    Raises:
        SpecError: If a schedule cannot be expressed.
        UsageError: If no job has a schedule.
        UnavailableError: If a file cannot be written.
    """
    files = export(jobs, form, _command(settings))
    if not files:
        raise UsageError(
            "none of the selected jobs has a schedule: nothing to export",
            hint="add a `schedule:` to a job in the jobs file, or name other jobs",
            name="usage.no_schedule",
        )
    listed: list[dict[str, object]] = [{"name": name, "text": text} for name, text in files.items()]
    facts = {"format": form, "folder": None if into is None else str(into), "files": listed}
    if into is None:
        return Message(sentences=tuple(_document(files).splitlines()), facts=facts, raw=True)
    write_files({into / Path(name).name: text for name, text in files.items()})
    return Message(sentences=tuple(f"wrote {into / Path(name).name}" for name in files), facts=facts)


def _document(files: Mapping[str, str]) -> str:
    """Return the text of the only file, or all texts below their names."""
    if len(files) == 1:
        return next(iter(files.values()))
    return "\n".join(f"# {name}\n{text}" for name, text in files.items())


def _command(settings: Settings) -> Command:
    """Return the command that another scheduler runs: this program, in the folder of jobs.yaml."""
    file = settings.file.absolute()
    installed = Path(sys.executable).with_name("batchsync")
    program = str(installed) if installed.exists() else shutil.which("batchsync") or "batchsync"
    options = [] if file.name == "jobs.yaml" else ["--file", file.name]
    options += [] if settings.env is None else ["--env", settings.env]
    state = [] if settings.state is None else [("BATCHSYNC_STATE", str(settings.state.absolute()))]
    return Command(program=program, folder=str(file.parent), options=tuple(options), environment=tuple(state))
