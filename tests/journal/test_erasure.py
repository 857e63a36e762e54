"""Erasure of forgotten keys: no trace in any byte, a verifiable chain, and all of it or nothing after a kill."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
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

from batchsync.core.events import OutcomeUnknown, Resolved
from batchsync.core.personal_data import REMOVED_TEXT, KeySearch, hash_of_key
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.state_age import OlderState
from batchsync.errors import LockedError, StateError
from batchsync.journal import Journal
from batchsync.journal.anchor import Anchor
from batchsync.ports import Erasure, Reject
from kit.state_search import files_with

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch, BatchId

KEY = "jane.roe.7781@people.example"
SECRET = "5" * 64


def erasure(*keys: str, manifests: dict[BatchId, str] | None = None) -> Erasure:
    """Return the erasure of keys from the job of the samples."""
    return Erasure(
        job="guests",
        names=("guests",),
        keys=keys,
        hashes=[hash_of_key(SECRET, key) for key in keys],
        check=hash_of_key(SECRET, ""),
        at=LATER,
        by="ops",
        reason="request 114",
        manifests=manifests or {},
    )


def mention(journal: Journal) -> Batch:
    """Fill the journal of a job with mentions of the key: a reject, reasons of events, batch, run and approval."""
    run = make_run(reason=f"{KEY} is in doubt", watermark=KEY)
    batch = make_batch(run)
    journal.start_run(run, [batch], [[Reject(kind="invalid", key=KEY, reason="bad")]])
    events = [
        replace(event, reason=f"about {KEY.upper()}: refused") if isinstance(event, OutcomeUnknown) else event
        for event in EVENTS
    ]
    for event in events:
        batch = journal.record(batch, event)
    listed = [[Reject(kind="unknown", key="other", reason=f"same person as '{KEY}'")], *rejects(2)]
    batch = journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=listed)
    journal.approve("guests", "p" * 64, f"for {KEY}", NOW)
    resolved = Resolved(at=LATER, delivered=True, reason=f"{KEY} wrote so")
    return journal.resolve(batch, resolved, baseline=make_baseline(batch))


def test_no_byte_mentions_an_erased_key_and_the_chain_goes_on(journal: Journal, state: Path) -> None:
    batch = mention(journal)
    head = journal.chain_head()
    assert files_with(state, KEY)

    assert journal.erase(erasure(KEY)) >= 6
    journal.vacuum()

    assert files_with(state, KEY) == []
    assert journal.audit() == ()
    assert journal.chain_head() != head
    texts = [getattr(event, "reason", "") for event in journal.events(batch.id)]
    assert texts.count(REMOVED_TEXT) == 2
    assert "needs a person: übel ✓" in texts
    assert journal.run("guests-1").watermark is None
    assert [row.reject.key for row in journal.rejects()] == ["other", "key-0000000", "key-0000001"]
    journal.close()
    assert files_with(state, KEY) == []


def test_tombstone_says_when_who_and_why(journal: Journal) -> None:
    mention(journal)
    journal.erase(erasure(KEY))
    journal.erase(replace(erasure(KEY), by="other", reason="again"))

    found = journal.tombstone("guests", hash_of_key(SECRET, KEY))

    assert found is not None
    assert (found.at, found.by, found.reason) == (LATER, "ops", "request 114")
    assert journal.tombstones({"guests"}) == {hash_of_key(SECRET, KEY)}
    assert journal.tombstones({"orders"}) == frozenset()
    assert journal.revoke("guests", [found.key_hash]) == 1
    assert journal.tombstones({"guests"}) == frozenset()


def test_other_jobs_and_longer_keys_keep_their_texts(journal: Journal) -> None:
    mention(journal)
    orders = make_run("orders")
    journal.start_run(orders, [make_batch(orders)], [[Reject(kind="invalid", key=KEY, reason=f"see {KEY}")]])
    longer = make_run("guests", 2, reason=f"x{KEY} differs")
    journal.start_run(longer, [make_batch(longer)], ())

    journal.erase(erasure(KEY))

    assert [row.reject.reason for row in journal.rejects("orders")] == [f"see {KEY}"]
    assert journal.run("guests-2").reason == f"x{KEY} differs"


def test_event_that_is_changed_after_its_redaction_is_found(journal: Journal) -> None:
    batch = mention(journal)
    journal.erase(erasure(KEY))
    number = journal._rows("SELECT no FROM events WHERE payload LIKE ?", [f"%{REMOVED_TEXT}%"])[0]["no"]

    journal._db.execute(
        "UPDATE events SET payload = replace(payload, 'text removed', 'nothing') WHERE no = ?", [number]
    )

    assert any(f"event {number} " in finding for finding in journal.audit())
    with pytest.raises(StateError, match="was changed after batchsync wrote it"):
        journal.events(batch.id)


def test_rewritten_row_manifest_replaces_the_former_one(journal: Journal) -> None:
    batch = mention(journal)

    journal.erase(erasure(KEY, manifests={batch.id: "/staging/other.parquet"}))

    after = journal.batch(batch.id)
    assert after is not None
    assert after.file.row_manifest == "/staging/other.parquet"
    assert journal.audit() == ()


def test_anchor_accepts_the_erased_journal(journal: Journal, tmp_path: Path) -> None:
    anchor = Anchor(journal, tmp_path / "anchors" / "journal-1")
    mention(journal)
    anchor.follow("deliver")
    journal.erase(erasure(KEY))
    assert anchor.older() is None


def test_reader_of_another_process_does_not_hide_what_is_left(journal: Journal, state: Path) -> None:
    mention(journal)
    journal._db.execute("PRAGMA busy_timeout = 10")
    with Journal.open(state, read_only=True) as reader:
        reading = reader._stream("SELECT * FROM events")
        next(reading)
        journal.erase(erasure(KEY))
        with pytest.raises(LockedError, match="deleted rows are still in"):
            journal.vacuum()
        reading.close()
    journal.vacuum()
    assert files_with(state, KEY) == []


@pytest.mark.parametrize(
    "point",
    ["begin", "tombstones", "baselines", "rejects", "texts", "commit", "committed", "vacuum:begin", "vacuum:done"],
)
def test_kill_at_any_step_leaves_all_or_nothing_and_the_same_call_completes(state: Path, point: str) -> None:
    with Journal.open(state) as journal:
        mention(journal)

    def kill(name: str) -> None:
        if name in (point, f"erase:{point}"):
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        journal = Journal.open(state, failpoint=kill)
        journal.erase(erasure(KEY))
        journal.vacuum()

    assert run_until_killed(work)
    with Journal.open(state) as journal:
        assert journal.audit() == ()
        done = point in ("committed", "vacuum:begin", "vacuum:done")
        assert bool(journal.tombstones({"guests"})) == done
        assert (KEY in {row.reject.key for row in journal.rejects()}) != done
        journal.erase(erasure(KEY))
        journal.vacuum()
        assert files_with(state, KEY) == []


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("G1", "row G1 is bad", True),
        ("G1", "g1", True),
        ("G1", "row G10 is bad", False),
        ("G1", "row 5G1 is bad", False),
        ("G1", "G10, G1", True),
        ('["SA","LDG004"]', "plate LDG004 in SA", True),
        ('["SA","LDG004"]', "plate LDG004 in VIC", False),
        ('["SA","LDG004"]', 'key ["SA","LDG004"]', True),
        ("[not json", "a [not json b", True),
        ("ü@x.de", "an Ü@X.DE!", True),
        ("", "anything", False),
    ],
)
def test_keys_are_found_as_a_whole(*, key: str, text: str, found: bool) -> None:
    assert KeySearch([key, "never"]).found_in(text) is found


def test_counts_of_a_run_still_balance(journal: Journal) -> None:
    batch = mention(journal)
    journal.erase(erasure(KEY))
    after = journal.batch(batch.id)
    assert after is not None
    assert after.counts == OutcomeCounts.of(accepted=8, rejected=2)


def test_reason_of_an_acceptance_is_replaced_if_it_mentions_the_key(journal: Journal) -> None:
    found = OlderState(serial=1, newest=2, other="", lost={})
    journal.accept_older("one", found, f"as {KEY} wrote", NOW)
    journal.accept_older("two", found, "the disk broke", NOW)
    journal.erase(erasure(KEY))
    assert [item.reason for item in journal.acceptances()] == [REMOVED_TEXT, "the disk broke"]


def test_unknown_key_has_no_tombstone_and_a_batch_that_erases_nothing_is_not_pending(journal: Journal) -> None:
    batch = mention(journal)
    journal.begin_erasure(batch, ())
    assert journal.tombstone("guests", hash_of_key(SECRET, KEY)) is None
    assert journal.pending_erasures("guests") == ()
    journal.begin_erasure(batch, ("add", "change"))
    assert journal.pending_erasures("guests") == ((batch, ("add", "change")),)
