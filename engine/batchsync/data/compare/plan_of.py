"""The plan of a comparison: the balanced account of every row, from what was counted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from batchsync.core.accounting import PlanCounts
from batchsync.core.plan import Plan
from batchsync.core.row_outcome import PLAN_OUTCOMES, OutcomeCounts, RowOutcome
from batchsync.data.compare.lost_values import lost_values

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from batchsync.core.job import Job
    from batchsync.data.compare.source_counts import SourceCounts
    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.ports import CompareContext


class Classification(NamedTuple):
    """Sum over all partitions of keys.

    Attributes:
        counts: Row counts by classification.
        lost: Number of records by the members that they lost and the target keeps.
        digest: Digest over all changes.
        segments: Names of the segments of the baseline.
    """

    counts: Counter[str]
    lost: Counter[frozenset[str]]
    digest: hashlib._Hash
    segments: tuple[str, ...]


def new_digest(job: Job, context: CompareContext, segments: Sequence[str]) -> hashlib._Hash:
    """Return the digest over all changes of a job and baseline, before the first change."""
    return hashlib.sha256(f"{job.spec_hash}\0{context.account_id}\0{','.join(segments)}\0".encode())


def plan_of(compiled: CompiledJob, context: CompareContext, counts: SourceCounts, found: Classification) -> Plan:
    """Return the plan of a comparison; completes the warnings.

    Args:
        compiled: The compiled job.
        context: Context of the comparison.
        counts: Counts of the pass over the source.
        found: Classification of its records.
    """
    job = compiled.job
    counts.warn(lost_values(compiled.record, found.lost))
    if other := found.counts["other_definition"]:
        counts.warnings["keys of an earlier key definition, which are not removed"] = other
    return Plan(
        job=job.name,
        account_id=context.account_id,
        spec_hash=job.spec_hash,
        removal_hash=job.removal_hash,
        baseline=found.segments,
        baseline_rows=found.counts["at_target"],
        counts=_plan_counts(counts, found.counts),
        changes_digest=found.digest.hexdigest(),
        watermark=None if counts.watermark is None else str(counts.watermark),
        warnings=counts.warnings,
        removals_known=not counts.keyless,
        # The parts of a table are no files that could be lost: their number follows from the number of rows.
        source_files=1 if job.source.is_table else len(compiled.source_files.files),
        incomparable=found.counts["incomparable"],
        contract=counts.contract,
    )


def _plan_counts(source: SourceCounts, classified: Counter[str]) -> PlanCounts:
    """Return the balanced counts of the plan."""
    classified[RowOutcome.INVALID] += source.keyless
    counts = PlanCounts(
        source_rows=source.source_rows,
        selected=source.records + source.keyless + classified["deleted"],
        outcomes=OutcomeCounts({outcome: classified[outcome.name_in_plan] for outcome in PLAN_OUTCOMES}),
        added=classified["added"],
        changed=classified["changed"],
        resent=classified["resent"],
        removed=classified["removed"],
    )
    counts.assert_balanced()
    return counts
