"""Rows of unknown outcome are asked about again later; what the vendor rejected is never booked as held."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from harness import POLL, UPLOAD, WAIT
from test_grace_period import counts_equal_ledger

from batchsync.core.batch import Phase, Verdict
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import UnavailableError, UsageError
from batchsync.reconcile.collect_again import collect_again
from batchsync.reconcile.resolve import resolve
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.batch import Batch


def asked_again(harness: Harness, job: str) -> Batch:
    with harness.services.lease(job):
        return collect_again(harness.batch(job), harness.context(job), harness.services)


def declared(harness: Harness, job: str) -> Batch:
    """Resolve the newest batch as delivered."""
    with harness.services.lease(job):
        return resolve(
            harness.batch(job), harness.context(job), harness.services, delivered=True, reason="by telephone"
        )


def without_log(harness: Harness) -> Batch:
    """Return a delivered batch whose row log did not come within the grace period."""
    harness.deployment.mocks.switch(CDP, log_after=10_000_000)
    harness.sync("guests", WAIT)
    batch = harness.batch("guests")
    assert batch.counts is not None
    assert (batch.phase, batch.counts[RowOutcome.UNKNOWN]) == (Phase.DELIVERED, batch.file.rows)
    return batch


def test_row_log_that_came_after_the_grace_period_is_collected(rejecting: Harness) -> None:
    without_log(rejecting)
    assert asked_again(rejecting, "guests") == rejecting.batch("guests"), "still nothing known"
    rejecting.deployment.mocks.switch(CDP, log_after=0)

    asked_again(rejecting, "guests")

    assert counts_equal_ledger(rejecting, "guests")
    run = rejecting.batch("guests").run
    assert {row.reject.kind for row in rejecting.app.journal.rejects(run=run)} >= {"rejected"}
    assert "unknown" not in {row.reject.kind for row in rejecting.app.journal.rejects(run=run)}
    assert rejecting.app.journal.audit() == ()
    before = len(rejecting.deployment.mocks.ledger(CDP))
    rejecting.sync("guests", WAIT)
    assert len(rejecting.deployment.mocks.ledger(CDP)) == before, "accepted and rejected rows are not sent again"


def test_lost_batch_that_is_found_again_is_collected(harness: Harness) -> None:
    harness.sync("vehicles")
    harness.arm("vehicles", kind="vanish", times=0, **POLL["vehicles"])
    harness.resume("vehicles")
    assert harness.batch("vehicles").verdict is Verdict.LOST
    with pytest.raises(UnavailableError, match="does not report on batch"):
        asked_again(harness, "vehicles")
    harness.clear_faults()

    after = asked_again(harness, "vehicles")

    assert after.verdict is Verdict.PROCESSED
    assert counts_equal_ledger(harness, "vehicles")
    assert after.counts is not None
    answers = list(csv.DictReader(harness.deployment.results("out/vehicles.csv").read_text("utf-8").splitlines()))
    assert len(answers) == after.counts[RowOutcome.ACCEPTED]


def test_only_answers_of_unknown_rows_are_delivered_again(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, results_after=10_000_000)
    harness.sync("vehicles", WAIT)
    before = harness.batch("vehicles").counts
    assert before is not None
    results = harness.deployment.results("out/vehicles.csv")
    marked = results.read_text("utf-8").replace("1HGCM82633A000001", "EDITED SINCE")
    assert marked != results.read_text("utf-8")
    results.write_text(marked, "utf-8")
    harness.deployment.mocks.switch(BDP, results_after=0)

    asked_again(harness, "vehicles")

    assert counts_equal_ledger(harness, "vehicles")
    rows = list(csv.DictReader(results.read_text("utf-8").splitlines()))
    assert len(rows) == 19
    assert "EDITED SINCE" in results.read_text("utf-8")


def test_rows_that_the_vendor_rejected_are_not_resolved_as_delivered(rejecting: Harness) -> None:
    without_log(rejecting)
    rejecting.deployment.mocks.switch(CDP, log_after=0)

    declared(rejecting, "guests")

    assert counts_equal_ledger(rejecting, "guests")


def test_batch_in_doubt_that_is_declared_delivered_keeps_its_rejections(rejecting: Harness) -> None:
    rejecting.arm("guests", kind="lose_answer", **UPLOAD)
    rejecting.sync("guests")
    rejecting.arm("guests", kind="status", status=400, times=0, **POLL["guests"])
    rejecting.advance(rejecting.context("guests").policy.ask_after)
    rejecting.sync("guests")
    assert rejecting.batch("guests").phase is Phase.NEEDS_ATTENTION
    rejecting.clear_faults()
    rejecting.deployment.mocks.advance(900)

    declared(rejecting, "guests")
    rejecting.resume("guests")

    assert rejecting.batch("guests").verdict is Verdict.DECLARED
    assert counts_equal_ledger(rejecting, "guests")


def test_word_of_a_person_stands_where_the_vendor_does_not_answer(rejecting: Harness) -> None:
    without_log(rejecting)

    after = declared(rejecting, "guests")

    assert after.counts is not None
    assert after.counts[RowOutcome.ACCEPTED] == after.file.rows


def test_collecting_again_without_unknown_rows_is_refused(harness: Harness) -> None:
    harness.sync("guests")
    with pytest.raises(UsageError, match="no rows of unknown outcome: submitted"):
        asked_again(harness, "guests")
    harness.resume("guests")
    with pytest.raises(UsageError, match="no rows of unknown outcome: delivered"):
        asked_again(harness, "guests")


def test_command_collects_later(rejecting: Harness) -> None:
    batch = without_log(rejecting)
    run = rejecting.deployment
    assert run.json("collect", batch.id, expect=8)["unknown"] == batch.file.rows
    rejecting.deployment.mocks.switch(CDP, log_after=0)
    assert run.json("collect", batch.id)["unknown"] == 0
    run.run("collect", batch.id, expect=2)
    run.run("collect", "no-such-batch", expect=2)
