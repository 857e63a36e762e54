"""Keys that occur in several rows of a source that may have each only once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from batchsync.core.job import Job

#: Number of examples in a message, and of rows of each.
EXAMPLES = 5


@dataclass(slots=True)
class DuplicateKeys:
    """Duplicate keys: their number and the rows of the first few. Keys are not named, as they may be personal data."""

    count: int = 0
    examples: list[list[int]] = field(default_factory=list)

    def add(self, duplicates: pl.DataFrame) -> None:
        """Add rows of duplicate keys, all rows of each; the columns `RECORDS`."""
        groups = duplicates.group_by(columns.KEY).agg(pl.col(columns.ROW).sort().head(EXAMPLES))
        self.count += groups.height
        first = groups.sort(pl.col(columns.ROW).list.first())[columns.ROW]
        self.examples = sorted([*self.examples, *first.head(EXAMPLES).to_list()])[:EXAMPLES]

    def merge(self, other: DuplicateKeys) -> None:
        """Add the duplicate keys of another partition of keys."""
        self.count += other.count
        self.examples = sorted([*self.examples, *other.examples])[:EXAMPLES]

    def error(self, job: Job) -> SourceError:
        """Return the error that names the duplicate keys by their rows."""
        examples = "; ".join("rows " + ", ".join(str(row) for row in rows) for rows in self.examples)
        more = f" (and {self.count - EXAMPLES} more)" if self.count > EXAMPLES else ""
        count = f"{self.count} key{'s' if self.count != 1 else ''}"
        occur = "occur" if self.count != 1 else "occurs"
        hint = (
            "Write source.duplicates: first, last or {by: COLUMN} (the greatest value wins), "
            "or collect the rows with each:."
        )
        return SourceError(
            f"{job.source.place}: {count} of {job.source.path} {occur} more than once: {examples}{more}",
            hint=hint,
            name="source.duplicates",
        )
