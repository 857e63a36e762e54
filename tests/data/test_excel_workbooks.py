"""Excel workbooks are read cell by cell exactly, or refused with the address of the cell that would be misread."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import openpyxl
import polars as pl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from batchsync.core.job import Join, Source
from batchsync.core.sheet import Cells, Sheet, address, parse_cells, position_of
from batchsync.data.frame.columns import ROW
from batchsync.data.row import excel_reader
from batchsync.data.row.excel_cells import Table
from batchsync.data.row.joins import load
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = ["id", "name"]


def save(path: Path, *rows: Sequence[Any], at: tuple[int, int] = (1, 1), book: openpyxl.Workbook | None = None) -> Path:
    """Write rows into the first sheet of a workbook."""
    book = book or openpyxl.Workbook()
    sheet = book.active
    for down, row in enumerate(rows):
        for right, value in enumerate(row):
            sheet.cell(row=at[0] + down, column=at[1] + right, value=value)
    book.save(path)
    return path


def source_of(path: Path, *, name: str | None = None, cells: str | None = None, **more: Any) -> Source:
    sheet = Sheet(name=name, cells=cells)
    return Source(path=path.name, folder=str(path.parent), key=("id",), sheet=sheet, **more)


def read(path: Path, **more: Any) -> pl.DataFrame:
    """Return the rows of a workbook; blank rows included, without number."""
    files = open_source(source_of(path, **more))
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return pl.concat(list(frames(files, work, fresh=True)))


def refusal(path: Path, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(path, **more)
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


KINDS: dict[str, tuple[pl.DataType, list[Any]]] = {
    "integer": (pl.Int64(), [1, -5, 0, 999_999_999_999_999, -999_999_999_999_999, None]),
    "number": (pl.Float64(), [1.5, 0.1, 1e-7, -2.25, 1 / 3, 1e14 + 0.5, 123456.789, 7, None]),
    "text": (pl.String(), ["00001", " a ", "ä€😀", "x\ny", "=1+1 ", "TRUE", "1,5", "a_x000D_b", "_x005F_x0041_", None]),
    "boolean": (pl.Boolean(), [True, False, None]),
    "date": (pl.Date(), [date(1900, 3, 1), date(2024, 2, 29), date(9999, 12, 31), None]),
    "timestamp": (
        pl.Datetime("us"),
        [
            datetime.fromisoformat("2024-02-29T13:14:15.678000"),
            datetime.fromisoformat("2024-01-01"),
            datetime.fromisoformat("1999-12-31T23:59:59"),
            None,
        ],
    ),
    "time": (pl.Time(), [time(0, 0), time(13, 14, 15), time(23, 59, 59, 999000), None]),
    "duration": (pl.Duration("us"), [timedelta(hours=30), timedelta(days=3, seconds=1), None]),
    "nothing": (pl.Null(), [None, None]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [(1, 1), (4, 3), (2, 30)], ids=["A1", "C4", "AD2"])
def test_cells_of_a_kind_are_read_exactly(tmp_path: Path, kind: str, at: tuple[int, int]) -> None:
    dtype, values = KINDS[kind]
    rows = [(index, value) for index, value in enumerate(values, start=1)]
    path = save(tmp_path / "book.xlsx", ("id", "x"), *rows, at=at)
    if kind == "text":  # openpyxl would write a formula
        book = openpyxl.load_workbook(path)
        book.active.cell(row=at[0] + 5, column=at[1] + 1).data_type = "s"
        book.save(path)
    found = read(path)
    assert found["x"].dtype == dtype
    # openpyxl writes an underscore as it is, although it is an escape in workbooks.
    assert found["x"].to_list() == [_unescaped(value) for value in values]
    assert found["id"].to_list() == [index for index, _ in rows]
    assert found[ROW].to_list() == [index for index, _ in rows]


def _unescaped(value: Any) -> Any:
    return value.replace("_x005F_", "_").replace("a_x000D_b", "a\rb") if isinstance(value, str) else value


def test_dates_of_the_calendar_from_1904_are_the_same_days(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    days = [date(1904, 1, 2), date(2024, 2, 29)]
    path = save(tmp_path / "book.xlsx", HEAD, *enumerate(days), book=book)
    assert read(path)["name"].to_list() == days


def test_thousands_of_rows_and_blank_rows_keep_their_numbers(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("S")
    sheet.append(HEAD)
    for number in range(45_000):
        sheet.append([number, f"n{number}"] if number % 1000 else [None, None])
    book.save(tmp_path / "book.xlsx")
    found = read(tmp_path / "book.xlsx")
    assert found[ROW].to_list() == [number + 1 for number in range(45_000) if number % 1000]
    assert found["name"].to_list() == [f"n{number}" for number in range(45_000) if number % 1000]


def test_columns_without_name_and_value_are_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx", ["id", None, "name", None, 2024], [1, None, "a", None, 5])
    assert read(path).columns == [ROW, "id", "name", "2024"]


def test_declared_null_texts_are_null_before_kinds_are_compared(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, 5], [2, "n/a"], [3, 7])
    assert read(path, nulls=("n/a",))["name"].to_list() == [5, None, 7]
    assert "mixes kinds of values: text here, integer in B2" in refusal(path).message


@pytest.mark.parametrize(
    ("rows", "place", "message"),
    [
        ([HEAD, [1, 10**15]], "B2", "the number has more than 15 digits"),
        ([HEAD, ["a", 1], ["b", 12345678901234567890]], "B3", "the number has more than 15 digits"),
        ([HEAD, [-(10**16), 1]], "A2", "the number has more than 15 digits"),
        ([HEAD, [1, "00001"], [2, 2]], "B3", "column 'name' mixes kinds of values: integer here, text in B2"),
        ([HEAD, [1, 1], [2, None], [3, True]], "B4", "mixes kinds of values: boolean here, integer in B2"),
        ([HEAD, [1, date(2024, 1, 1)], [2, 45000]], "B3", "mixes kinds of values: integer here, date in B2"),
        (
            [HEAD, [1, time(1, 2)], [2, datetime.fromisoformat("2024-01-01T03:00:00")]],
            "B3",
            "mixes kinds of values: timestamp here, time in B2",
        ),
        ([HEAD, [1, 1], [2, 1.5], [3, "x"]], "B4", "mixes kinds of values: text here, "),
        ([HEAD, [1, date(1900, 2, 28)]], "B2", "the date is before 1 March 1900"),
        ([["id", "id"], [1, 2]], "B1", "duplicate column in the header: 'id' is also in A1"),
        ([["id", 7, "7"], [1, 2, 3]], "C1", "duplicate column in the header: '7' is also in B1"),
        ([["id", None], [1, None], [2, "x"]], "B3", "the cell has a value, but its column has no name"),
        ([["id", True], [1, 2]], "B1", "the header is neither a text nor a whole number"),
        ([["id", 1.5], [1, 2]], "B1", "the header is neither a text nor a whole number"),
        ([["id", date(2024, 1, 1)], [1, 2]], "B1", "the header is neither a text nor a whole number"),
        ([HEAD, [1, "=1+1"]], "B2", "the result of the formula was not saved"),
        ([["id", '="a"'], [1, 2]], "B1", "the result of the formula was not saved"),
    ],
)
def test_cells_that_would_be_misread_are_refused_with_their_address(
    tmp_path: Path, rows: list[list[Any]], place: str, message: str
) -> None:
    error = refusal(save(tmp_path / "book.xlsx", *rows))
    assert f"sheet 'Sheet', {place}: " in error.message
    assert message in error.message


@pytest.mark.parametrize("text", ["#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"])
@pytest.mark.parametrize("place", ["A1", "B2", "A3"])
def test_cells_with_errors_are_refused_unless_they_are_outside_of_the_range(
    tmp_path: Path, text: str, place: str
) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"], [2, "b"], ["x", "y"], [3, "c"])
    book = openpyxl.load_workbook(path)
    book.active[place] = text
    book.save(path)
    assert f"sheet 'Sheet', {place}: the cell has the error {text}" in refusal(path).message
    assert read(path, cells="A4:B5")["y"].to_list() == ["c"]


def test_text_that_looks_like_an_error_is_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(HEAD)
    book.active.append([1, "x"])
    book.active["B2"].value = "#N/A"
    book.active["B2"].data_type = "s"
    book.save(tmp_path / "book.xlsx")
    assert read(tmp_path / "book.xlsx")["name"].to_list() == ["#N/A"]


def test_merged_cells_are_refused_unless_they_are_outside_of_the_range(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    path = save(tmp_path / "book.xlsx", ["Guests of May", None], HEAD, [1, "a"], book=book)
    book.active.merge_cells("A1:B1")
    book.save(path)
    assert "sheet 'Sheet', A1:B1: the cells are merged" in refusal(path).message
    assert read(path, cells="A2:B")["name"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("cells", "rows"),
    [
        ("B3:C5", [(1, "a"), (2, "b")]),
        ("b3:c", [(1, "a"), (2, "b"), (3, "c")]),
        ("B3:C4", [(1, "a")]),
        ("B3:D99", [(1, "a"), (2, "b"), (3, "c")]),
        ("A3:C5", [(1, "a"), (2, "b")]),
    ],
)
def test_range_is_read_and_nothing_else(tmp_path: Path, cells: str, rows: list[tuple[int, str]]) -> None:
    path = save(tmp_path / "book.xlsx", ["title"], [], HEAD, [1, "a"], [2, "b"], [3, "c"], at=(1, 2))
    found = read(path, cells=cells)
    assert found.select("id", "name").rows() == rows


@pytest.mark.parametrize("cells", ["X1:Y9", "A50:B60"])
def test_range_without_values_is_refused(tmp_path: Path, cells: str) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"])
    message = refusal(path, cells=cells).message
    assert "the header names no column" in message or "there are no cells with values" in message


def test_only_visible_sheet_is_the_default_and_others_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"], book=book)
    hidden = book.create_sheet("Old")
    hidden.sheet_state = "hidden"
    hidden.append(HEAD)
    hidden.append([2, "b"])
    book.save(path)
    assert read(path)["name"].to_list() == ["a"]
    assert read(path, name="Old")["name"].to_list() == ["b"]
    book.create_sheet("Gäste & <x>").append(["id", "mail"])
    book["Gäste & <x>"].append([1, "m"])
    book.save(path)
    assert "has 2 visible sheets: 'Sheet', 'Gäste & <x>'" in refusal(path).message
    assert read(path, name="Gäste & <x>").columns == [ROW, "id", "mail"]
    assert "has no sheet 'Gaeste'" in refusal(path, name="Gaeste").message


def test_sheet_without_cells_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx")
    assert "has no header: there are no cells with values" in refusal(path).message


def test_workbooks_of_a_glob_and_a_join_are_read(tmp_path: Path) -> None:
    save(tmp_path / "a1.xlsx", ["id", "seg"], [1, "x"])
    save(tmp_path / "a2.xlsx", ["id", "seg"], [2, None])
    book = openpyxl.Workbook()
    book.create_sheet("Segments").append(["seg", "title"])
    book["Segments"].append(["x", "Gold"])
    book["Sheet"].append(["other"])
    book.save(tmp_path / "segments.xlsx")
    work = tmp_path / "work"
    work.mkdir()
    join = Join(path="segments.xlsx", on=(("seg", "seg"),), sheet=Sheet(name="Segments"))
    source = replace(source_of(tmp_path / "a*.xlsx"), joins=(join,))
    rows = pl.concat(list(frames(open_source(source), work, fresh=True)))
    assert rows.select(ROW, "id", "seg").rows() == [(1, 1, "x"), (2, 2, None)]
    (lookup,) = load(source, work)
    assert lookup.table["title"].to_list() == ["Gold"]


def test_cells_far_apart_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"])
    book = openpyxl.load_workbook(path)
    book.active["XFD1048576"] = "far"
    book.save(path)
    assert "extends over 17,179,869,184 cells; at most 30,000,000 are read" in refusal(path).message


def test_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"])
    zeros = bytes(1 << 20)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/media/x.bin", "w", force_zip64=True) as part,
    ):
        for _ in range(1100):
            part.write(zeros)
    assert path.stat().st_size < 4 << 20
    assert "bytes unpacked; at most 1,073,741,824 are read" in refusal(path).message


def _with_part(path: Path, name: str, change: bytes) -> None:
    """Replace a part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, data in (parts | {name: change}).items():
            archive.writestr(item, data)


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %c "%s">' % (ord("b") + n, b"&%c;" % (ord("a") + n) * 40) for n in range(9)
)


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"<worksheet>",
        b"\x00\xff not xml",
        b"<worksheet><sheetData><row r='x'><c r='A1'><v>1</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row r='1'><c r='?!'><v>1</v></c></row></sheetData></worksheet>",
        b"<worksheet><sheetData><row r='1'><c r='A1' t='s'><v>99999999</v></c></row></sheetData></worksheet>",
        LAUGHS + b"]><worksheet><sheetData><row r='1'><c r='A1'><v>&j;</v></c></row></sheetData></worksheet>",
    ],
    ids=["empty", "open", "binary", "row", "address", "string", "entities"],
)
def test_damaged_parts_are_refused_in_words(tmp_path: Path, part: bytes) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"])
    _with_part(path, "xl/worksheets/sheet1.xml", part)
    message = refusal(path).message
    assert "is a damaged workbook" in message or "there are no cells with values" in message


