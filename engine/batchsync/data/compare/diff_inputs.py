"""Inputs of the comparison of records with the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
