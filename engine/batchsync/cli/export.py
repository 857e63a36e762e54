"""Where an export of rejects goes: to a file of its own, whole or not at all, or down stdout.

It replaces an earlier export and nothing else.
"""

from __future__ import annotations

import csv
import os
import stat
import sys
from typing import TYPE_CHECKING

from lading.cli import channels
from lading.errors import EnvironmentProblem, UsageError
from lading.report.rejects import EXPORT_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import TextIO

    from lading.report.rejects import RejectLine

_FIRST_LINE = ",".join(EXPORT_HEADER).encode()


def to_file(path: Path, rejects: Iterable[RejectLine]) -> None:
    """Write the file whole or not at all, for our eyes only: even masked, it speaks of persons.

    Raises:
        UsageError: when something else than an export or an empty file stands there.
        EnvironmentProblem: when it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        _refuse_others_work(path)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            _write(file, rejects)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path} could not be written: {error.strerror}", hint="name a file in a folder that you may write to"
        ) from None


def to_stdout(rejects: Iterable[RejectLine]) -> None:
    """Write all of them to stdout. A reader that went away is no error.

    Raises:
        EnvironmentProblem: when stdout takes no more.
    """
    if sys.stdout is None:
        return
    try:
        _write(sys.stdout, rejects)
        sys.stdout.flush()
    except BrokenPipeError:
        channels.silence(sys.stdout)
    except OSError as error:
        channels.silence(sys.stdout)
        raise EnvironmentProblem(
            f"stdout could not be written: {error.strerror}", hint="make room, or give --export a file elsewhere"
        ) from None


def _write(file: TextIO, rejects: Iterable[RejectLine]) -> None:
    writer = csv.writer(file)
    writer.writerow(EXPORT_HEADER)
    writer.writerows(one.cells() for one in rejects)


def _refuse_others_work(path: Path) -> None:
    """Raise UsageError when something stands at the path that is not ours to replace."""
    if not os.path.lexists(path):
        return
    if path.exists() and stat.S_ISREG(path.stat().st_mode):
        with path.open("rb") as file:
            first = file.readline(len(_FIRST_LINE) + 2)
        if not first or first.rstrip(b"\r\n") == _FIRST_LINE:
            return
    raise UsageError(
        f"{path} is already there and is no export of rejects; nothing was written",
        hint="name another file, or `-` for stdout",
    )
