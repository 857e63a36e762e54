"""Suppression lists: read from any source, and looked up for the rows of a batch. `PolarsEngine` inherits them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.naming import row_manifest_key
from batchsync.core.record_schema import Kind
from batchsync.data.frame.integrity import opened, translate_disk_errors, verify_digest
from batchsync.data.frame.suppressed import LISTED, digest_of_value, listed_digests, manifest_column
from batchsync.data.mapping.compiled import is_convertible
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames
from batchsync.errors import SourceError
from batchsync.util.suggestions import closest

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.core.job import Suppress
    from batchsync.data.row.row_reader import SourceFiles
    from batchsync.ports import ObjectStore


class SuppressionLists:
    """Operations on suppression lists; a base of `PolarsEngine`."""

    _objects: ObjectStore

    def read_list(self, suppress: Suppress, into: Path) -> Path:
        """Read a list.

        Args:
            suppress: The list, with its source as local files.
            into: Existing private folder.

        Returns:
            A Parquet file with the digest of each value of the list.

        Raises:
            SourceError: If the list cannot be read, or has no such column.
        """
        files = open_source(suppress.source)
        column = list_column(suppress, files)
        with translate_disk_errors("reading a suppression list"), tempfile.TemporaryDirectory(dir=into) as folder:
            rows = frames(files.used({column}), Path(folder), fresh=True)
            digests = [frame.select(digest_of_value(column).alias(LISTED)).drop_nulls() for frame in rows]
            require_unchanged(files.states)
            path = into / "suppressed.parquet"
            pl.concat([pl.DataFrame(schema={LISTED: pl.Binary}), *digests]).unique(LISTED).sort(LISTED).write_parquet(
                path
            )
        return path

    def listed_rows(self, batch: Batch, suppress: Suppress, listed: Path) -> int | None:
        """Return how many records of a batch are on a list.

        Args:
            batch: The batch.
            suppress: The suppression list of its job.
            listed: The file of `read_list`.

        Returns:
            The number; None if the batch was prepared without this list, so that it is not known. Removals are not
            counted: they may be sent.
        """
        name = manifest_column(suppress.column)
        with (
            translate_disk_errors(f"reading the row manifest of {batch.id}"),
            opened(self._objects, [row_manifest_key(batch.job, batch.file)]) as paths,
        ):
            verify_digest(paths)
            rows = pl.scan_parquet(paths[0], glob=False)
            if name not in rows.collect_schema():
                return None if rows.filter(pl.col("op") != "remove").head(1).collect().height else 0
            values = rows.filter(pl.col("op") != "remove").select("line", pl.col(name).alias(LISTED)).collect()
            return values.explode(LISTED).join(listed_digests(listed), on=LISTED, how="semi")["line"].n_unique()


def list_column(suppress: Suppress, files: SourceFiles) -> str:
    """Return the column of a list that has its values.

    Raises:
        SourceError: If the list has no such column, or it holds lists or objects.
    """
    key = suppress.source.key
    column = key[0] if isinstance(key, tuple) else ""
    if column not in files.schema:
        hint = closest(column, tuple(files.schema))
        raise SourceError(f"{suppress.place}: {suppress.source.path} has no column {column!r}", hint=hint)
    if not is_convertible(files.schema[column], Kind.STRING):
        message = f"{suppress.place}: column {column!r} of {suppress.source.path} has no values that can be compared"
        raise SourceError(message, hint="Name a column of text or numbers.")
    return column
