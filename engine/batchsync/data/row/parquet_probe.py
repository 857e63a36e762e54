"""Trial reading of Parquet files in a process of its own, which alone dies of files that abort polars or pyarrow.

Both take memory and index arrays as a damaged file says; some files end the whole process. Small files are therefore
read once by a long-lived helper process (`parquet_helper`) before this one reads them.

Protocol: a request is a line `all PATH` or `each PATH`. With `each`, the name of each column is answered before it is
read. The answer ends with `done`, whatever could be read. Paths and names are in hexadecimal digits.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

#: Size in bytes up to which a file is read by the helper process; larger ones take as long to read as to process.
PROBED_BYTES = 4 << 20
_MODULE = "batchsync.data.row.parquet_helper"
_DONE = b"done\n"


class ParquetProbe:
    """The helper process, started on first use and again after a file ended it."""

    _lock: ClassVar[Lock] = Lock()
    _process: ClassVar[subprocess.Popen[bytes] | None] = None

    @classmethod
    def fatal_part(cls, path: Path) -> str:
        """Return the part of a file that ends the process that reads it, for messages; empty if there is none."""
        with cls._lock:
            if cls._answers("all", path)[-1] == _DONE:
                return ""
            *columns, last = cls._answers("each", path)
            if last == _DONE or not columns:
                return "footer" if last != _DONE else "file"
            return f"column {bytes.fromhex(columns[-1].decode()).decode()!r}"

    @classmethod
    def _answers(cls, request: str, path: Path) -> list[bytes]:
        """Return the lines of an answer; the last is `_DONE`, or empty if the helper died.

        If the helper cannot be started, all files are taken as readable.
        """
        process = cls._process or cls._start()
        if process is None or process.stdin is None or process.stdout is None:
            return [_DONE]
        lines = []
        with contextlib.suppress(OSError):
            process.stdin.write(f"{request} {os.fsencode(path.absolute()).hex()}\n".encode())
            process.stdin.flush()
            while (line := process.stdout.readline()) and line != _DONE:
                lines.append(line)
            if line == _DONE:
                return [*lines, _DONE]
        cls._stop()
        return [*lines, b""]

    @classmethod
    def _start(cls) -> subprocess.Popen[bytes] | None:
        """Start the helper process, which ends when its standard input does; None if that is impossible."""
        command = [sys.executable, "-P", "-m", _MODULE]
        with contextlib.suppress(OSError):
            cls._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            atexit.register(cls.close)
        return cls._process

    @classmethod
    def _stop(cls) -> None:
        """Wait for the end of the helper process, and forget it."""
        if cls._process is not None:
            with contextlib.suppress(OSError):
                cls._process.communicate()
            cls._process = None

    @classmethod
    def close(cls) -> None:
        """End the helper process."""
        with cls._lock:
            cls._stop()
