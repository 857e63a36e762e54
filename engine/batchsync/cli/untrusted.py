"""`--untrusted`: a command runs in a process of its own, without network, environment, state and vendor folders.

Run as a module, this file is that process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from batchsync.cli import streams
from batchsync.cli.session import Session
from batchsync.core.source_path import UNREAD
from batchsync.errors import UnavailableError, UsageError
from batchsync.util.confinement import MEMORY_BYTES, PROCESSOR_SECONDS, confine, require_support
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.core.job import Job

#: Seconds until the process is ended, and bytes of its output that are shown.
WHOLE_SECONDS, OUTPUT_BYTES = 180, 4 << 20
#: Variables that the process inherits: how to write, and where paths may lead.
_INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "TERM", "GITHUB_ACTIONS", "CI", "BATCHSYNC_ROOTS")
_LIMITS = f"{PROCESSOR_SECONDS} s of processor time, {MEMORY_BYTES >> 30} GiB of memory, {WHOLE_SECONDS} s in all"

untrusted_option = click.option(
    "--untrusted",
    is_flag=True,
    help="For files of strangers: no network, environment, state or vendor folder; nothing outside of the folder of "
    "jobs.yaml is read, and time and memory are limited (Linux only).",
)


def run_untrusted(session: Session, arguments: Sequence[str]) -> int:
    """Run a command in a limited process, and write what it writes.

    Args:
        session: The session of the command.
        arguments: The command with its own options and arguments.

    Returns:
        The exit code of the process.

    Raises:
        UsageError: If options are given that need trust.
        UnavailableError: If this machine cannot limit a process, or the process exceeded its limits.
    """
    if session.options.state is not None or session.options.mocks:
        option = "--mocks" if session.options.mocks else "--state"
        raise UsageError(
            f"{option} with --untrusted",
            hint="omit it: --untrusted reads no state and runs no mocks",
            name="usage.untrusted",
        )
    require_support()
    settings = session.settings()
    words = ["--file", str(settings.file)]
    words += ["--env", settings.env] if settings.env is not None else []
    words += ["--jobs", str(settings.jobs)] if settings.jobs is not None else []
    words += ["--quiet"] if session.quiet else []
    with scratch_folder() as folder:
        # Behind the command, which may have formats of its own.
        return _relayed([*words, *arguments, "--untrusted", "--output", session.output], folder)


def known_sources(jobs: Sequence[Job]) -> tuple[list[Job], tuple[str, ...]]:
    """Return the jobs whose source is a local file that jobs.yaml names, and a note for each of the others.

    Messages about their freshness do not contain the newest value, which jobs.yaml could choose from any column.
    """
    known, notes = [], []
    for job in jobs:
        paths = [job.source.path, *(join.path for join in job.source.joins)]
        if any(UNREAD in path for path in paths):
            notes.append(f"{job.name}: not planned: the path of its source comes from the environment")
        elif job.source.job is not None:
            notes.append(f'{job.name}: not planned: its source is the answers of job "{job.source.job}"')
        elif not job.source.is_local:
            notes.append(
                f"{job.name}: not planned: its source is {'standard input' if job.source.is_stdin else 'elsewhere'}"
            )
        elif job.suppress is not None and (not job.suppress.source.is_local or UNREAD in job.suppress.source.path):
            notes.append(f"{job.name}: not planned: its suppression list is elsewhere, or named by the environment")
        else:
            known.append(_without_newest(job))
    return known, tuple(notes)


def _without_newest(job: Job) -> Job:
    """Return the job, for which no message contains the newest value of the source."""
    contract = job.source.contract
    if contract is None or contract.freshness is None:
        return job
    hidden = replace(contract, freshness=replace(contract.freshness, shown=False))
    return replace(job, source=replace(job.source, contract=hidden))


def _relayed(arguments: Sequence[str], folder: Path) -> int:
    """Run the process with this folder for its files; write its output, and return its exit code.

    Raises:
        UnavailableError: If the process was ended by its limits.
    """
    environ = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environ |= {"TMPDIR": str(folder), "HOME": str(folder), "BATCHSYNC_MEMORY": "small", "PYTHONUTF8": "1"}
    files = [folder / "stdout", folder / "stderr"]
    with files[0].open("wb") as output, files[1].open("wb") as messages:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "batchsync.cli.untrusted", *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=messages, env=environ, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=WHOLE_SECONDS)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            # Ends the process and its helpers, also if this one was interrupted.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    texts = []
    for file in files:
        with file.open("rb") as stream:
            texts.append(stream.read(OUTPUT_BYTES).decode("utf-8", "replace"))
    if texts[1]:
        streams.to_stderr(texts[1].rstrip("\n"))
    if code < 0:
        name = signal.Signals(-code).name
        raise UnavailableError(
            f"the check was ended by {name}: jobs.yaml or its sources need more than the limits ({_LIMITS})",
            hint="check smaller samples, or without --untrusted where you trust the files",
            name="environment.confinement",
        )
    click.echo(texts[0], nl=False)
    return code


def main() -> None:
    """Limit this process, and run the command line in it."""
    confine()
    from batchsync.cli.root import main as run_command_line  # noqa: PLC0415 - limits come first

    run_command_line(sys.argv[1:], obj=Session(confined=True))


if __name__ == "__main__":
    main()
