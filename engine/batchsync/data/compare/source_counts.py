"""What is counted while a source is read, added up over its partitions in the order of the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.ordering import greatest
from batchsync.data.record.examine import parse_as
from batchsync.data.row.unmatched import JoinMatches, warning_of
from batchsync.errors import SourceError
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.core.contract import ContractCounts
    from batchsync.core.job import Job
    from batchsync.data.record.contract_counts import PartitionCounts
    from batchsync.data.record.keyed_rows import Keyed
    from batchsync.data.row.joins import Lookup


@dataclass(slots=True)
class SourceCounts:
    """Counts of one pass over the source, or of a part of it.

    Attributes:
        source_rows: Number of source rows.
        records: Number of records; with `each:` fewer than rows.
        keyless: Number of rows without a key.
        watermark: Greatest value of `send: since` so far, as text.
        warnings: Violations of rules that only warn, by rule.
        matches: How often each join found a row.
        contract: What was counted for the contract of the source; None without one.
    """

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    watermark: object = None
    warnings: dict[str, int] = field(default_factory=dict)
    matches: tuple[JoinMatches, ...] = ()
    contract: ContractCounts | None = None

    def add(self, job: Job, schema: Mapping[str, pl.DataType], keyed: Keyed) -> None:
        """Add a partition.

        Args:
            job: The job.
            schema: Columns and types of its source.
            keyed: The keyed rows of the partition.

        Raises:
            SourceError: If the age of a value cannot be determined.
        """
        self.source_rows += keyed.count
        self.keyless += keyed.keyless.height
        self._match(keyed.matches)
        if keyed.contract is not None:
            _require_ages(job, keyed.contract)
            self._count_contract(keyed.contract.counts)
        if keyed.watermark is not None and job.send.since is not None:
            self._raise_watermark(keyed.watermark, schema[job.send.since])

    def merge(self, job: Job, schema: Mapping[str, pl.DataType], other: SourceCounts) -> None:
        """Add the counts of the next part of the source.

        Args:
            job: The job.
            schema: Columns and types of its source.
            other: The counts.
        """
        self.source_rows += other.source_rows
        self.records += other.records
        self.keyless += other.keyless
        self.warn(other.warnings)
        self._match(other.matches)
        if other.contract is not None:
            self._count_contract(other.contract)
        if other.watermark is not None and job.send.since is not None:
            kind = schema[job.send.since]
            text = pl.Series([other.watermark], dtype=pl.String)
            self._raise_watermark(text if kind == pl.String else parse_as(text, kind), kind)

    def warn(self, warnings: Mapping[str, int]) -> None:
        """Add warnings."""
        for name, count in warnings.items():
            self.warnings[name] = self.warnings.get(name, 0) + count

    def warn_of_joins(self, job: Job, lookups: Sequence[Lookup]) -> None:
        """Add a warning for each join that finds nothing for most rows."""
        for join, matches, lookup in zip(job.source.joins, self.matches, lookups, strict=False):
            if warning := warning_of(join, matches, lookup.table.select(lookup.right)):
                self.warnings[warning[0]] = warning[1]

    def _match(self, more: tuple[JoinMatches, ...]) -> None:
        """Add how often joins found a row."""
        known = self.matches or tuple(JoinMatches() for _ in more)
        self.matches = tuple(before.plus(item) for before, item in zip(known, more, strict=True)) if more else known

    def _count_contract(self, counts: ContractCounts) -> None:
        """Add counts for the contract."""
        self.contract = counts if self.contract is None else self.contract.plus(counts)

    def _raise_watermark(self, values: pl.Series, kind: pl.DataType) -> None:
        """Raise the watermark to the greatest of it and some values."""
        text = pl.Series([self.watermark], dtype=pl.String)
        if kind == pl.String:
            self.watermark = greatest(pl.concat([text, values]))
            return
        maximum = pl.concat([parse_as(text, kind), values]).max()
        self.watermark = None if maximum is None else pl.Series([maximum], dtype=kind).cast(pl.String)[0]


def _require_ages(job: Job, found: PartitionCounts) -> None:
    """Raise SourceError if a value has no age where the contract of the source needs one."""
    contract = job.source.contract
    if found.unreadable is None or contract is None or contract.freshness is None:
        return
    fresh = contract.freshness
    raise SourceError(
        f"{fresh.place}: row {found.unreadable:,}, column {quoted(fresh.column)}: the text is no date or "
        "timestamp that begins with the year, so the age of the source cannot be determined",
        hint="Write dates as 2026-11-29 or 2026-11-29T08:00:00Z, list strings that mean no value in "
        "source.nulls, or take out source.freshness.",
    )
