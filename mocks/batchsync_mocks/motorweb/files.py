"""File processing of the Motorweb mock: reads uploads row by row, and writes results and errors. Files are streamed."""

from __future__ import annotations

import csv
import io
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from batchsync_mocks import disk
from batchsync_mocks.motorweb.rows import OUTPUTS, RowError, header_error, result_values, validate_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LINE_LIMIT = 1 << 20
COUNTERS = ("rowsInBatch", "rowsProcessed", "validationErrors", "processingErrors")
ERROR_COLUMNS = ("errorType", "errorDescription", "attemptNumber")


class UnusableFileError(Exception):
    """Error for a file that cannot be processed as a whole; the text gives the reason without file content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Undocumented rules, set by switches: maximum number of rows, and whether short chassis numbers are valid."""

    max_rows: int | None = None
    short_chassis: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A data row of a file, and its error."""

    line: int
    header: Sequence[str]
    fields: Sequence[str]
    error: RowError | None

    def columns(self) -> dict[str, str]:
        """Return the row by column name; surplus fields are named by number."""
        names = [*self.header, *(f"field {n + 1}" for n in range(len(self.header), len(self.fields)))]
        return dict(zip(names, self.fields, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPaths:
    """Paths of the three files generated for a batch."""

    result: Path
    errors: Path
    errors_csv: Path


def read(file: Path, rules: Rules) -> Iterator[Row]:
    """Read and validate the data rows of an upload; blank lines are skipped.

    Yields:
        The rows, in the order of the file.

    Raises:
        UnusableFileError: If the file is empty or no CSV in UTF-8, or has a line of more than 1 MiB, an invalid header,
            or no data row.
    """
    with file.open("rb") as stream:
        try:
            reader = csv.reader(_decoded_lines(stream), strict=True)
            header = next(reader, None)
            if header is None:
                msg = "the file is empty"
                raise UnusableFileError(msg)
            error_text = header_error(header)
            if error_text is not None:
                msg = f"the header is invalid: {error_text}"
                raise UnusableFileError(msg)
            rows = 0
            for fields in reader:
                if fields:
                    rows += 1
                    error = validate_row(header, fields, short_chassis=rules.short_chassis)
                    yield Row(line=reader.line_num, header=header, fields=fields, error=error)
        except (UnicodeDecodeError, csv.Error):
            msg = "the file is not CSV in UTF-8"
            raise UnusableFileError(msg) from None
        if not rows:
            msg = "the file has no data row"
            raise UnusableFileError(msg)


def process(file: Path, paths: OutputPaths, *, batch_id: str, checked_at: str, rules: Rules) -> dict[str, int]:
    """Process an upload: write results, errors as JSON lines, and errors as CSV.

    Args:
        file: The upload.
        paths: Files to write.
        batch_id: UUID of the batch; ids of error items derive from it.
        checked_at: Timestamp for the result column `mockCheckedAt`.
        rules: Limits to apply.

    Returns:
        The four counters of a batch (motorweb-bdp.md, 6.1); server errors count as processing errors.

    Raises:
        UnusableFileError: If `read` raises it, or there are too many rows; no file is written then.
    """
    counts = dict.fromkeys(COUNTERS, 0)
    with (
        _text_writer(paths.result) as result,
        _text_writer(paths.errors) as errors,
        _text_writer(paths.errors_csv) as errors_csv,
    ):
        result_csv, error_csv = csv.writer(result), csv.writer(errors_csv)
        for row in read(file, rules):
            if not counts["rowsInBatch"]:
                result_csv.writerow([*row.header, *OUTPUTS])
                error_csv.writerow([*row.header, *ERROR_COLUMNS])
            counts["rowsInBatch"] += 1
            if rules.max_rows is not None and counts["rowsInBatch"] > rules.max_rows:
                msg = f"the file has more than {rules.max_rows} rows"
                raise UnusableFileError(msg)
            if row.error is None:
                counts["rowsProcessed"] += 1
                result_csv.writerow([*row.fields, *result_values(row.columns(), checked_at)])
                continue
            counts["validationErrors" if row.error.type == "VALIDATION_ERROR" else "processingErrors"] += 1
            # Pad or cut rows with a wrong field count, so that the columns of the CSV line up.
            inputs = [*row.fields, *([""] * len(row.header))][: len(row.header)]
            error_csv.writerow([*inputs, row.error.type, row.error.description, row.error.attempt])
            errors.write(json.dumps(_error_item(row, row.error, batch_id)) + "\n")
    return counts


def _error_item(row: Row, error: RowError, batch_id: str) -> dict[str, object]:
    """Return an error item as `GET /batches/{id}/errors` returns it."""
    details = {"errorType": error.type, "errorDescription": error.description, "attemptNumber": error.attempt}
    item_id = uuid.uuid5(uuid.UUID(batch_id), str(row.line))
    return {"id": str(item_id), "inputs": row.columns(), "errors": [details]}


def _decoded_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file as text."""
    for line in disk.read_lines(stream, limit=LINE_LIMIT):
        if line is None:
            msg = "a line has more than 1 MiB"
            raise UnusableFileError(msg)
        yield line.decode("utf-8")


@contextmanager
def _text_writer(file: Path) -> Iterator[io.TextIOWrapper]:
    """Open a text file that appears complete or not at all."""
    with disk.atomic_write(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        yield text
        # detach() flushes, and leaves closing to the owner of the stream.
        text.detach()