@pytest.mark.parametrize("size", [0, 3, 100, 2000, -1, -30, -500])
def test_truncated_workbooks_are_refused_in_words(tmp_path: Path, size: int) -> None:
    path = save(tmp_path / "book.xlsx", HEAD, [1, "a"])
    path.write_bytes(path.read_bytes()[:size])
    assert "is a damaged workbook" in refusal(path).message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an old workbook (.xls) or an encrypted one"),
        (b"id,name\n1,a\n", "is a damaged workbook"),
    ],
)
def test_other_content_is_refused_in_words(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(content)
    assert message in refusal(path).message


def test_archives_that_are_no_xlsx_are_named(tmp_path: Path) -> None:
    for part, kind in (("xl/workbook.bin", "a binary workbook (.xlsb)"), ("content.xml", "no .xlsx workbook")):
        path = tmp_path / "book.xlsx"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(part, b"x")
        assert kind in refusal(path).message


def test_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_reader, "_PACKAGE", "no_such_package")
    error = refusal(save(tmp_path / "book.xlsx", HEAD, [1, "a"]))
    assert "the package that reads workbooks is not installed" in error.message
    assert error.hint == "Install it: pip install 'batchsync[excel]'"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("A3:F500", Cells(2, 499, 0, 5)),
        ("a3:f", Cells(2, None, 0, 5)),
        ("A:XFD", Cells(None, None, 0, 16383)),
        ("A1:A1048576", Cells(0, 1048575, 0, 0)),
        ("A3:F2", None),
        ("F1:A2", None),
        ("A1", None),
        ("A0:B2", None),
        ("A1:XFE2", None),
        ("A1:B1048577", None),
        ("A1:B2 ", None),
        ("$A$1:$B$2", None),
    ],
)
def test_ranges_are_parsed_as_excel_writes_them(text: str, cells: Cells | None) -> None:
    assert parse_cells(text) == cells


@pytest.mark.parametrize("column", [0, 25, 26, 51, 701, 702, 16383])
def test_addresses_agree_with_those_of_excel(column: int) -> None:
    written = address(6, column)
    assert written == f"{openpyxl.utils.get_column_letter(column + 1)}7"
    assert position_of(written) == (6, column)


def test_kinds_that_no_column_holds_are_found_whatever_their_order() -> None:
    table = Table("x", ())
    table.read_header(0, 0, ["a"])
    table.add(1, [1.0])
    table.add(2, [1.5])
    with pytest.raises(SourceError, match="text here"):
        table.add(3, ["x"])
