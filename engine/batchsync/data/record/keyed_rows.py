"""Tasks over one partition of a source: what they carry, and the rows of the partition with their keys.

A task is picklable and carries the compiled job, so that any process can run it and none compiles again. A row without
a key is invalid; duplicate keys are found by `compare.classify`.

Pickled bytes are never trusted because of where they are: those of a specification are a member of a pickled task, or
an object whose digest is one (`stored_value.py`). A task reaches another process only through the executor that the
caller chose (`concurrent.futures`, `multiprocessing`), which pickles every task by itself.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.frame.ordering import greatest
from batchsync.data.frame.suppressed import LISTED, digest_of_value, listed_digests
from batchsync.data.mapping.escape import escaped
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.record.contract_counts import count_contract
from batchsync.data.record.selection import select_rows
from batchsync.data.record.stored_value import unpickled
from batchsync.data.row.joins import Lookup, join_all
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.data.mapping.validate import Check
    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.data.record.contract_counts import PartitionCounts
    from batchsync.data.row.partitions import Partition
    from batchsync.data.row.unmatched import JoinMatches

#: Specifications cached per process; each holds the joined files in memory.
_CACHED = 2


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What all tasks of one pass over a source have in common.

    Threads share it. It is pickled once for all tasks that another process runs, and loaded once per process; its
    joined tables are then Arrow files in `folder`, named by their digest.

    Attributes:
        compiled: The compiled job, without problems.
        folder: Existing folder that all processes can read.
        lookups: Joined tables.
        checks: Checks of the records; none if nothing is validated.
        watermark: Value of `send: since` below which rows are not mapped; None maps all.
        former: Whether the baseline holds fingerprints of version 1.
        listed: Digests of the values on the suppression list of the job; None without a list.
    """

    compiled: CompiledJob
    folder: Path
    lookups: tuple[Lookup, ...]
    checks: tuple[Check, ...] = ()
    watermark: str | None = None
    former: bool = False
    listed: Path | None = None

    def __reduce__(self) -> tuple[Callable[[bytes], TaskSpec], tuple[bytes]]:
        """Return how to load the specification from bytes, which are the same in each task."""
        return _loaded, (self._pickled,)

    @cached_property
    def _pickled(self) -> bytes:
        """The argument of `_loaded`."""
        tables = []
        for lookup in self.lookups:
            partial = self.folder / "lookup.partial"
            lookup.table.write_ipc(partial)
            path = partial.replace(self.folder / f"lookup-{sha256_of_file(partial)}.arrow")
            tables.append((lookup.left, lookup.right, path))
        return pickle.dumps((self.compiled, self.folder, tables, self.checks, self.watermark, self.former, self.listed))


@lru_cache(maxsize=_CACHED)
def _loaded(spec: bytes) -> TaskSpec:
    """Return a pickled specification; cached per process by its bytes. Called only while a task is unpickled."""
    compiled, folder, tables, checks, watermark, former, listed = unpickled(spec)
    lookups = tuple(Lookup(left, right, pl.scan_ipc(path, glob=False).collect()) for left, right, path in tables)
    return TaskSpec(
        compiled=compiled,
        folder=folder,
        lookups=lookups,
        checks=checks,
        watermark=watermark,
        former=former,
        listed=listed,
    )


