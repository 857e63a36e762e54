"""Look into an Excel workbook (.xlsx) for what its reader does not tell: errors, formulas without value, merged cells.

python-calamine gives an empty text for such cells, and takes memory for the whole rectangle that has values.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.parsers import expat

from batchsync.core.sheet import COLUMNS_MAX, ROWS_MAX, address, position_of
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Maximum number of bytes of all parts of a workbook, unpacked.
UNPACKED_MAX = 1 << 30
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_ERROR = re.compile(r"#[A-Z0-9/_]{1,20}[!?]?")
_SAVE = "Open it in Excel or LibreOffice and save it as .xlsx."


@dataclass(slots=True)
class SheetContent:
    """What a sheet has, with indexes from 0.

    Attributes:
        top: First row with a value; the other bounds alike. `bottom` is less than `top` if there is none.
        errors: Cells with an error, each with its text.
        uncalculated: Cells with a formula whose result was not saved.
        merged: References of merged cells, such as `A1:B2`.
    """

    top: int = ROWS_MAX
    left: int = COLUMNS_MAX
    bottom: int = -1
    right: int = -1
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    uncalculated: list[tuple[int, int]] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)

    def add(self, row: int, column: int) -> None:
        """Include a cell with a value."""
        self.top, self.bottom = min(self.top, row), max(self.bottom, row)
        self.left, self.right = min(self.left, column), max(self.right, column)


class Workbook:
    """The parts of a workbook."""

    def __init__(self, path: Path) -> None:
        """Open a workbook and read the list of its sheets.

        Raises:
            SourceError: If the file is no .xlsx workbook, or encrypted, damaged or too large.
        """
        with path.open("rb") as stream:
            if stream.read(len(_OLE)) == _OLE:
                message = f"{path} is an old workbook (.xls) or an encrypted one, whose cells with errors are not known"
                raise SourceError(message, hint=f"{_SAVE} Remove the password if it has one.")
        self.path = path
        self._archive = zipfile.ZipFile(path)
        names = self._archive.namelist()
        if size := max(0, sum(item.file_size for item in self._archive.infolist()) - UNPACKED_MAX):
            message = f"{path} has {size + UNPACKED_MAX:,} bytes unpacked; at most {UNPACKED_MAX:,} are read"
            raise SourceError(message, hint="Export it as CSV.")
        if _WORKBOOK not in names:
            kind = "a binary workbook (.xlsb)" if "xl/workbook.bin" in names else "no .xlsx workbook"
            raise SourceError(f"{path} is {kind}", hint=_SAVE)
        #: Names of the sheets with the id of their part, and names of the visible ones.
        self.sheets: dict[str, str] = {}
        self.visible: list[str] = []
        self._parse(_WORKBOOK, self._add_sheet)

    def choose(self, name: str | None) -> str:
        """Return the name of the sheet to read.

        Raises:
            SourceError: If there is no sheet of that name, or none is named and several are visible.
        """
        listed = ", ".join(repr(item) for item in self.visible) or "none"
        if name is not None and name not in self.sheets:
            raise SourceError(f"{self.path} has no sheet {name!r}", hint=f"Its visible sheets are {listed}.")
        if name is None and len(self.visible) != 1:
            message = f"{self.path} has {len(self.visible)} visible sheets: {listed}"
            raise SourceError(message, hint="Name one: source: {sheet: ...}.")
        return self.visible[0] if name is None else name

    def scan(self, sheet: str) -> SheetContent:
        """Return what a sheet has.

        Raises:
            SourceError: If the workbook has no such part.
        """
        targets: dict[str, str] = {}

        def add_relation(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship":
                targets[attributes.get("Id", "")] = attributes.get("Target", "")

        self._parse(_RELATIONS, add_relation)
        target = targets.get(self.sheets[sheet], "")
        part = target.removeprefix("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
        if part not in self._archive.namelist() or "worksheets" not in part:
            raise SourceError(f"{self.path}: {sheet!r} is no sheet with cells", hint="Name another sheet.")
        handler = _SheetHandler()
        self._parse(part, handler.start, handler.end, handler.text)
        return handler.content

    def _add_sheet(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheet" and "name" in attributes:
            self.sheets[attributes["name"]] = attributes.get("id", "")
            if attributes.get("state", "visible") == "visible":
                self.visible.append(attributes["name"])

    def _parse(
        self,
        part: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Parse a part; handlers get names without their namespace."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = lambda tag, found: start(_local(tag), {_local(k): v for k, v in found.items()})
        if end is not None:
            parser.EndElementHandler = lambda tag: end(_local(tag))
        if text is not None:
            parser.CharacterDataHandler = text
        with self._archive.open(part) as stream:
            parser.ParseFile(stream)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class _SheetHandler:
    """Handler of the elements of a sheet."""

    def __init__(self) -> None:
        self.content = SheetContent()
        self._row = self._column = -1
        self._kind = ""
        self._has_formula = self._has_value = self._is_inside = False
        self._text = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        if tag == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
        elif tag == "c":
            self._column += 1
            if "r" in attributes:
                self._row, self._column = position_of(attributes["r"])
            self._kind, self._text = attributes.get("t", "n"), ""
            self._has_formula = self._has_value = False
        elif tag in ("v", "is"):
            self._is_inside = True
        elif tag == "f":
            self._has_formula = True
        elif tag == "mergeCell":
            self.content.merged.append(attributes.get("ref", ""))

    def text(self, text: str) -> None:
        """Add the text of a value."""
        if self._is_inside:
            self._has_value = True
            if self._kind == "e":
                self._text += text

    def end(self, tag: str) -> None:
        """End an element."""
        if tag in ("v", "is"):
            self._is_inside = False
        elif tag == "c":
            place = (self._row, self._column)
            if self._kind == "e":
                self.content.errors[place] = self._text if _ERROR.fullmatch(self._text) else "of another program"
            elif self._has_formula and not self._has_value and self._kind != "str":
                self.content.uncalculated.append(place)
            if self._has_value or self._kind == "e" or self._has_formula:
                self.content.add(*place)


def first_objection(path: Path, sheet: str, content: SheetContent, cells: range, columns: range) -> SourceError | None:
    """Return the error for the first cell in a rectangle that cannot be read, or None.

    Args:
        path: The workbook.
        sheet: Name of the sheet.
        content: What the sheet has.
        cells: Rows of the rectangle.
        columns: Columns of the rectangle.
    """

    def first(places: list[tuple[int, int]]) -> tuple[int, int] | None:
        return min((place for place in places if place[0] in cells and place[1] in columns), default=None)

    where = f"{path}, sheet {sheet!r}"
    if (place := first(list(content.errors))) is not None:
        hint = "Correct the formula, clear the cell, or leave it out with source.range."
        return SourceError(f"{where}, {address(*place)}: the cell has the error {content.errors[place]}", hint=hint)
    if (place := first(content.uncalculated)) is not None:
        hint = "Open the workbook in Excel or LibreOffice and save it, which calculates its formulas."
        return SourceError(f"{where}, {address(*place)}: the result of the formula was not saved", hint=hint)
    for reference in content.merged:
        (top, left), (bottom, right) = (position_of(part) for part in (reference.split(":") * 2)[:2])
        if max(top, cells.start) < min(bottom + 1, cells.stop) and max(left, columns.start) < min(
            right + 1, columns.stop
        ):
            hint = "Unmerge the cells, and write the value into each of them, or leave them out with source.range."
            return SourceError(f"{where}, {reference}: the cells are merged", hint=hint)
    return None
