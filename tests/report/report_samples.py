"""Runs, batches and tallies to render, with plain numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lading.core.accounting import Tally
from lading.core.batch import Batch, BatchFile, BatchId, Books, Phase, RunId
from lading.core.guards import Budget, Limit
from lading.core.run import Run, RunState, settlement_of
from lading.report.settlement import RunReport

NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
TALLY = Tally(source_rows=120, selected=120, added=115, invalid=5)


def batch(**changes: Any) -> Batch:
    """Return a batch of 115 records that the vendor has gone through."""
    file = BatchFile(path="a.gz", evidence="a.parquet", digest="d" * 64, md5="m" * 32, size=9_800, rows=115)
    base = Batch(
        id=BatchId("guests-1f0c2a9be77d"),
        run=RunId("guests-1"),
        job="guests",
        seq=1,
        file=file,
        phase=Phase.DELIVERED,
        prepared_at=NOW,
        books=Books(accepted=112, rejected=3),
    )
    return replace(base, **changes)


def run(**changes: Any) -> Run:
    """Return a settled run."""
    base = Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="s",
        identity="i",
        state=RunState.SETTLED,
        created_at=NOW,
        tally=TALLY,
        plan="p" * 64,
    )
    return replace(base, **changes)


def report(one: Run, *batches: Batch, invalid: int = 6, rejected: int = 4) -> RunReport:
    """Return the report of a run with its equation and a budget."""
    budget = Budget(invalid=Limit(count=invalid), rejected=Limit(count=rejected))
    return RunReport(run=one, settlement=settlement_of(one, batches), batches=batches, budget=budget)
