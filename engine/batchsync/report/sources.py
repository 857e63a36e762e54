"""Sources elsewhere, in words: where they are, and the columns that they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import escape_controls, iso, pluralize
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.job import Source
    from batchsync.core.query import QueryColumn
    from batchsync.ports import PartialRead


def where_elsewhere(source: Source) -> str:
    """Return where a source that is not local is, or its first join that is not."""
    if source.is_stdin:
        return "its source is standard input"
    if not source.has_local_rows:
        return f"its source is {_read(source)} by each run"
    path, joined = next((join.path, join.source) for join in source.joins if join.source is not None)
    return f"its join {path} is {_read(joined)} by each run"


def partial_read_words(part: PartialRead) -> str:
    """Return which rows are read, and when all of them are."""
    column = escape_controls(quoted(part.column))
    words = f"reading only rows with {column} from {escape_controls(part.start)} on, or null"
    return words if part.full_at is None else f"{words}; all rows again from {iso(part.full_at)} on"


def partial_read_data(part: PartialRead) -> dict[str, object]:
    """Return the same as a JSON-compatible dictionary."""
    full_at = None if part.full_at is None else iso(part.full_at)
    return {"column": part.column, "from": part.start, "full_read_from": full_at}


def _read(source: Source) -> str:
    """Return how a source elsewhere is read."""
    if source.stored is not None:
        return "read from storage"
    return "read from a database" if source.query is not None else "fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsReport:
    """Columns of a source, or of one of its joins.

    Attributes:
        title: What is read: the connection, and the table or file.
        columns: The columns in order, also those that a run would refuse.
    """

    title: str
    columns: Sequence[QueryColumn]

    def text(self, limit: int | None = None) -> str:
        """Return the columns with their types in one sentence.

        Args:
            limit: Number of columns that are shown; None shows all.
        """
        shown = self.columns if limit is None else self.columns[:limit]
        more = ["..."] if len(shown) < len(self.columns) else []
        listed = ", ".join([*(_column(item) for item in shown), *more])
        return f"{self.title}: {pluralize(len(self.columns), 'column')}: {listed}"

    def data(self) -> dict[str, object]:
        """Return the columns as a JSON-compatible dictionary."""
        columns = [
            {
                "name": item.name,
                "type": item.declared or None,
                "read_as": item.read_as or None,
                "refused": item.refusal or None,
            }
            for item in self.columns
        ]
        return {"source": self.title, "columns": columns}


def _column(item: QueryColumn) -> str:
    """Return a column with the type in its database, and what it is read as if that is another word."""
    if item.refusal:
        return f"{item.name} {item.declared} (refused)"
    if not item.declared or item.declared == item.read_as:
        return f"{item.name} {item.read_as}"
    return f"{item.name} {item.declared} as {item.read_as}"
