"""How the tasks of an executor read a source: what all of them have in common, besides the rows of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.data.row.row_reader import RandomAccessReader

if TYPE_CHECKING:
    from batchsync.data.record.keyed_rows import TaskSpec
    from batchsync.ports import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """How a source is read by tasks.

    Attributes:
        spec: Specification of the tasks.
        store: Store that all tasks share.
        prefix: Prefix of their objects.
        row_counts: Number of rows of each file of the source.
        buckets: Number of buckets of key hashes, a power of two.
    """

    spec: TaskSpec
    store: ObjectStore
    prefix: str
    row_counts: tuple[int, ...]
    buckets: int

    @property
    def reader(self) -> RandomAccessReader:
        """Reader of the source.

        Raises:
            TypeError: If rows cannot be read from any index on.
        """
        reader = self.spec.compiled.source_files.reader
        if not isinstance(reader, RandomAccessReader):
            message = "the source has no random access"
            raise TypeError(message)
        return reader
