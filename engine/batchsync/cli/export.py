"""CSV export of rejects to a file or stdout. Only an earlier export or an empty file is overwritten."""

from __future__ import annotations

import csv
import os
import stat
import sys
from typing import TYPE_CHECKING

from batchsync.cli import streams
from batchsync.errors import UnavailableError, UsageError
from batchsync.report.rejects import EXPORT_HEADER
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import TextIO

    from batchsync.report.rejects import RejectLine

_FIRST_LINE = ",".join(EXPORT_HEADER).encode()


def to_file(path: Path, rejects: Iterable[RejectLine]) -> None:
    """Write the export atomically, readable by the owner only because even masked rows are personal data.

    Raises:
        UsageError: If the file exists and is neither an export nor empty.
        UnavailableError: If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        _check_replaceable(path)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            _write(file, rejects)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {os_error_reason(error)}",
            hint="choose a file in a writable folder",
            name="environment.write",
        ) from None


def to_stdout(rejects: Iterable[RejectLine]) -> None:
    """Write the export to stdout; a closed pipe is not an error.

    Raises:
        UnavailableError: If stdout cannot be written.
    """
    if sys.stdout is None:
        return
    try:
        _write(sys.stdout, rejects)
        sys.stdout.flush()
    except BrokenPipeError:
        streams.redirect_to_null(sys.stdout)
    except OSError as error:
        streams.redirect_to_null(sys.stdout)
        raise UnavailableError(
            f"cannot write to stdout: {error.strerror}",
            hint="free some space, or choose another file with --export",
            name="environment.write",
        ) from None


def _write(file: TextIO, rejects: Iterable[RejectLine]) -> None:
    writer = csv.writer(file)
    writer.writerow(EXPORT_HEADER)
    writer.writerows(reject.cells() for reject in rejects)


def _check_replaceable(path: Path) -> None:
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
        name="usage.exists",
    )
