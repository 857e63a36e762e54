"""Keys of row manifests of delivered batches, and copies without some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.naming import row_manifest_key, staging_prefix
from batchsync.data.frame.integrity import opened, verify_digest, verify_parquet
from batchsync.ports import ManifestRow, ObjectFolder
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.batch import Batch
    from batchsync.ports import ObjectStore

#: Columns of a row manifest that say nothing about a person.
_ANONYMOUS = ("line", "row", "op", "ref")


def keys_in(batch: Batch, objects: ObjectStore, among: Sequence[str] | None, ops: Sequence[str]) -> list[str]:
    """Return keys of the row manifest of a batch.

    Args:
        batch: The batch.
        objects: Store of the row manifest.
        among: Return only these keys; None: all.
        ops: Return only keys of rows with these operations; empty: all.

    Raises:
        StateError: If the row manifest is missing or damaged.
    """
    with opened(objects, [row_manifest_key(batch.job, batch.file)]) as paths:
        verify_digest(paths)
        rows = pl.scan_parquet(paths[0], glob=False).filter(pl.col("key") != "")
        if among is not None:
            rows = rows.filter(pl.col("key").is_in(list(among)))
        if ops:
            rows = rows.filter(pl.col("op").is_in(list(ops)))
        found: list[str] = rows.select("key").unique().collect()["key"].to_list()
        return found


def sent_row(batch: Batch, key: str, objects: ObjectStore) -> ManifestRow | None:
    """Return the row of a key in the row manifest of a batch.

    Args:
        batch: The batch.
        key: The key.
        objects: Store of the row manifest.

    Returns:
        The row; None if the batch has none of this key, or the row manifest was deleted.

    Raises:
        StateError: If the row manifest is damaged.
    """
    manifest = row_manifest_key(batch.job, batch.file)
    if key.encode("utf-8", "replace").decode() != key or objects.head(manifest) is None:
        return None
    with opened(objects, [manifest]) as paths:
        verify_parquet(paths)
        rows = pl.scan_parquet(paths[0], glob=False, parallel="prefiltered").filter(pl.col("key") == pl.lit(key))
        found = rows.select("line", "row", "op", "fingerprint").head(1).collect(engine="streaming")
    if not found.height:
        return None
    line, row, op, fingerprint = found.row(0)
    return ManifestRow(line=line, row=row, op=op, version=(fingerprint or b"").hex())


def erase_from_manifest(batch: Batch, keys: Sequence[str], objects: ObjectStore) -> str:
    """Put a copy of the row manifest of a batch into the store, in which the rows of some keys are empty.

    The rows stay, because row logs are joined by line and count.

    Args:
        batch: A delivered batch.
        keys: The keys.
        objects: Store of the row manifest.

    Returns:
        The location of the copy.

    Raises:
        StateError: If the row manifest is missing or damaged.
    """
    into = ObjectFolder(objects, staging_prefix(batch.job))
    with opened(objects, [row_manifest_key(batch.job, batch.file)]) as paths, into.workspace() as workspace:
        verify_digest(paths)
        rows = pl.read_parquet(paths[0], glob=False)
        is_erased = pl.col("key").is_in(list(keys))
        empty = {name: pl.lit("") if name == "key" else pl.lit(None) for name in rows.columns if name not in _ANONYMOUS}
        erased = [pl.when(is_erased).then(value).otherwise(pl.col(name)).alias(name) for name, value in empty.items()]
        file = workspace / "manifest"
        rows.with_columns(erased).cast(rows.schema).write_parquet(file, compression="zstd")
        return into.put(file, f"{batch.file.digest}.{sha256_of_file(file)}.manifest.parquet")
