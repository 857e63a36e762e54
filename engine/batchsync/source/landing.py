"""Landing of rows: Arrow tables become Parquet parts in the folder of a run, sealed once the last row was read.

A part has its final name only when it is complete, and its digest when all parts are: rows of a read that ended early
are no source.
"""

from __future__ import annotations

import errno
import shutil
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.core.landed_part import LandedPart
from batchsync.errors import SourceError, UnavailableError
from batchsync.util.files import make_private, os_error_reason, sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

#: Rows and bytes of memory after which a row group is written.
GROUP_ROWS, GROUP_BYTES = 50_000, 32 << 20
#: Rows and bytes of a file after which a part is complete.
PART_ROWS, PART_BYTES = 1_000_000, 256 << 20
#: Bytes of the disk that landing leaves free.
RESERVE_BYTES = 64 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_HINT = "Free some space, then run the same command again; nothing was sent."


class Landing(AbstractContextManager["Landing"]):
    """Writer of the parts of one source. A context manager that deletes all parts unless they were sealed.

    Tables may differ in the types of their columns: each change begins a part, and `seal` casts the parts before to the
    types of all rows. Memory is bounded by one row group.
    """

    def __init__(self, folder: Path, title: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Write nothing yet.

        Args:
            folder: Folder of the parts, created if it is missing.
            title: What is read, for messages.
            progress: Receives the number of rows after each row group.
        """
        self._folder, self._title, self._progress = folder, title, progress
        self._parts: list[tuple[Path, pa.Schema]] = []
        self._pending: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None
        self._written = 0
        self._sealed = False
        self.rows = 0
        with self._disk_errors():
            make_private(folder)

    def add(self, table: pa.Table) -> None:
        """Append rows.

        Args:
            table: Rows whose columns have the names of those before, in the same order.

        Raises:
            SourceError: If the columns have other names than those before.
            UnavailableError: If the disk is full or cannot be written to.
        """
        if self._pending and table.schema != self._pending[0].schema:
            self._flush()
        first = self._pending[0].schema if self._pending else self._parts[-1][1] if self._parts else table.schema
        if table.column_names != first.names:
            raise SourceError(f"{self._title}: the columns changed while rows were read", hint="Run the command again.")
        self._pending.append(table)
        self.rows += table.num_rows
        if self._pending_rows() >= GROUP_ROWS or sum(item.nbytes for item in self._pending) >= GROUP_BYTES:
            self._flush()

    def seal(self, schema: pa.Schema) -> tuple[LandedPart, ...]:
        """Complete the parts after the last row, and return them with their digests.

        Args:
            schema: Types of all rows; parts of other types are cast to them, which must be possible exactly.

        Returns:
            The parts in the order of their rows; at least one, which has no rows if none were added.

        Raises:
            SourceError: If a value does not fit the type exactly.
            UnavailableError: If the disk is full or cannot be written to.
        """
        if not self._pending and not self._parts:
            self._pending.append(schema.empty_table())
        self._flush()
        self._close_part()
        with self._disk_errors():
            for path, found in self._parts:
                if found != schema:
                    self._cast(path, schema)
            sealed = tuple(LandedPart(path=str(path), sha256=sha256_of_file(path)) for path, _ in self._parts)
        self._sealed = True
        return sealed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the parts unless they were sealed."""
        if self._sealed and kind is None:
            return
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for path, _ in self._parts:
            path.unlink(missing_ok=True)
            _partial(path).unlink(missing_ok=True)

    def _pending_rows(self) -> int:
        return sum(item.num_rows for item in self._pending)

    def _flush(self) -> None:
        """Write what is pending as one row group; complete the part if it is large enough."""
        if not self._pending:
            return
        table = pa.concat_tables(self._pending)
        self._pending = []
        if self._writer is not None and table.schema != self._parts[-1][1]:
            self._close_part()
        with self._disk_errors():
            self._require_space(table.nbytes)
            if self._writer is None:
                path = self._folder / f"part-{len(self._parts):05}.parquet"
                self._parts.append((path, table.schema))
                self._writer = pq.ParquetWriter(_partial(path), table.schema, compression="lz4")
                self._written = 0
            self._writer.write_table(table)
            self._written += table.num_rows
            size = _partial(self._parts[-1][0]).stat().st_size
        if self._progress is not None:
            self._progress(self.rows)
        if self._written >= PART_ROWS or size >= PART_BYTES:
            self._close_part()

    def _close_part(self) -> None:
        """Complete the current part, if there is one."""
        if self._writer is None:
            return
        with self._disk_errors():
            self._writer.close()
            self._writer = None
            path = self._parts[-1][0]
            _partial(path).replace(path)

    def _cast(self, path: Path, schema: pa.Schema) -> None:
        """Write a part again with other types."""
        try:
            with pq.ParquetFile(path) as old, pq.ParquetWriter(_partial(path), schema, compression="lz4") as new:
                for number in range(old.num_row_groups):
                    table = old.read_row_group(number).cast(schema)
                    self._require_space(table.nbytes)
                    new.write_table(table)
        except pa.ArrowInvalid:
            raise SourceError(
                f"{self._title}: a value does not fit the type of its column exactly", hint="Cast it in the query."
            ) from None
        _partial(path).replace(path)

    def _require_space(self, size: int) -> None:
        """Check that the disk has room for more bytes.

        Raises:
            UnavailableError: If it does not.
        """
        free = shutil.disk_usage(self._folder).free
        if free < size + RESERVE_BYTES:
            needed = (size + RESERVE_BYTES) >> 20
            raise UnavailableError(
                f"{self._title}: not landed: the disk of {self._folder} has {free >> 20:,} MiB free, "
                f"and the next rows need {needed:,} MiB; {self.rows:,} rows were read",
                hint=_FULL_HINT,
            )

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Raise errors of the disk as UnavailableError."""
        try:
            yield
        except OSError as error:
            is_full = error.errno in _FULL or "No space left" in str(error)
            reason = "the disk is full" if is_full else os_error_reason(error)
            hint = _FULL_HINT if is_full else "Check the state folder and its disk."
            raise UnavailableError(f"{self._title}: not landed: {reason}", hint=hint) from None


def _partial(path: Path) -> Path:
    """Return the name of a part that is not complete."""
    return path.with_name(f".{path.name}.partial")
