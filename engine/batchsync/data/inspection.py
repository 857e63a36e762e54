"""Methods of the data engine that look at records without sending any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.data.compare.review import review
from batchsync.data.compare.sample import sample
from batchsync.data.frame.integrity import translate_disk_errors
from batchsync.data.frame.known import opened_baseline
from batchsync.data.outcome.manifest_keys import sent_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import BaselineEntry, Comparison, ManifestRow, ObjectStore, PlanRecords, Sample
    from batchsync.util.executor import TaskPool


class RecordInspection:
    """The part `Inspection` of the data engine."""

    def __init__(self, objects: ObjectStore, workers: TaskPool) -> None:
        """Create the part on an object store and a task pool."""
        self._objects, self._workers = objects, workers

    def review(
        self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry, limit: int
    ) -> PlanRecords:
        """Return the first records of each kind of change of a comparison, and the members that differ.

        Args:
            job: The job of the comparison, with its source as fetched.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: What it was compared with.
            limit: Number of records of each kind.

        Returns:
            The records.
        """
        with translate_disk_errors("reading the plan"), opened_baseline(self._objects, baseline) as known:
            return review(job, rules, comparison, known, limit, self._workers)

    def sample(
        self, job: Job, rules: VendorRules, folder: Path, now: datetime, keys: Sequence[str] = (), limit: int = 1
    ) -> Sample:
        """Return records of a source: those of some keys, or the first ones.

        Args:
            job: The job, with a source of local files.
            rules: Rules of the job's vendor.
            folder: Existing empty folder for copies of files.
            now: Time that rules about the past refer to.
            keys: Keys of the records; empty: the first records.
            limit: Maximum number of records.

        Returns:
            The records in source order.
        """
        with translate_disk_errors(f"reading {job.name}"):
            return sample(job, rules, folder, now, keys, limit)

    def sent_row(self, batch: Batch, key: str) -> ManifestRow | None:
        """Return the row of a key in the row manifest of a batch; None if it is not in it, or the manifest is gone."""
        with translate_disk_errors(f"reading the row manifest of {batch.id}"):
            return sent_row(batch, key, self._objects)
