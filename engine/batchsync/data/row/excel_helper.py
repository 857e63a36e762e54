"""Helper process of `excel_reader`: reads a sheet, prints its columns and, if asked, writes its rows as Parquet.

A damaged workbook can end the process that reads it, or make it take memory without end; this one is limited. No
module imports this one; it is run. It reads one line of JSON and answers with one.
"""

from __future__ import annotations

import json
import resource
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine

from batchsync.core.sheet import Cells, parse_cells
from batchsync.data.row.excel_cells import Table
from batchsync.data.row.excel_scan import SheetContent, Workbook, first_objection
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Bytes of address space of the helper process.
MEMORY_BYTES = 3 << 30
#: Maximum number of cells of a rectangle that is read.
CELLS_MAX = 30_000_000
_BATCH_ROWS = 20_000


def main() -> None:
    """Answer the request on the standard input."""
    request = json.loads(sys.stdin.readline())
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        answer: dict[str, Any] = {"columns": _Sheet(request).columns()}
    except SourceError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(answer) + "\n")


class _Sheet:
    """The rectangle of a sheet that a request names."""

    def __init__(self, request: dict[str, Any]) -> None:
        """Open the workbook and look for what cannot be read."""
        self._path, self._out = Path(request["path"]), request["out"]
        workbook = Workbook(self._path)
        self._name = workbook.choose(request["sheet"])
        self._where = f"{self._path}, sheet {self._name!r}"
        content = workbook.scan(self._name)
        written = parse_cells(request["cells"]) if request["cells"] else None
        self._rows, self._columns = self._rectangle(content, written or Cells())
        if error := first_objection(self._path, self._name, content, self._rows, self._columns):
            raise error
        self._table = Table(self._where, request["nulls"])

    def columns(self) -> list[list[str]]:
        """Return the names and kinds of the columns; write the rows, if asked."""
        with python_calamine.load_workbook(self._path) as book:
            sheet = book.get_sheet_by_name(self._name)
            self._left = (sheet.start or (0, 0))[1]
            rows = self._read(sheet.iter_rows())
            self._table.read_header(self._rows.start, self._columns.start, next(rows)[1])
            for row, cells in rows:
                self._table.add(row, cells)
            if self._out:
                self._write(islice(self._read(sheet.iter_rows()), 1, None))
        return [[column.name, column.kind] for column in self._table.columns if column.name]

    def _rectangle(self, content: SheetContent, written: Cells) -> tuple[range, range]:
        """Return the rows and columns to read."""
        rows = range(
            content.top if written.first_row is None else written.first_row,
            min(content.bottom, content.bottom if written.last_row is None else written.last_row) + 1,
        )
        columns = range(
            content.left if written.first_column is None else written.first_column,
            (content.right if written.last_column is None else written.last_column) + 1,
        )
        if not rows or not columns:
            hint = "Name the sheet and range with the rows: source: {sheet: ..., range: ...}."
            raise SourceError(f"{self._where} has no header: there are no cells with values", hint=hint)
        used = (content.bottom + 1) * (content.right - content.left + 1)
        if used > CELLS_MAX:
            problem = f"{self._where} extends over {used:,} cells; at most {CELLS_MAX:,} are read"
            raise SourceError(problem, hint="Delete what is far from the table, or export the sheet as CSV.")
        return rows, columns

    def _read(self, rows: Iterator[list[Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield each row of the rectangle with its index; cells that the reader does not give are empty."""
        start, stop = (edge - self._left for edge in (self._columns.start, self._columns.stop))
        seen = self._rows.start
        for index, cells in enumerate(islice(rows, self._rows.stop)):
            if index >= self._rows.start:
                before = [""] * max(0, min(stop, 0) - start)
                found = [*before, *cells[max(0, start) : max(0, stop)]]
                seen = index + 1
                yield index, [*found, *[""] * (len(self._columns) - len(found))]
        for index in range(seen, self._rows.stop):
            yield index, [""] * len(self._columns)

    def _write(self, rows: Iterator[tuple[int, Sequence[Any]]]) -> None:
        """Write the rows, with their index below the header; none for rows without values."""
        kinds = {
            "": pa.null(),
            "boolean": pa.bool_(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "text": pa.string(),
            "timestamp": pa.timestamp("us"),
            "date": pa.date32(),
            "time": pa.time64("us"),
            "duration": pa.duration("us"),
        }
        named = [column for column in self._table.columns if column.name]
        fields = [("row", pa.int64()), *((f"c{index}", kinds[column.kind]) for index, column in enumerate(named))]
        columns = json.dumps([[column.name, column.kind] for column in named])
        schema = pa.schema(fields, metadata={"columns": columns})
        with pq.ParquetWriter(self._out, schema) as writer:
            while batch := list(islice(rows, _BATCH_ROWS)):
                values = [self._table.values(row, cells) for row, cells in batch]
                numbers = [
                    None if all(value is None for value in found) else row - self._rows.start - 1
                    for (row, _), found in zip(batch, values, strict=True)
                ]
                arrays = [[found[index] for found in values] for index in range(len(named))]
                data = [pa.array(items, kind) for items, kind in zip([numbers, *arrays], schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(data, schema=schema))


if __name__ == "__main__":
    main()
