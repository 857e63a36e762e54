"""Forms in which the Motorweb mock returns results and errors, as set by switches; no page shows a result file."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Values of the switch `tables` besides `plain`.
_DELIMITERS = {"semicolon": ";", "tab": "\t"}
_ENCODINGS = {"utf-16": "utf-16", "latin-1": "latin-1", "bom": "utf-8-sig"}


#: Column of the CSV errors with the switch `csv_columns: one`; the real names are not known.
REASON = "mockReason"


def table(file: Path, *, form: str, echo: str, columns: tuple[str, ...], merge: int = 0) -> bytes:
    """Return a CSV file in the form that the switches select.

    Args:
        file: The file as the mock stores it.
        form: Value of the switch `tables`.
        echo: Value of the switch `echo`.
        columns: Names of input columns, whose values are echoed.
        merge: Number of columns at the end that become one, `REASON`; 0 leaves them as they are.
    """
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    if merge and rows:
        header, *others = rows
        rows = [[*header[:-merge], REASON], *([*row[:-merge], ": ".join(row[-merge:])] for row in others)]
    inputs = [number for number, name in enumerate(rows[0]) if name in columns] if rows else []
    for row in rows[1:]:
        for number in inputs:
            row[number] = echoed(row[number], echo)
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=_DELIMITERS.get(form, ",")).writerows(rows)
    body = text.getvalue().encode(_ENCODINGS.get(form, "utf-8"), "replace")
    return _zipped(body, file.name) if form == "zip" else body


def error_item(item: dict[str, Any], echo: str) -> dict[str, Any]:
    """Return an item of the JSON errors with its inputs in the form that the switch `echo` selects."""
    return item | {"inputs": {name: echoed(value, echo) for name, value in item["inputs"].items()}}


def echoed(value: str, echo: str) -> str:
    """Return an input value as the switch `echo` returns it."""
    match echo:
        case "lower":
            return value.lower()
        case "padded":
            return f" {value} " if value else value
        case _:
            return value


def _zipped(body: bytes, name: str) -> bytes:
    """Return a ZIP archive with one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo(name), body)
    return archive.getvalue()
