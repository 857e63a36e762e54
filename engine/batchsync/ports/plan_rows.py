"""Port of the rows of plan files: pinned from a comparison, verified when they are read, compared with the present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.core.forecast import EncodedSample
    from batchsync.core.job import Job
    from batchsync.core.plan import Plan
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports.data import BaselineEntry, Comparison, Suppression


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedKeys:
    """Number of keys of a plan that are in another state than when it was made, each counted once.

    Attributes:
        planned: All keys of the plan.
        changed: Keys that another run added, changed or removed.
        in_flight: Keys in an open batch.
        suppressed: Keys that were forgotten, or are on the suppression list of the job.
    """

    planned: int
    changed: int = 0
    in_flight: int = 0
    suppressed: int = 0

    @property
    def total(self) -> int:
        """Number of all keys that moved."""
        return self.changed + self.in_flight + self.suppressed


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedRows:
    """The files that make up the rows of a plan, in the folder of its comparison, and the files of its source."""

    parts: tuple[Path, ...]
    source_files: tuple[Path, ...]


class PlanRows(Protocol):
    """Operations on the rows of plan files; the data engine implements them."""

    def pin(
        self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry, answers: Path | None = None
    ) -> PinnedRows:
        """Write the rows that a comparison sends, and the known states of its keys, to its folder.

        Args:
            job: The job of the comparison, with its source as compared.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: The baseline that it was compared with.
            answers: Parquet file of the keys whose answers the plan removes; None if it removes none.

        Returns:
            The files of the plan, and those that the source was read from.
        """
        ...

    def encode_sample(self, job: Job, rules: VendorRules, comparison: Comparison) -> EncodedSample:
        """Return the size of the first records that a comparison sends, encoded and compressed; none is written.

        Args:
            job: The job of the comparison, with its source as compared.
            rules: Rules of the job's vendor.
            comparison: The comparison.
        """
        ...

    def verify_pinned(self, plan: Plan, folder: Path) -> None:
        """Raise UsageError if the parts of a plan that were read from a plan file are damaged, hostile or others."""
        ...

    def use_template(self, folder: Path, template: tuple[str, ...] | None) -> None:
        """Set the columns of the vendor's input template for the staging of a pinned plan."""
        ...

    def answers_of(self, folder: Path) -> Path | None:
        """Return the file of the keys whose answers a pinned plan removes; None if it removes none."""
        ...

    def moved_keys(
        self,
        folder: Path,
        baseline: BaselineEntry,
        in_flight: Sequence[str],
        suppression: Suppression | None,
        listed: tuple[str, Path] | None,
    ) -> MovedKeys:
        """Return how many keys of a pinned plan are in another state than when it was made.

        Args:
            folder: Folder of the parts of the plan.
            baseline: The present baseline of the job.
            in_flight: Keys of the row manifests of open batches.
            suppression: Keys that were forgotten; None if there are none.
            listed: Column that is looked up in the suppression list, and digests of the list; None without a list.
        """
        ...
