"""Translation of read errors into `SourceError` with the file and, if known, the row, but without values."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from batchsync.data.row import csv_validation, jsonl_validation
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from batchsync.data.row.source_files import SourceFiles

#: Exceptions of polars and pyarrow.
ENGINE_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException)


@contextmanager
def blame_original_path(plain: Path, path: Path) -> Iterator[None]:
    """Replace the path of a copy by the path of its original in the messages of errors.

    Args:
        plain: The copy, or the original itself.
        path: The original.

    Yields:
        Nothing; the block reads `plain`.

    Raises:
        SourceError: If the block raises one.
    """
    try:
        yield
    except SourceError as error:
        if plain == path or str(plain) not in error.message:
            raise
        raise SourceError(error.message.replace(str(plain), str(path)), hint=error.hint) from None


@contextmanager
def translate_read_errors(
    path: Path, source: SourceFiles | None = None, plain: Path | None = None, validation: Future[None] | None = None
) -> Iterator[None]:
    """Translate errors of a block that reads `path` into a SourceError without values.

    Args:
        path: The source file.
        source: The opened source, once it is known.
        plain: The plain UTF-8 file that is read, if it is a text file.
        validation: Running validation of the same file; its error is more exact and takes precedence.

    Yields:
        Nothing; the block reads the file.

    Raises:
        SourceError: If the block raises an error of polars, pyarrow or the operating system.
    """
    try:
        with blame_original_path(plain or path, path):
            yield
    except (*ENGINE_ERRORS, OSError, UnicodeError) as error:
        if source is not None and plain is not None:
            with blame_original_path(plain, path):
                _raise_located_error(path, source, plain, validation)
        if path.suffix.lower() in {".parquet", ".pq"} or (source and source.format == "parquet"):
            hint = "Write it again; an incomplete download is the usual cause."
            raise SourceError(f"{path} is not a complete Parquet file", hint=hint) from None
        if isinstance(error, OSError) and error.strerror:
            raise SourceError(f"{path} cannot be read: {error.strerror}", hint="Try again.") from None
        hint = "Check source.format, delimiter and encoding."
        raise SourceError(f"{path} cannot be read ({type(error).__name__})", hint=hint) from None


def _raise_located_error(path: Path, source: SourceFiles, plain: Path, validation: Future[None] | None) -> None:
    """Parse the file again, slowly, to find the row that polars failed to read."""
    if validation is not None:
        validation.result()
    if source.format == "jsonl":
        jsonl_validation.raise_first_error(plain, source.schema)
    if source.format == "csv":
        csv_validation.raise_first_error(plain, source.delimiter, len(source.columns))
        hint = "Quote the whole field and double the quotation marks inside it."
        raise SourceError(f"{path}: unescaped quotation mark in an unquoted field", hint=hint) from None
