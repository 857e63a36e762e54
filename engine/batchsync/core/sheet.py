"""Part of a workbook that is a source: a sheet, and a range of its cells in the notation of Excel."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Numbers of rows and columns that a sheet can have.
ROWS_MAX, COLUMNS_MAX = 1_048_576, 16_384
_LETTERS = 26
_RANGE = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})?:([A-Za-z]{1,3})([1-9][0-9]{0,6})?")


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells in a rectangle: indexes of the first and last row and column, from 0. None: that of the sheet."""

    first_row: int | None = None
    last_row: int | None = None
    first_column: int | None = None
    last_column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What of a workbook is read.

    Attributes:
        name: Name of the sheet; None for the only visible one.
        cells: The range as written, such as `A3:F500`; None for all cells with values. Its first row is the header.
    """

    name: str | None = None
    cells: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether nothing is written."""
        return self == Sheet()

    def to_json(self) -> list[str | None]:
        """Return all settings, for hashes."""
        return [self.name, self.cells]


def parse_cells(text: str) -> Cells | None:
    """Return the rectangle that `A3:F500`, `A3:F` or `A:F` names; None if the text names none."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    left, top, right, bottom = found.groups()
    first_row, last_row = (int(row) - 1 if row else None for row in (top, bottom))
    first_column, last_column = _column(left), _column(right)
    is_upright = first_row is None or last_row is None or first_row <= last_row
    is_possible = max(first_row or 0, last_row or 0) < ROWS_MAX and last_column < COLUMNS_MAX
    if not is_upright or not is_possible or first_column > last_column:
        return None
    return Cells(first_row, last_row, first_column, last_column)


def position_of(reference: str) -> tuple[int, int]:
    """Return row and column, from 0, of an address such as `B7`.

    Raises:
        ValueError: If it is none.
    """
    letters = reference.rstrip("0123456789")
    if not letters.isascii() or not letters.isalpha():
        message = "no address of a cell"
        raise ValueError(message)
    return int(reference[len(letters) :]) - 1, _column(letters)


def address(row: int, column: int) -> str:
    """Return the address of a cell, such as `B7`, by its row and column from 0."""
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, _LETTERS)
        letters = chr(ord("A") + digit) + letters
    return f"{letters}{row + 1}"


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    return number - 1
