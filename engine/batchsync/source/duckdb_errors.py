"""Errors of DuckDB in words. Only messages about names and syntax are shown: the others may quote values of rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb

from batchsync.errors import SourceError, UnavailableError

if TYPE_CHECKING:
    from batchsync.core.query import Query

_CORRECT = "Correct the query; nothing was sent."
_SPACE = ("no space left", "disk quota", "max_temp_directory_size", "failed to offload")
#: Errors whose first line names tables, columns and functions.
_SHOWN: tuple[type[Exception], ...] = (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException)
#: Other errors, with the reason and what to do.
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (duckdb.ConversionException, "a value cannot be cast to the type of its column", "Cast it with TRY_CAST."),
    (duckdb.OutOfRangeException, "a value is out of the range of its type", "Cast it to a larger type."),
    (duckdb.InvalidInputException, "a value or a file is not as the statement expects", _CORRECT),
)
_FILES = "Name Parquet and CSV files as tables, relative to jobs.yaml: SELECT * FROM 'data/*.parquet'."
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)
#: Texts in single quotes may be values.
_VALUE = re.compile(r"'[^']*'")


def statement_error(error: Exception, query: Query, rows: int) -> Exception:
    """Return the error for a statement that failed.

    Args:
        error: The error of DuckDB or Arrow.
        query: The query.
        rows: Rows that were read before.
    """
    text = str(error)
    found = _LINE.search(text)
    line = f", line {found[1]}{'' if query.file else ' of the query'}" if found else ""
    label = f"{query.title}{line}{f' after {rows:,} rows' if rows else ''}"
    if isinstance(error, duckdb.OutOfMemoryException) or any(item in text.lower() for item in _SPACE):
        reason = "the statement needs more memory, or more space on the disk, than there is"
        return UnavailableError(f"{label}: {reason}", hint="Select, sort or join less, or free some space.")
    if isinstance(error, duckdb.IOException | OSError):
        return UnavailableError(f"{label}: a file cannot be read", hint="Check that it is whole; nothing was sent.")
    reason, hint = _refusal(error, query)
    return SourceError(f"{label}: {reason}", hint=hint)


def _refusal(error: Exception, query: Query) -> tuple[str, str]:
    """Return why a statement is refused, and what to do."""
    if isinstance(error, duckdb.PermissionException):
        if query.database.path:
            return "the statement may read no other file than its database", _CORRECT
        return "the statement reads a file that is not named as a table", _FILES
    if isinstance(error, _SHOWN):
        first = str(error).partition("\n")[0].partition(": ")[2]
        return _VALUE.sub("'...'", first).rstrip(".!"), _CORRECT
    for kind, reason, hint in _REASONS:
        if isinstance(error, kind):
            return reason, hint
    return f"DuckDB refuses the statement ({type(error).__name__})", _CORRECT
