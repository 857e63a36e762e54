"""Reading only new rows of a database: which run reads what, and which guards judge it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import WAIT

from batchsync.core.guards import Guards
from batchsync.core.job import Send
from batchsync.core.landed_part import LandedPart
from batchsync.core.query import Database, Query, Server, Since
from batchsync.core.row_outcome import RowOutcome
from batchsync.core.run import RunState
from batchsync.reconcile.plan import plan
from batchsync.reconcile.sync import sync
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Harness

    from batchsync.core.job import Source
    from batchsync.core.run import Run
    from batchsync.reconcile.services import JobContext


class Reads:
    """A database whose rows are those of a CSV file; keeps the lower bounds of its reads."""

    def __init__(self, harness: Harness) -> None:
        self.file = harness.deployment.folder / "rows.csv"
        self.after: list[str] = []
        self.harness = harness.with_services(fetch=self)

    def __call__(self, source: Source, _into: Path, **_: Any) -> Source:
        assert source.query is not None
        self.after.append(source.query.after)
        part = LandedPart(path=str(self.file), sha256=sha256_of_file(self.file))
        return replace(source, parts=(part,), format="csv")

    def write(self, *rows: str) -> None:
        self.file.write_text("\n".join(["id,name,email,no", *rows, ""]), encoding="utf-8")

    def context(self, *, rejected: bool = False, **changes: Any) -> JobContext:
        """Return the job that reads by `no`, and removes nothing."""
        context = self.harness.context("guests", removal=None, removal_hash="")
        server = Server(url="${U}")
        query = Query(
            database=Database(name="shop", kind="postgres", server=server),
            table=("guests",),
            since=Since(column="no", lag=2, full_every=timedelta(days=30000)),
        )
        source = replace(context.job.source, path=query.title, query=query)
        send = Send(rows="since", since="no", rejected=rejected)
        return replace(context, job=replace(context.job, source=source, send=send, **changes))

    def sync(self, **changes: Any) -> Run:
        sync([self.context(**changes)], self.harness.services, WAIT)
        run = self.harness.services.store.last_run("guests")
        assert run is not None
        return run


@pytest.fixture
def reads(harness: Harness) -> Reads:
    """A database with one row, which was delivered."""
    found = Reads(harness)
    found.write("C1,Ada,ada@example.com,5")
    assert found.sync().state is RunState.SETTLED
    return found


def test_runs_read_from_the_watermark_minus_the_lag(reads: Reads) -> None:
    reads.write("C1,Ada,ada@example.com,5", "C2,Bo,bo@example.com,9")
    assert reads.sync().counts.selected == 2
    reads.write("C2,Bo,bo@example.com,9")
    reads.sync()
    assert reads.after == ["", "3", "7"]
    assert reads.harness.delivered_once("guests")


def test_plan_without_a_run_reads_the_same_part(reads: Reads) -> None:
    found = plan(reads.context(), reads.harness.services)
    assert reads.after == ["", "3"]
    assert found.partial_read is not None
    assert (found.partial_read.column, found.partial_read.start) == ("no", "3")
    assert found.partial_read.full_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=30000)


def test_full_read_is_not_reported_as_partial(reads: Reads) -> None:
    assert plan(reads.context(rejected=True), reads.harness.services).partial_read is None


def test_rejected_rows_may_be_any_rows(reads: Reads) -> None:
    reads.sync(rejected=True)
    assert reads.after == ["", ""]


def test_row_that_was_not_delivered_keeps_the_bound(reads: Reads) -> None:
    reads.write("C2,Bo,no address,9")
    assert reads.sync().counts.outcomes[RowOutcome.INVALID] == 1
    reads.write("C2,Bo,bo@example.com,9")
    reads.sync()
    reads.sync()
    assert reads.after == ["", "3", "3", "7"]


def test_row_in_the_lag_is_compared(reads: Reads) -> None:
    reads.write("C1,Ada,ada@example.com,5", "C3,Late,late@example.com,4")
    assert reads.sync().counts.added == 1
    reads.write("C1,Ada,ada@example.com,5", "C3,Later,late@example.com,4")
    assert reads.sync().counts.changed == 1


def test_few_rows_are_judged_in_full_reads_alone(reads: Reads) -> None:
    guards = Guards(min_rows=3)
    assert reads.sync(guards=guards).state is RunState.SETTLED
    awaiting = reads.sync(guards=guards, spec_hash="0" * 64)
    assert awaiting.state is RunState.AWAITING_APPROVAL
    assert reads.after == ["", "3", ""]


def test_full_read_follows_after_its_time(reads: Reads) -> None:
    context = reads.context()
    assert context.job.source.query is not None
    assert context.job.source.query.since is not None
    short = replace(context.job.source.query.since, full_every=timedelta(hours=1))
    source = replace(context.job.source, query=replace(context.job.source.query, since=short))
    reads.harness.advance(timedelta(hours=1))
    plan(replace(context, job=replace(context.job, source=source)), reads.harness.services)
    assert reads.after == ["", ""]
