"""Suppression lists: read from any source, and looked up for the rows of a batch. `PolarsEngine` inherits them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.naming import row_manifest_key
from batchsync.data.frame.integrity import opened, translate_disk_errors, verify_digest
from batchsync.data.frame.suppressed import LISTED, digest_of_value, listed_digests, manifest_column
from batchsync.data.record.list_problems import list_column, list_problems
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames
from batchsync.errors import SpecError

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.core.job import Suppress
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
            SourceError: If the list cannot be read.
            SpecError: If it has no such column, or one whose values cannot be compared.
        """
        files = open_source(suppress.source)
        if problems := list_problems(suppress, files.schema):
            raise SpecError(problems)
        column = list_column(suppress)
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
