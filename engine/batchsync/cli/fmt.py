"""`batchsync fmt`."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import ExitCode, UnavailableError
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize
from batchsync.util.files import fsync_and_rename, os_error_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit code of `--check` if a file would be changed, as that of `plan --detailed-exitcode`.
CHANGES = 10


@command("fmt", example="batchsync fmt\nbatchsync fmt --check    # in CI: exit 10 if a file is not formatted")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit 10 if a file would be changed.")
def fmt(session: Session, files: tuple[Path, ...], *, check: bool) -> Answer:
    """Format the files of jobs.

    Orders the keys of jobs, sources and connections, and normalizes indentation, quotes and blank lines. Comments are
    kept, and members of records stay in their order. A file is written only after it was parsed again and means the
    same; it is replaced as a whole. Without names: the jobs file, and all files that it includes.

    Returns:
        The report to print, with the exit code.
    """
    settings = session.settings()
    chosen = files or spec.included_files(settings.file, settings.jobs)
    texts = {path: spec.read_text(path) for path in chosen}
    formatted = {path: spec.format_text(str(path), text) for path, text in texts.items()}
    changed = [path for path in chosen if formatted[path] != texts[path]]
    if not check:
        for path in changed:
            _replace(path, formatted[path])
    return Answer(
        report=_report(chosen, changed, check=check), exit_code=CHANGES if check and changed else ExitCode.DONE
    )


def _report(files: Sequence[Path], changed: Sequence[Path], *, check: bool) -> Message:
    verb = "would be changed" if check else "formatted"
    unchanged = len(files) - len(changed)
    sentences = [f"{path}: {verb}" for path in changed]
    sentences += [f"{pluralize(unchanged, 'file')} formatted already"] if unchanged else []
    return Message(
        sentences=tuple(sentences),
        facts={"changed": [str(path) for path in changed], "unchanged": unchanged, "written": not check},
        next_step="`batchsync fmt` formats them" if check and changed else "",
    )


def _replace(path: Path, text: str) -> None:
    """Replace the content of a file as a whole; a link stays a link, and permissions stay as they are.

    Raises:
        UnavailableError: If it cannot be written.
    """
    real = path.resolve()
    new: Path | None = None
    try:
        mode = real.stat().st_mode & 0o777
        descriptor, name = tempfile.mkstemp(prefix=f".{real.name}-", dir=real.parent)
        new = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        new.chmod(mode)
        fsync_and_rename(new, real)
    except OSError as error:
        if new is not None:
            with suppress(OSError):
                new.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {os_error_reason(error)}",
            hint="change its permissions, then run `batchsync fmt` again",
            name="environment.write",
        ) from None