@dataclass(frozen=True, slots=True)
class KeyTask:
    """Read a partition and add the keys of its rows."""

    spec: TaskSpec
    part: Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Keyed rows of a partition.

    Attributes:
        rows: Columns of the source and its joins, `ROW: i64` and `KEY: str`.
        count: Number of rows that are selected, and of those whose condition cannot be computed.
        last: Number of the last row.
        keyless: Rows without a key, or whose condition cannot be computed (columns `INVALID_RECORDS`).
        watermark: Greatest value of `send: since` as a series of one value; None without `since`.
        matches: How often each join found a row.
        contract: What was counted for the contract of the source; None if it has none.
        listed: Keys of rows that are on the suppression list of the job, with the column `KEY`.
    """

    rows: pl.DataFrame
    count: int
    last: int
    keyless: pl.DataFrame
    watermark: pl.Series | None
    matches: tuple[JoinMatches, ...] = ()
    contract: PartitionCounts | None = None
    listed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={columns.KEY: pl.String}))


def prepare_keys(task: KeyTask) -> Keyed:
    """Return the keyed rows of a task.

    Raises:
        SourceError: If the partition cannot be read.
    """
    return read_keys(task.spec, task.part)


def read_keys(spec: TaskSpec, part: Partition) -> Keyed:
    """Read a partition, join its lookups and add the keys of its rows.

    Args:
        spec: The specification of the task.
        part: The partition.

    Returns:
        The keyed rows.
    """
    matches: list[JoinMatches] = []
    rows, failed = select_rows(spec.compiled.where, join_all(part.read(), spec.lookups, matches))
    since = spec.compiled.job.send.since
    watermark = None
    if since is not None and rows.height:
        values = rows[since]
        maximum = greatest(values) if values.dtype == pl.String else values.max()
        watermark = pl.Series(since, [maximum], dtype=values.dtype)
    contract = spec.compiled.job.source.contract
    counted = None if contract is None else count_contract(contract, rows)
    kept, keyless = with_keys(spec.compiled, rows)
    return Keyed(
        rows=kept,
        count=rows.height + failed.height,
        last=part.last,
        keyless=pl.concat([failed, keyless]),
        watermark=watermark,
        matches=tuple(matches),
        contract=counted,
        listed=_listed_keys(spec, kept),
    )


def _listed_keys(spec: TaskSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the keys of rows that are on the suppression list of the job."""
    suppress = spec.compiled.job.suppress
    if spec.listed is None or suppress is None:
        return pl.DataFrame(schema={columns.KEY: pl.String})
    values = rows.select(columns.KEY, digest_of_value(suppress.column).alias(LISTED))
    return values.join(listed_digests(spec.listed), on=LISTED, how="semi").select(columns.KEY).unique()


def canonical_key(values: list[pl.Expr]) -> pl.Expr:
    """Return the canonical key of the values of the key columns, which are strings: see `with_keys`."""
    if len(values) == 1:
        return values[0]
    quoted = [pl.concat_str([pl.lit('"'), escaped(value), pl.lit('"')]) for value in values]
    return pl.concat_str([pl.lit("["), pl.concat_str(quoted, separator=","), pl.lit("]")])


def with_keys(compiled: CompiledJob, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the column `KEY` with the canonical key.

    The canonical key of one column is its text; of several columns a compact JSON array of strings. A row has no key if
    a key column is null or empty, or if the key expression fails.

    Args:
        compiled: The compiled job.
        frame: Columns of the source and its joins, and `ROW: i64`.

    Returns:
        The rows with a key, and the rows without a key as invalid records (columns `INVALID_RECORDS`).
    """
    mapped, invalid_values = evaluate(frame, compiled.key)
    key_columns = [columns.leaf_column(leaf.index) for leaf in compiled.key]
    values = [pl.col(part) for part in key_columns]
    empty = pl.any_horizontal([value.is_null() | (value == "") for value in values])
    key = canonical_key(values)
    extra = [name for invalid_value in invalid_values for name in (invalid_value.column, invalid_value.masked)]
    with_key = mapped.with_columns(pl.when(~empty).then(key).alias(columns.KEY))
    keyless = with_key.filter(pl.col(columns.KEY).is_null()) if with_key[columns.KEY].null_count() else with_key.clear()
    reason = pl.lit("key: " + (invalid_values[0].message if invalid_values else "is missing or empty"))
    invalid = keyless.select(
        columns.ROW,
        pl.lit("").alias(columns.KEY),
        pl.lit("key").alias("field"),
        pl.lit("expression" if invalid_values else "key").alias("code"),
        reason.alias("reason"),
    )
    kept = with_key.filter(pl.col(columns.KEY).is_not_null()) if keyless.height else with_key
    return kept.drop([*key_columns, *extra]), invalid
