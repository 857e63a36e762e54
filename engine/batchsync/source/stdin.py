"""Standard input as a source: landed in a private file of the run, because it can be read once only."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from batchsync.core.landed_part import LandedPart
from batchsync.errors import SourceError, UsageError
from batchsync.util.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from batchsync.core.job import Job, Source

_FILE = "standard-input"
_CHUNK_BYTES = 1 << 20


class _StandardInput:
    """The standard input of this process."""

    is_read: ClassVar[bool] = False


def land_stdin(source: Source, into: Path) -> Source:
    """Copy the standard input to a file.

    Args:
        source: The source.
        into: Existing private folder.

    Returns:
        The source with that file as its only part.

    Raises:
        SourceError: If the standard input is a terminal, closed or empty, or was read already.
        UnavailableError: If it cannot be read, or the file cannot be written.
    """
    if _StandardInput.is_read:
        hint = "run the jobs that read it one by one, each with its input"
        raise SourceError("standard input was read already, and can be read once only", hint=hint, name="source.stdin")
    hint = "pipe or redirect a file into the command: batchsync sync NAME < guests.csv"
    if sys.stdin is None or sys.stdin.closed:
        raise SourceError("standard input is closed", hint=hint, name="source.stdin")
    if sys.stdin.isatty():
        raise SourceError(
            "standard input is a terminal, and nothing is piped into the command", hint=hint, name="source.stdin"
        )
    _StandardInput.is_read = True
    path, digest, size = into / _FILE, hashlib.sha256(), 0
    problem = f"standard input cannot be copied to {path}"
    with translate_os_errors(problem, hint="nothing was sent; run the command again with its input"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            while chunk := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
                size += len(chunk)
    if not size:
        hint = "check the command before the pipe: one that fails writes nothing"
        raise SourceError("standard input is empty", hint=hint, name="source.stdin")
    return replace(source, parts=(LandedPart(path=str(path), sha256=digest.hexdigest()),))


def require_one_reader(jobs: Iterable[Job]) -> None:
    """Refuse several jobs that read the standard input in one command.

    Raises:
        UsageError: If more than one does.
    """
    names = [job.name for job in jobs if job.source.is_stdin]
    if len(names) > 1:
        hint = f"run them one by one, each with its input: batchsync sync {names[0]} < FILE"
        raise UsageError(
            f"{' and '.join(names)} read standard input, which can be read once only", hint=hint, name="source.stdin"
        )
