"""Run a program to its end: an argument list without a shell, limits of time and size, no process left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Bytes that are kept of each stream of a program.
_OUTPUT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended.

    Attributes:
        code: Its exit code; negative for a signal.
        out: What it wrote to stdout, without what is beyond 16 MiB.
        err: What it wrote to stderr, likewise.
        timed_out: Whether it was killed because its time was over.
    """

    code: int
    out: bytes
    err: bytes
    timed_out: bool = False


def run_program(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    given: bytes = b"",
    seconds: float | None = None,
    file_bytes: int | None = None,
) -> Completed:
    """Run a program and return what it wrote.

    It has a session of its own, which is killed if its time is over or this process is interrupted.

    Args:
        command: Program and arguments, not interpreted by a shell.
        environ: Its environment; None for that of this process.
        given: What it can read from stdin.
        seconds: Its time; None for no limit.
        file_bytes: Size of the largest file that it may write, on systems that have such a limit.

    Returns:
        What it wrote.

    Raises:
        OSError: If it cannot be started.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given)
        stdin.seek(0)
        process = subprocess.Popen(  # noqa: S603 - callers name the program, and no shell reads the arguments
            command, env=environ, stdin=stdin, stdout=out, stderr=err, start_new_session=True
        )
        timed_out = False
        try:
            if file_bytes is not None:
                _limit_files(process.pid, file_bytes)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
        finally:
            # The program itself, and whatever it started and left behind.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        found = []
        for stream in (out, err):
            stream.seek(0)
            found.append(stream.read(_OUTPUT_BYTES))
    return Completed(code, found[0], found[1], timed_out)


def _limit_files(process: int, size: int) -> None:
    """Limit the size of the files that a process and its later children write, where the system can."""
    if hasattr(resource, "prlimit"):
        with suppress(OSError):
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, size))
