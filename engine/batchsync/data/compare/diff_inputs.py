"""Inputs of the comparison of records with the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.suppressed import OnSuppressed
from batchsync.data.frame import columns

if TYPE_CHECKING:
    import polars as pl

    from batchsync.core.job import Job
    from batchsync.data.frame.known import Baseline
    from batchsync.data.frame.partitioned_spill import PartitionedSpill
    from batchsync.ports import Suppression


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRows:
    """What was read of a source, partitioned by key.

    Attributes:
        records: Its records, with the columns `RECORDS`.
        listed: Keys of rows on the suppression list of the job, with the column `KEY`.
    """

    records: PartitionedSpill
    listed: PartitionedSpill


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffInputs:
    """Inputs of `classify`.

    Attributes:
        source: Records of the source.
        baseline: What the target is known to hold.
        in_flight: Column `key: str`: keys of batches in flight, and keys that are protected from removal.
        suppression: Keys that were forgotten.
    """

    source: SourceRows
    baseline: Baseline
    in_flight: PartitionedSpill
    suppression: Suppression | None = None

    @property
    def records(self) -> PartitionedSpill:
        """Records of the source, with the columns `RECORDS`, partitioned by key."""
        return self.source.records

    def kept(self, job: Job, number: int, parts: int) -> pl.DataFrame:
        """Return the records of a partition whose keys are not removed: those on the list are, if the job says so.

        Args:
            job: The job.
            number: Number of the partition.
            parts: Number of partitions.
        """
        rows = self.records.partition(number, parts)
        if job.suppress is None or job.suppress.then is OnSuppressed.KEEP:
            return rows
        return rows.join(self.source.listed.partition(number, parts), on=columns.KEY, how="anti")
