"""Sample runs, batches and counts for report tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RunId
from batchsync.core.guards import Budget, Limit
from batchsync.core.plan import Plan
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import Run, RunState, settlement_of
from batchsync.report.settlement import RunReport

NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
COUNTS = PlanCounts(source_rows=120, selected=120, added=115, outcomes=OutcomeCounts.of(invalid=5))


def batch(**changes: Any) -> Batch:
    """Return a delivered batch of 115 records."""
    file = BatchFile(path="a.gz", row_manifest="a.parquet", digest="d" * 64, md5="m" * 32, size=9_800, rows=115)
    base = Batch(
        id=BatchId("guests-1f0c2a9be77d"),
        run=RunId("guests-1"),
        job="guests",
        seq=1,
        file=file,
        phase=Phase.DELIVERED,
        prepared_at=NOW,
        counts=OutcomeCounts.of(accepted=112, rejected=3),
    )
    return replace(base, **changes)


def run(**changes: Any) -> Run:
    """Return a settled run."""
    base = Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="s",
        account_id="i",
        state=RunState.SETTLED,
        created_at=NOW,
        counts=COUNTS,
        plan="p" * 64,
    )
    return replace(base, **changes)


def plan(**changes: Any) -> Plan:
    """Return a plan that exceeds no guard."""
    base = Plan(
        job="guests",
        account_id="i",
        spec_hash="s",
        removal_hash="r",
        baseline=(),
        baseline_rows=20,
        counts=COUNTS,
        changes_digest="f" * 64,
    )
    return replace(base, **changes)


def report(of_run: Run, *batches: Batch, invalid: int = 6, rejected: int = 4) -> RunReport:
    """Return the report of a run with its settlement and a budget."""
    budget = Budget(invalid=Limit(count=invalid), rejected=Limit(count=rejected))
    return RunReport(run=of_run, settlement=settlement_of(of_run, batches), batches=batches, budget=budget)
