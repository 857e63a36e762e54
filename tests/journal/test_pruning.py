"""Retention in the journal: what is old goes, what is needed stays, the chain goes on; a kill leaves all or nothing."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from journal_samples import (
    DELIVERED,
    EVENTS,
    LATER,
    NOW,
    make_baseline,
    make_batch,
    make_run,
    rejects,
    run_until_killed,
)

from batchsync.core.events import Collected, Resolved
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import RunState
from batchsync.core.state_age import OlderState
from batchsync.journal import Journal, pruning
from batchsync.journal.anchor import Anchor
from batchsync.ports import Expired

if TYPE_CHECKING:
    from pathlib import Path

OLD = Expired(rejects=NOW + timedelta(days=50), runs=NOW + timedelta(days=50))
NONE = Expired(rejects=None, runs=None)
RESOLVED = Resolved(at=LATER, delivered=True, reason="they have it")
KNOWN = OutcomeCounts.of(accepted=8, rejected=2)


def settle(journal: Journal, serial: int, job: str = "guests", counts: OutcomeCounts = KNOWN, day: int = 0) -> None:
    """Add a settled run with a batch of these counts, `day` days after the first."""
    later = timedelta(days=day)
    run = make_run(job, serial, created_at=NOW + later)
    batch = make_batch(run)
    journal.start_run(run, [batch], ())
    for event in (*EVENTS[:-1], Collected(at=LATER, counts=counts)):
        batch = journal.record(batch, event)
    unknown = rejects(counts.by_name()["unknown"], "unknown")
    delivered = replace(DELIVERED, at=LATER + later)
    journal.deliver(batch, delivered, baseline=make_baseline(batch), rejects=[*rejects(2), *unknown])


def serials(journal: Journal, job: str = "guests") -> list[int]:
    return sorted(run.serial for run in journal.history(job, limit=100_000))


def test_old_runs_go_with_their_rows_and_the_newest_stays(journal: Journal) -> None:
    for serial in range(1, 5):
        settle(journal, serial)
    used = journal.attempts_used("guests", make_batch(make_run()).file.digest)

    assert journal.prune("guests", OLD) == 3 + 8

    assert serials(journal) == [4]
    assert [journal.batches(f"guests-{serial}") for serial in (1, 2, 3)] == [(), (), ()]
    assert journal._rows("SELECT count(*) AS n FROM rejects")[0]["n"] == 0
    assert journal.audit() == ()
    assert journal.attempts_used("guests", make_batch(make_run()).file.digest) == used == 2
    assert journal.next_serial("guests") == 5
    assert journal.runs_with_batches() == {"guests": 4}
    assert journal.baseline("guests", "motorweb:acme") is not None
    assert not journal.is_prunable("guests", OLD)


def test_recent_runs_and_rejects_stay(journal: Journal) -> None:
    settle(journal, 1)
    settle(journal, 2, day=60)
    settle(journal, 3, day=61)

    assert journal.prune("guests", OLD) == 1 + 2

    assert serials(journal) == [2, 3]
    assert journal.rejects_count() == 4
    assert journal.prune("guests", NONE) == 0


def test_open_batches_unknown_rows_and_pending_erasures_are_kept(journal: Journal) -> None:
    settle(journal, 1, counts=OutcomeCounts.of(accepted=7, rejected=2, unknown=1))
    parked = make_run("guests", 2)
    journal.start_run(parked, [make_batch(parked)], ())
    settle(journal, 3)
    erasing = journal.batches("guests-3")[0]
    journal.begin_erasure(erasing, ["remove"])
    waiting = make_run("guests", 4, state=RunState.AWAITING_APPROVAL)
    journal.start_run(waiting, (), ())
    settle(journal, 5)

    journal.prune("guests", OLD)

    assert serials(journal) == [1, 2, 3, 5]
    assert [row.reject.kind for row in journal.rejects() if row.batch == "guests-1-batch-1"].count("unknown") == 1
    assert journal.audit() == ()
    journal.finish_erasure(erasing)
    journal.prune("guests", OLD)
    assert serials(journal) == [1, 2, 5]
    assert journal.audit() == ()


def test_newest_run_to_each_account_stays(journal: Journal) -> None:
    run = make_run("guests", 1, account_id="other", counts=replace(make_run().counts, added=0, selected=5))
    journal.start_run(run, (), ())
    settle(journal, 2)
    settle(journal, 3)

    journal.prune("guests", OLD)

    assert serials(journal) == [1, 3]
    assert journal.is_known_at("guests", "other")


def test_chain_is_verified_across_interleaved_jobs(journal: Journal) -> None:
    for serial in range(1, 4):
        for job in ("guests", "orders"):
            settle(journal, serial, job)
    head = journal.chain_head()

    journal.prune("guests", OLD)
    assert journal.audit() == ()
    assert len(journal._rows("SELECT * FROM pruned_events")) == 2

    journal.prune("orders", OLD)
    assert journal.audit() == ()
    assert len(journal._rows("SELECT * FROM pruned_events")) == 1
    assert journal.chain_head() == head
    settle(journal, 4)
    assert journal.audit() == ()


def test_chain_goes_on_when_all_events_are_gone(journal: Journal) -> None:
    settle(journal, 1)
    head = journal.chain_head()
    idle = make_run("guests", 2, counts=replace(make_run().counts, added=0, selected=5))
    journal.start_run(idle, (), ())

    journal.prune("guests", OLD)

    assert journal._rows("SELECT * FROM events") == []
    assert (journal.chain_head(), journal.mark().chain) == (head, head)
    settle(journal, 3)
    assert journal.audit() == ()


def test_event_that_is_lost_beside_a_pruned_range_is_found(journal: Journal) -> None:
    for serial in range(1, 4):
        settle(journal, serial)
    journal.prune("guests", OLD)
    journal._db.execute("DROP TRIGGER events_are_only_pruned")
    journal._db.execute("DELETE FROM events WHERE no = (SELECT min(no) FROM events)")
    assert any("an event before it is missing" in finding for finding in journal.audit())


@pytest.mark.parametrize("lags", [False, True])
def test_anchor_accepts_the_pruned_journal(journal: Journal, tmp_path: Path, *, lags: bool) -> None:
    anchor = Anchor(journal, tmp_path / "anchors" / "journal-1")
    settle(journal, 1)
    if lags:
        anchor.follow("deliver")
    settle(journal, 2)
    if not lags:
        anchor.follow("deliver")
    journal.prune("guests", OLD)
    assert anchor.older() is None
    anchor.follow("prune")
    assert anchor.older() is None


def test_anchor_inside_a_pruned_range_is_accepted(journal: Journal, tmp_path: Path) -> None:
    anchor = Anchor(journal, tmp_path / "anchors" / "journal-1")
    run = make_run("guests", 1)
    journal.start_run(run, [make_batch(run)], ())
    anchor.follow("start_run")
    batch = journal.record(make_batch(run), EVENTS[0])
    for event in EVENTS[1:]:
        batch = journal.record(batch, event)
    journal.deliver(batch, DELIVERED, baseline=None, rejects=())
    journal.resolve(batch := journal.batches(run.id)[0], RESOLVED, baseline=make_baseline(batch))
    settle(journal, 2)
    journal.prune("guests", Expired(rejects=None, runs=OLD.runs))
    assert serials(journal) == [2]
    assert anchor.older() is None


def test_events_stay_while_an_accepted_older_state_may_need_them(journal: Journal) -> None:
    settle(journal, 1)
    parked = make_run("guests", 2)
    journal.start_run(parked, [make_batch(parked)], ())
    settle(journal, 3)
    found = OlderState(serial=1, newest=2, other="", lost={"guests": 1})
    journal.accept_older("acceptance", found, "restored", NOW)

    journal.prune("guests", OLD)

    assert serials(journal) == [1, 2, 3]


def test_old_ticks_and_approvals_go(journal: Journal) -> None:
    settle(journal, 1)
    settle(journal, 2)
    for day in range(3):
        journal.claim_tick("guests", NOW + timedelta(days=day))
    journal.approve("guests", "old", "", NOW)
    journal.approve("guests", "p" * 64, "", NOW)

    journal.prune("guests", OLD)

    assert journal.last_tick("guests") == NOW + timedelta(days=2)
    assert not journal.last_tick("guests", NOW)
    assert not journal.approved("guests", "old")
    assert journal.approved("guests", "p" * 64)


def test_journal_does_not_grow_for_ever(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "RUNS_AT_ONCE", 7)
    sizes = []
    for serial in range(1, 91):
        settle(journal, serial, day=serial)
        journal.prune("guests", expired_at(NOW + timedelta(days=serial)))
        sizes.append(journal._rows("PRAGMA page_count")[0]["page_count"])
    assert len(serials(journal)) == 11
    assert max(sizes[40:]) <= max(sizes[:40]) + 1
    assert journal.audit() == ()


def expired_at(now: datetime) -> Expired:
    return Expired(rejects=now - timedelta(days=5), runs=now - timedelta(days=10))


@pytest.mark.parametrize("point", ["begin", "rejects", "events", "runs", "commit", "committed"])
def test_kill_at_any_step_leaves_all_or_nothing(state: Path, point: str) -> None:
    with Journal.open(state) as journal:
        for serial in range(1, 4):
            settle(journal, serial)

    def kill(name: str) -> None:
        if name == f"prune:{point}":
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        Journal.open(state, failpoint=kill).prune("guests", OLD)

    assert run_until_killed(work)

    with Journal.open(state) as journal:
        assert journal.audit() == ()
        assert serials(journal) == ([3] if point == "committed" else [1, 2, 3])
        journal.prune("guests", OLD)
        assert serials(journal) == [3]
        assert journal.audit() == ()
