"""Excel workbooks (.xlsx, .xlsm): reader of one sheet, whose rows a helper process copies to a Parquet file.

The helper process (`excel_helper`) alone dies of a workbook that ends its reader.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row.parquet_reader import iter_ranges
from batchsync.data.row.row_reader import RowReader
from batchsync.errors import SourceError, install_hint
from batchsync.util.files import sha256_of
from batchsync.util.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.core.sheet import Sheet
    from batchsync.data.row.row_reader import SourceFile

_MODULE = "batchsync.data.row.excel_helper"
_PACKAGE = "python_calamine"
_TYPES = {
    "": pl.Null(),
    "boolean": pl.Boolean(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "timestamp": pl.Datetime("us"),
    "date": pl.Date(),
    "time": pl.Time(),
    "duration": pl.Duration("us"),
}
#: Files whose columns are remembered.
_OPENED_MAX = 1024


class ExcelReader(RowReader):
    """Reader of a sheet of a workbook."""

    merges_types: ClassVar[bool] = True
    reads_used_columns: ClassVar[bool] = True

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the columns of the sheet with the types of their values; all rows are read.

        Raises:
            SourceError: If the package that reads workbooks is missing, or the sheet cannot be read exactly.
        """
        status = path.stat()
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return dict(_columns(path, source.sheet, source.nulls, state))

    def prepare(self, file: SourceFile) -> Path:
        """Return a Parquet file with the rows of the sheet."""
        copy = file.work / f"source-{sha256_of(os.fsencode(file.path))[:16]}.parquet"
        if file.fresh or not copy.exists():
            partial = copy.with_suffix(".partial")
            _run(file.path, file.source.sheet, file.source.nulls, partial)
            partial.replace(copy)
        return copy

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read the copy.

        Returns:
            The frames that `RowReader.read` describes.
        """
        original = json.loads(pl.read_parquet_metadata(file.path)["columns"])
        stored = {name: (pl.col(f"c{index}"), _TYPES[kind]) for index, (name, kind) in enumerate(original)}
        rows = pl.scan_parquet(file.path, glob=False)
        total = int(rows.select(pl.len()).collect().item())
        return iter_ranges(rows.select(pl.col("row").alias(ROW), *file.source.values_of(stored)), total)


@lru_cache(maxsize=_OPENED_MAX)
def _columns(
    path: Path, sheet: Sheet, nulls: tuple[str, ...], _state: tuple[int, ...]
) -> tuple[tuple[str, pl.DataType], ...]:
    """Return the columns of a sheet; the state only identifies its content."""
    return tuple((name, _TYPES[kind]) for name, kind in _run(path, sheet, nulls, None))


def _run(path: Path, sheet: Sheet, nulls: tuple[str, ...], out: Path | None) -> list[list[str]]:
    """Let the helper process read a sheet, and write its rows if `out` is given.

    Raises:
        SourceError: If the sheet cannot be read.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        message = f"{path} is a workbook, and the package that reads workbooks is not installed"
        raise SourceError(message, hint=install_hint("excel"))
    request = {"path": str(path), "sheet": sheet.name, "cells": sheet.cells, "nulls": nulls, "out": out and str(out)}
    done = run_program([sys.executable, "-P", "-m", _MODULE], given=json.dumps(request).encode() + b"\n")
    if done.code or not done.out.endswith(b"\n"):
        hint = "Open it in Excel or LibreOffice and save it again, or export the sheet as CSV."
        raise SourceError(f"{path} is a damaged workbook, or needs more memory than its reader may take", hint=hint)
    answer = json.loads(done.out)
    if "error" in answer:
        raise SourceError(answer["error"], hint=answer["hint"])
    found: list[list[str]] = answer["columns"]
    return found
