"""Helper process of `parquet_probe`, which describes the protocol: reads files that may end the process.

No module imports this one; it is run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from batchsync.data.row.parquet_layout import read_layout
from batchsync.data.row.parquet_rows import try_reading
from batchsync.errors import SourceError

#: Rows that are read at a time.
_BATCH_ROWS = 50_000


def main() -> None:
    """Answer requests until the standard input ends."""
    for line in sys.stdin.buffer:
        _answer(line)


def _answer(line: bytes) -> None:
    """Read the file of a request."""
    request, name = line.split()
    path = Path(os.fsdecode(bytes.fromhex(name.decode())))
    with contextlib.suppress(SourceError, OSError):
        layout = read_layout(path, path.stat().st_size)
        for names in [list(layout.stored)] if request == b"all" else [[name] for name in layout.stored]:
            if request == b"each":
                _write(names[0].encode().hex().encode() + b"\n")
            try_reading(path, layout, names, _BATCH_ROWS)
    _write(b"done\n")


def _write(line: bytes) -> None:
    """Write a line of an answer."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
