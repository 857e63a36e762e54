"""Files that a statement of DuckDB names as its tables, such as `FROM 'data/*.parquet'`.

Each name becomes a view of the files that match it now, by absolute path and without links. Columns of CSV files are
text: DuckDB would guess types, and read 00123 as 123.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.errors import SourceError
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from batchsync.core.query import Query

_FILE = re.compile(r"\.(?P<kind>parquet|csv|tsv)$", re.IGNORECASE)
_DELIMITERS = {"csv": ",", "tsv": "\t"}
#: How text files are read: nothing is guessed. An empty field is null, and a quoted one an empty text.
_TEXT = (
    "read_csv([{files}], columns = {{{columns}}}, delim = '{delimiter}', auto_detect = false, header = true, "
    "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, strict_mode = true)"
)
#: Bytes of the longest header.
_HEADER_BYTES = 1 << 20
#: Most files of a query.
FILES_MAX = 10_000


class FilesOfQuery:
    """The files of one statement, with views of their names."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, query: Query, sql: str) -> None:
        """Find the files and create the views.

        Args:
            connection: Connection of a database in memory, or of a file, whose statements name no others.
            query: The query.
            sql: Its statement.

        Raises:
            SourceError: If a file may not be read, or none matches a name.
        """
        self._query = query
        self._states: dict[str, tuple[int, ...]] = {}
        names = () if query.database.path else sorted(set(self._names(connection, sql)))
        for name in names:
            files = self._matching(name)
            self._states |= {file: _state(file) for file in files}
            kind = Path(name).suffix.lower().removeprefix(".")
            reader = (
                self._text(files, _DELIMITERS[kind]) if kind in _DELIMITERS else f"read_parquet([{_listed(files)}])"
            )
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"CREATE VIEW {quoted} AS FROM {reader}")

    @property
    def paths(self) -> tuple[str, ...]:
        """Absolute paths of the files, without links."""
        return tuple(self._states)

    def require_unchanged(self) -> None:
        """Check that no file was changed while it was read.

        Raises:
            SourceError: If one was.
        """
        for path, state in self._states.items():
            if _state(path) != state:
                raise self._error(f"{path} was changed while it was read", "Run the same command again.")

    def _names(self, connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[str]:
        """Yield the names of tables that look like files."""
        row = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchone()
        tree = json.loads(row[0]) if row else {}
        for node in _nodes(tree):
            name = node.get("table_name") if node.get("type") == "BASE_TABLE" else None
            if isinstance(name, str) and not node.get("schema_name") and _FILE.search(name):
                yield name

    def _matching(self, name: str) -> list[str]:
        """Return the files that a name stands for, in order.

        Raises:
            SourceError: If there is none, or one may not be read.
        """
        database = self._query.database
        pattern = str(Path(glob.escape(database.folder), name))
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute
        found = found if glob.has_magic(pattern) else [str(Path(database.folder, name))]
        fence = PathFence(database.roots)
        for path in (pattern, *found):
            if objection := fence.file_objection(path) if path in found else fence.objection(path):
                raise self._error(f"{name!r} {objection}", fence.advice)
        files = [os.path.realpath(path) for path in found if Path(path).is_file()]
        if not files:
            raise self._error(f"there is no file {name!r}", "Check its name; it is relative to jobs.yaml.")
        if len(files) > FILES_MAX:
            raise self._error(f"{name!r} are more than {FILES_MAX:,} files", "Name fewer of them.")
        return files

    def _text(self, files: list[str], delimiter: str) -> str:
        """Return the function that reads text files, whose columns are those of their headers.

        Raises:
            SourceError: If a header cannot be read, repeats a name, or differs from that of the first file.
        """
        columns: list[str] = []
        for path in files:
            found = self._header(path, delimiter)
            if columns and found != columns:
                raise self._error(f"{path}: the header differs from that of {files[0]}", "Name fewer files.")
            columns = found
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None or not all(columns):
            reason = f"repeats {twice!r}" if twice else "has a column without a name"
            raise self._error(f"{files[0]}: the header {reason}", "Correct its first line.")
        typed = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in columns)
        return _TEXT.format(files=_listed(files), columns=typed, delimiter=delimiter)

    def _header(self, path: str, delimiter: str) -> list[str]:
        """Return the columns of a text file.

        Raises:
            SourceError: If its first line cannot be read.
        """
        try:
            with Path(path).open(encoding="utf-8-sig", newline="") as file:
                return next(
                    csv.reader(iter(lambda: file.readline(_HEADER_BYTES), ""), delimiter=delimiter, strict=True)
                )
        except (OSError, ValueError, csv.Error, StopIteration):
            raise self._error(f"{path}: there is no header of UTF-8 text", "Write names of columns first.") from None

    def _error(self, message: str, hint: str) -> SourceError:
        return SourceError(f"{self._query.title}: {message}", hint=hint)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a syntax tree."""
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _state(path: str) -> tuple[int, ...]:
    """Return what changes with the content of a file."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _listed(files: list[str]) -> str:
    return ", ".join(map(_literal, files))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
