"""Where batch files end: at the vendor's limits of bytes and rows, by the sizes of consecutive blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.data.batchfile.gzip_blocks import HEADER, OVERHEAD
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from batchsync.core.vendor_rules import FileRules
    from batchsync.data.batchfile.gzip_blocks import GzipBlock


class FileCutter:
    """Assignment of consecutive blocks to files."""

    def __init__(self, rules: FileRules, head: GzipBlock | None, tail: GzipBlock | None) -> None:
        """Start before the first file.

        Args:
            rules: Rules of the files.
            head: Block that every file begins with, if any.
            tail: Block that every file ends with, if any; lines begin with a comma then, which the first line of a file
                loses.
        """
        self._rules, self._head, self._tail = rules, head, tail
        self._size = self._rows = 0
        self._is_open = False

    def end_file(self, head: GzipBlock | None) -> None:
        """End the file, and begin those that follow with another block."""
        self._head, self._is_open = head, False

    def starts_file(self, size: int, rows: int) -> bool:
        """Return whether the next block starts a file, and count it.

        Args:
            size: Bytes of the block.
            rows: Its number of lines.

        Raises:
            SourceError: If a block of one record is larger than a batch file may be.
        """
        starts = not (self._is_open and self._has_room(size, rows))
        if starts:
            self._size = len(HEADER) if self._rules.gzip else 0
            self._size += len(self._head.data) if self._head is not None else 0
            self._rows, self._is_open = 0, True
            if self._rules.bytes_max is not None and not self._has_room(size, rows):
                message = f"a record exceeds the maximum size of a batch file ({self._rules.bytes_max} bytes)"
                raise SourceError(message, hint="Map fewer or shorter columns.")
        self._size += size - int(self._tail is not None and starts)
        self._rows += rows
        return starts

    def _has_room(self, size: int, rows: int) -> bool:
        """Return whether a block fits within the vendor's limits."""
        rest = OVERHEAD - len(HEADER) if self._rules.gzip else 0
        rest += len(self._tail.data) if self._tail is not None else 0
        if self._rules.bytes_max is not None and self._size + size + rest > self._rules.bytes_max:
            return False
        return self._rules.rows_max is None or self._rows + rows <= self._rules.rows_max
