"""Parquet objects of rejects: written once, read by row group, and rewritten without erased keys.

Imported when a journal has such objects or writes one: pyarrow is slow to import.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchsync.core.naming import reject_object_key, rejects_prefix
from batchsync.errors import StateError
from batchsync.util.files import sha256_of_file, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from batchsync.journal.codec import Row
    from batchsync.journal.reject_filter import Erased, RejectFilter
    from batchsync.ports import ObjectStore

#: Columns of `rejects` that differ from row to row; the others are those of the object's row in the journal.
_SCHEMA = pa.schema(
    [
        ("no", pa.int64()),
        ("kind", pa.string()),
        ("key", pa.string()),
        ("code", pa.string()),
        ("field", pa.string()),
        ("reason", pa.string()),
        ("line", pa.int64()),
        ("row", pa.int64()),
        ("retry", pa.int8()),
    ]
)
_DICTIONARIES = ["kind", "code", "field", "reason"]
#: Rows of a row group, which is the unit of reading.
_GROUP_ROWS = 50_000
#: Rows that become Python values at a time: a page wants few.
_ROWS_AT_ONCE = 1_000
_GROUPED = ("kind", "code", "field")
#: Columns that filters name; the others are read only of row groups in which a key is found.
_FILTERED = ["no", "kind", "key", "code", "field"]
_HINT = "free space on the disk of the state folder, then run the same command again"


@dataclass(slots=True)
class StoredRejects:
    """An object as written: its file, the numbers of its first and last row, and its groups.

    `groups` has the number of rows and the least reason by kind, code and field.
    """

    file: str = ""
    first: int = 0
    last: int = 0
    groups: dict[tuple[str, str, str], tuple[int, str]] = field(default_factory=dict)

    def count(self, table: pa.Table) -> None:
        """Count rows that were written."""
        numbers = table["no"]
        self.first = self.first or numbers[0].as_py()
        self.last = numbers[-1].as_py()
        counted = table.group_by([*_GROUPED, "reason"]).aggregate([([], "count_all")]).to_pylist()
        for item in counted:
            group = (item["kind"], item["code"], item["field"])
            before, reason = self.groups.get(group, (0, item["reason"]))
            self.groups[group] = before + item["count_all"], min(reason, item["reason"])


class RejectObjects:
    """The objects of rejects in an object store. Each is verified by its digest before its first use."""

    def __init__(self, store: ObjectStore) -> None:
        """Use a store."""
        self._store = store
        self._verified: set[str] = set()

    def write(self, job: str, rows: Iterable[Row]) -> StoredRejects:
        """Put rejects into a new object, which is durable when this returns.

        Args:
            job: Name of the job.
            rows: Rows of `rejects` in the order of their numbers; at least one.

        Returns:
            The object.

        Raises:
            UnavailableError: If it cannot be written.
        """
        return self._put(job, _tables(iter(rows)))

    def read(self, job: str, file: str, wanted: RejectFilter) -> Iterator[Row]:
        """Yield those rows of an object that a filter selects, in the order of their numbers.

        Args:
            job: Name of the job.
            file: The object.
            wanted: Which rows; the job, run and batch are those of the object.

        Raises:
            StateError: If the object is missing or damaged.
        """
        with self._opened(job, file) as parquet:
            for group in range(parquet.num_row_groups):
                if parquet.metadata.row_group(group).column(0).statistics.max <= wanted.after:
                    continue
                if wanted.of_keys and not _selected(parquet.read_row_group(group, columns=_FILTERED), wanted).num_rows:
                    continue
                for rows in _selected(parquet.read_row_group(group), wanted).to_batches(max_chunksize=_ROWS_AT_ONCE):
                    yield from rows.to_pylist()

    def keys_among(self, job: str, file: str, keys: Collection[str]) -> set[str]:
        """Return those of some keys that rejects of an object have.

        Args:
            job: Name of the job.
            file: The object.
            keys: The keys.

        Raises:
            StateError: If the object is missing or damaged.
        """
        found, listed = set[str](), pa.array(list(keys), pa.string())
        with self._opened(job, file) as parquet:
            for group in range(parquet.num_row_groups):
                column = parquet.read_row_group(group, columns=["key"])["key"]
                found |= set(column.filter(pc.is_in(column, value_set=listed)).to_pylist())
        return found

    def rewrite(self, job: str, file: str, erased: Erased) -> tuple[StoredRejects | None, int]:
        """Put a copy of an object without erased content; the object itself stays.

        Args:
            job: Name of the job.
            file: The object.
            erased: What is deleted and replaced.

        Returns:
            The copy, None if no row is left or none changed; and the number of rows that were deleted or changed.

        Raises:
            StateError: If the object is missing or damaged.
            UnavailableError: If the copy cannot be written.
        """
        changed = kept = 0
        with self._opened(job, file) as parquet:
            for group in range(parquet.num_row_groups):
                table, rows = _without(parquet.read_row_group(group), erased)
                changed, kept = changed + rows, kept + table.num_rows
            if not changed or not kept:
                return None, changed
            groups = (parquet.read_row_group(group) for group in range(parquet.num_row_groups))
            return self._put(job, (_without(table, erased)[0] for table in groups)), changed

    def _put(self, job: str, tables: Iterable[pa.Table]) -> StoredRejects:
        """Write tables into a new object."""
        stored = StoredRejects()
        problem = f"the rejects of {job} cannot be written to the state folder"
        with translate_os_errors(problem, hint=_HINT), self._store.workspace(rejects_prefix(job)) as folder:
            path = folder / "rejects.parquet"
            with pq.ParquetWriter(path, _SCHEMA, compression="zstd", use_dictionary=_DICTIONARIES) as out:
                for table in tables:
                    if table.num_rows:
                        out.write_table(table)
                        stored.count(table)
            stored.file = f"{sha256_of_file(path)}.parquet"
            self._store.put(reject_object_key(job, stored.file), path)
        return stored

    @contextmanager
    def _opened(self, job: str, file: str) -> Iterator[Any]:
        """Open an object that has the content that its name says."""
        key = reject_object_key(job, file)
        try:
            with self._store.get(key) as path:
                self._verify(key, path)
                with pq.ParquetFile(path) as parquet:
                    yield parquet
        except FileNotFoundError:
            raise _unusable(key, "missing") from None

    def _verify(self, key: str, path: Path) -> None:
        """Check the digest of an object, once.

        Raises:
            StateError: If it is damaged.
        """
        if key not in self._verified:
            if f"{sha256_of_file(path)}.parquet" != path.name:
                raise _unusable(key, "damaged")
            self._verified.add(key)


def _unusable(key: str, how: str) -> StateError:
    """Return the error for an object that is missing or damaged."""
    return StateError(
        f"rejects are {how} in the state folder: {key}",
        hint="Run the same command again: another one may have deleted old rejects meanwhile. If that does not help, "
        "restore the state folder from a backup.",
    )


def _tables(rows: Iterator[Row]) -> Iterator[pa.Table]:
    """Yield rows as tables of a row group each."""
    while chunk := list(islice(rows, _GROUP_ROWS)):
        yield pa.Table.from_pylist(chunk, schema=_SCHEMA)


def _without(table: pa.Table, erased: Erased) -> tuple[pa.Table, int]:
    """Return the rows that are kept, and the number of rows that were deleted or changed."""
    deleted = pc.is_in(table["key"], value_set=pa.array(list(erased.keys), pa.string()))
    if erased.kind is not None:
        deleted = pc.and_(deleted, pc.equal(table["kind"], erased.kind))
    kept = table.filter(pc.invert(deleted))
    changed = table.num_rows - kept.num_rows
    replaced = [reason for reason in pc.unique(kept["reason"]).to_pylist() if erased.is_replaced(reason)]
    if not replaced:
        return kept, changed
    found = pc.is_in(kept["reason"], value_set=pa.array(replaced, pa.string()))
    reasons = pc.if_else(found, erased.text, kept["reason"])
    kept = kept.set_column(_SCHEMA.get_field_index("reason"), "reason", reasons)
    return kept, changed + pc.sum(found).as_py()


def _selected(table: pa.Table, wanted: RejectFilter) -> pa.Table:
    """Return the rows that a filter selects."""
    mask = pc.greater(table["no"], wanted.after)
    for name, value in wanted.of_rows().items():
        mask = pc.and_(mask, pc.equal(table[name], value))
    if wanted.without:
        excluded = pc.is_in(table["kind"], value_set=pa.array(wanted.without, pa.string()))
        mask = pc.and_(mask, pc.invert(excluded))
    if wanted.part_of_key:
        mask = pc.and_(mask, pc.match_substring(table["key"], wanted.part_of_key))
    return table.filter(mask)
