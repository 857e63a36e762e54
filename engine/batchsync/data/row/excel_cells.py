"""Cells of a workbook as typed columns: exact, or refused with the address of the cell.

Excel stores numbers as floats of 15 digits, and moments as numbers: whole floats become integers, longer integers are
refused, and a column has one kind of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from batchsync.core.sheet import address
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: Whole numbers from here on have more digits than Excel keeps.
WHOLE_END = 10**15
#: Before that day, Excel's numbers of days are those of a calendar with a 29 February 1900.
_FIRST_DAY = date(1900, 3, 1)
#: Kinds that a column may mix, with the kind of all its values.
_MIXED = {frozenset({"integer", "number"}): "number", frozenset({"date", "timestamp"}): "timestamp"}


@dataclass(slots=True)
class Column:
    """A column of a sheet.

    Attributes:
        name: Name of the column; empty if the header has none.
        index: Index in the sheet, from 0.
        kinds: Kinds of its values, each with the row of the first.
    """

    name: str
    index: int
    kinds: dict[str, int] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Kind of all values; empty for a column without values, and for one with kinds that do not fit together."""
        if len(self.kinds) == 1:
            return next(iter(self.kinds))
        return _MIXED.get(frozenset(self.kinds), "")


class Table:
    """Columns of a rectangle of cells."""

    def __init__(self, where: str, nulls: Collection[str]) -> None:
        """Create the table.

        Args:
            where: File and sheet, for messages.
            nulls: Texts that are read as null.
        """
        self.columns: list[Column] = []
        self._where = where
        self._nulls = frozenset(nulls)

    def read_header(self, row: int, first_column: int, cells: Sequence[Any]) -> None:
        """Take the names of the columns.

        Args:
            row: Index of the row in the sheet.
            first_column: Index of the column of the first cell.
            cells: The cells.

        Raises:
            SourceError: If a cell is neither text nor a whole number, or two names are equal, or there is none.
        """
        places: dict[str, str] = {}
        for index, cell in enumerate(cells, start=first_column):
            value = self._value(row, index, cell)
            if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
                raise self._error(row, index, "the header is neither a text nor a whole number", "Write it as text.")
            name = "" if value is None else str(value)
            if name and name in places:
                problem = f"duplicate column in the header: {name!r} is also in {places[name]}"
                raise self._error(row, index, problem, "Rename one of the two columns.")
            places[name] = address(row, index)
            self.columns.append(Column(name, index))
        if not any(column.name for column in self.columns):
            hint = "Name the columns in the first row, or set source.range to the cells with header and rows."
            raise self._error(row, first_column, "the header names no column", hint)

    def add(self, row: int, cells: Sequence[Any]) -> None:
        """Note the kinds of a row's values.

        Raises:
            SourceError: If a cell cannot be read, or its kind differs from that of the cells above.
        """
        for column, cell in zip(self.columns, cells, strict=True):
            value = self._value(row, column.index, cell)
            if value is None:
                continue
            if not column.name:
                hint = "Name the column in the header, clear the cell, or leave the column out with source.range."
                raise self._error(row, column.index, "the cell has a value, but its column has no name", hint)
            kind = _kind(value)
            if kind not in column.kinds:
                column.kinds[kind] = row
                if not column.kind:
                    other, first = next(item for item in column.kinds.items() if item[0] != kind)
                    there = address(first, column.index)
                    problem = f"column {column.name!r} mixes kinds of values: {kind} here, {other} in {there}"
                    hint = "Write all cells of a column as text, or all as values of one kind."
                    raise self._error(row, column.index, problem, hint)

    def values(self, row: int, cells: Sequence[Any]) -> list[Any]:
        """Return the values of the named columns of a row, each of the kind of its column."""
        found = []
        for column, cell in zip(self.columns, cells, strict=True):
            if column.name:
                value = self._value(row, column.index, cell)
                if column.kind == "number" and value is not None:
                    value = float(value)
                elif column.kind == "timestamp" and type(value) is date:
                    value = datetime.combine(value, time())
                found.append(value)
        return found

    def _value(self, row: int, index: int, cell: Any) -> Any:
        """Return the value of a cell; None for an empty one."""
        if cell == "" or (isinstance(cell, str) and cell in self._nulls):
            return None
        if isinstance(cell, float) and cell.is_integer():
            if abs(cell) >= WHOLE_END:
                problem = "the number has more than 15 digits, of which Excel keeps only 15"
                raise self._error(row, index, problem, "Format the cell as text, and write the number again.")
            return int(cell)
        if isinstance(cell, date) and (cell.date() if isinstance(cell, datetime) else cell) < _FIRST_DAY:
            problem = "the date is before 1 March 1900, where calendars of Excel differ"
            raise self._error(row, index, problem, "Write it as text, such as 1899-12-31.")
        return cell

    def _error(self, row: int, index: int, problem: str, hint: str) -> SourceError:
        return SourceError(f"{self._where}, {address(row, index)}: {problem}", hint=hint)


def _kind(value: Any) -> str:
    """Return the kind of a value."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "text"),
        (datetime, "timestamp"),
        (date, "date"),
        (time, "time"),
        (timedelta, "duration"),
    )
    return next(kind for cls, kind in kinds if isinstance(value, cls))
