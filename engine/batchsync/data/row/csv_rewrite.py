"""Rewriting of CSV files of another dialect to the plain one that polars reads, row by row, with all checks."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from batchsync.data.row.csv_rows import UNNAMED, iter_rows, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.data.row.csv_rows import CsvFile


def rewrite(file: CsvFile, header: tuple[str, ...], copy: Path) -> None:
    """Write a UTF-8 file of any dialect as a plain file with a header line; blank lines are kept.

    Args:
        file: The file.
        header: Names of all its columns; those without a name are left out.
        copy: Path of the copy, complete or not there.

    Raises:
        SourceError: If a row is invalid; the message names its line and row.
    """
    named = [index for index, name in enumerate(header) if not name.startswith(UNNAMED)]

    def rows() -> Iterator[list[str]]:
        yield [header[index] for index in named]
        with file.path.open(encoding="utf-8-sig", newline="\n") as stream:
            for row in iter_rows(file, stream):
                if not row.number:
                    continue
                if problem := problem_of(row, header):
                    raise file.error(row.line, row.number, *problem)
                yield [row.values[index] for index in named] if row.values else []

    partial = copy.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as out:
        # A line end of CR LF makes the writer quote values that contain either.
        csv.writer(out, delimiter=file.delimiter, lineterminator="\r\n").writerows(rows())
    partial.replace(copy)
