"""Motorweb's work on files: read an upload row by row, write results and errors.

It does not know HTTP, states or time; whole files are never in memory.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from lading_mocks import disk
from lading_mocks.motorweb.rows import OUTPUTS, RowError, header_fault, judge, results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LINE_LIMIT = 1 << 20
COUNTERS = ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")
ERROR_COLUMNS = ("errorType", "errorDescription", "attemptNumber")


class Unusable(Exception):  # noqa: N818 - it is the customer's file that is unusable
    """The file as a whole cannot be processed; the text says why without quoting it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is not documented and can be turned: the greatest number of rows, and whether short chassis numbers do."""

    max_rows: int | None = None
    short_chassis: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One data row as it stood in the file, and what is wrong with it."""

    line: int
    header: Sequence[str]
    fields: Sequence[str]
    error: RowError | None

    def columns(self) -> dict[str, str]:
        """Give the row by column name; a surplus of fields is named by number."""
        names = [*self.header, *(f"field {n + 1}" for n in range(len(self.header), len(self.fields)))]
        return dict(zip(names, self.fields, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the three files made of a batch go."""

    result: Path
    errors: Path
    errors_csv: Path


def read(file: Path, rules: Rules) -> Iterator[Row]:
    """Read and judge the data rows of an upload; blank lines are passed over.

    Raises:
        Unusable: empty, no CSV in UTF-8, a line of more than 1 MiB, a wrong header, or no data row.
    """
    with file.open("rb") as stream:
        try:
            reader = csv.reader(_text(stream), strict=True)
            header = next(reader, None)
            if header is None:
                msg = "the file is empty"
                raise Unusable(msg)
            fault = header_fault(header)
            if fault is not None:
                msg = f"the header is wrong: {fault}"
                raise Unusable(msg)
            rows = 0
            for fields in reader:
                if fields:
                    rows += 1
                    error = judge(header, fields, short_chassis=rules.short_chassis)
                    yield Row(line=reader.line_num, header=header, fields=fields, error=error)
        except (UnicodeDecodeError, csv.Error):
            msg = "the file is not CSV in UTF-8"
            raise Unusable(msg) from None
        if not rows:
            msg = "the file has no data row"
            raise Unusable(msg)


def process(file: Path, paths: Paths, *, batch_id: str, checked_at: str, rules: Rules) -> dict[str, int]:
    """Write what comes of an upload: results, errors as JSON lines, errors as CSV.

    Returns:
        The four counters of a batch (motorweb-bdp.md, 6.1); server errors count as processing errors.

    Raises:
        Unusable: as `read`; then no file is written.
    """
    counts = dict.fromkeys(COUNTERS, 0)
    with (
        _writing(paths.result) as result,
        _writing(paths.errors) as errors,
        _writing(paths.errors_csv) as errors_csv,
    ):
        good, bad = csv.writer(result), csv.writer(errors_csv)
        for row in read(file, rules):
            if not counts["rowsInBatch"]:
                good.writerow([*row.header, *OUTPUTS])
                bad.writerow([*row.header, *ERROR_COLUMNS])
            counts["rowsInBatch"] += 1
            if rules.max_rows is not None and counts["rowsInBatch"] > rules.max_rows:
                msg = f"the file has more than {rules.max_rows} rows"
                raise Unusable(msg)
            if row.error is None:
                counts["rowsProcessed"] += 1
                good.writerow([*row.fields, *results(row.columns(), checked_at)])
                continue
            counts["validationErrors" if row.error.type == "VALIDATION_ERROR" else "processingErrors"] += 1
            # A row with too few or too many fields still has to leave a CSV whose columns line up.
            inputs = [*row.fields, *([""] * len(row.header))][: len(row.header)]
            bad.writerow([*inputs, row.error.type, row.error.description, row.error.attempt])
            errors.write(json.dumps(_error_item(row, row.error, batch_id)) + "\n")
    return counts


def _error_item(row: Row, error: RowError, batch_id: str) -> dict[str, object]:
    said = {"errorType": error.type, "errorDescription": error.description, "attemptNumber": error.attempt}
    item_id = uuid.uuid5(uuid.UUID(batch_id), str(row.line))
    return {"id": str(item_id), "inputs": row.columns(), "errors": [said]}


def _text(stream: BinaryIO) -> Iterator[str]:
    for line in disk.lines(stream, limit=LINE_LIMIT):
        if line is None:
            msg = "a line has more than 1 MiB"
            raise Unusable(msg)
        yield line.decode("utf-8")


@contextmanager
def _writing(file: Path) -> Iterator[io.TextIOWrapper]:
    with disk.replacing(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        yield text
        # Detaching flushes and leaves the closing to the owner of the stream.
        text.detach()
