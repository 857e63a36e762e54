"""Values are read as they were written, and secrets are not stored."""

from __future__ import annotations

import sqlite3
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import (
    ALLOCATION,
    DELIVERED,
    EVENTS,
    LATER,
    NOW,
    URL,
    make_baseline,
    make_batch,
    make_run,
    record_all,
    rejects,
    start_run,
)

from batchsync.core.accounting import PlanCounts, UnbalancedError
from batchsync.core.batch import Allocation, Phase, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    CollectedAgain,
    Event,
    FileMissing,
    IntentRecorded,
    Parked,
    Resolved,
    StillRunning,
    Uploaded,
)
from batchsync.core.lifecycle import ImpossibleEventError
from batchsync.core.row_outcome import BATCH_OUTCOMES, OutcomeCounts
from batchsync.core.run import RunState
from batchsync.errors import LockedError, UsageError
from batchsync.journal import Approval, Journal, codec
from batchsync.ports import Reject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("statement", ["DELETE FROM attempts", "UPDATE attempts SET attempt = 1"])
def test_used_attempts_are_kept_without_their_batches(journal: Journal, statement: str) -> None:
    """The idempotency key of an attempt may be known to the vendor for ever."""
    (batch,) = start_run(journal)
    for attempt in (1, 2):
        assert journal.attempts_used("guests", batch.file.digest) == attempt
        lost = AllocationLost(at=LATER, reason="it expired")
        batch = journal.record(batch, lost)

    # What a retention of old runs would do.
    for number, later in enumerate(("DELETE FROM rejects", "DELETE FROM batches"), start=1):
        journal._db.execute("PRAGMA foreign_keys = 0")
        journal._db.execute(later)
        assert journal.attempts_used("guests", batch.file.digest) == 3, number
    with pytest.raises(sqlite3.IntegrityError, match="used idempotency keys are kept"):
        journal._db.execute(statement)
    assert journal.attempts_used("other", batch.file.digest) == 0


def test_run_is_read_as_written(journal: Journal) -> None:
    run = make_run(watermark="2026-11-21", reason="")
    batches = [make_batch(run)]
    journal.start_run(run, batches, rejects(2, "invalid"))
    assert journal.run(run.id) == run
    assert journal.last_run("guests") == run
    assert journal.history() == (run,)
    assert journal.open_runs("guests") == (run,)
    assert journal.batches(run.id) == tuple(batches)
    assert journal.open_batches() == journal.open_batches("guests") == tuple(batches)
    assert journal.batch(batches[0].id) == batches[0]
    assert [reject.reject for reject in journal.rejects(run=run.id)] == list(next(iter(rejects(2, "invalid"))))
    assert journal.next_serial("guests") == 2
    assert journal.next_serial("vehicles") == 1


def test_reopened_journal_has_the_same_content(state: Path) -> None:
    with Journal.open(state, journal_id="journal-1") as journal:
        batch = record_all(journal, start_run(journal)[0])
        events = journal.events(batch.id)
    with Journal.open(state) as again, Journal.open(state, read_only=True) as reader:
        for item in (again, reader):
            assert item.batch(batch.id) == codec.without_url(batch)
            assert item.events(batch.id) == events
            assert item.journal_id == "journal-1"


def test_every_kind_of_event_is_read_as_written(journal: Journal) -> None:
    batch = journal.record(record_all(journal, start_run(journal)[0]), Parked(at=LATER, reason="x", verb=Verb.COLLECT))
    other = journal.record(start_run(journal, "vehicles")[0], Cancelled(at=NOW, reason="by hand"))
    third = journal.record(start_run(journal, "orders")[0], Parked(at=NOW, reason="unknown outcome"))
    journal.record(third, Resolved(at=LATER, delivered=False, reason="asked by telephone"))
    fourth = journal.record(start_run(journal, "people")[0], Uploaded(at=NOW, allocation=Allocation(id="found")))
    expected = [item for item in EVENTS if not isinstance(item, StillRunning)]
    expected = [
        replace(item, allocation=replace(item.allocation, url=None)) if isinstance(item, Allocated) else item
        for item in expected
    ]
    events = journal.events(batch.id)
    assert events[:-1] == tuple(expected)
    kinds = {
        type(item)
        for item in (*events, *journal.events(other.id), *journal.events(third.id), *journal.events(fourth.id))
    }
    # The last two are of other batches; the reconcile tests audit journals with them.
    assert kinds == set(get_args(Event)) - {StillRunning, type(DELIVERED), CollectedAgain, FileMissing}


AT = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=13)), timezone(timedelta(hours=-9.5))]))
TEXT = st.text(max_size=50).map(codec.clean)
FIELDS = {
    "at": AT,
    "reason": TEXT,
    "vendor_status": TEXT,
    "retry_at": AT,
    "verb": st.sampled_from(Verb),
    "verdict": st.sampled_from(Verdict),
    "counts": st.builds(OutcomeCounts, st.dictionaries(st.sampled_from(BATCH_OUTCOMES), st.integers(0))),
    "allocation": st.builds(Allocation, id=TEXT, url=st.none(), expires_at=st.none() | AT),
    "delivered": st.booleans(),
    "expired": st.booleans(),
    "foreign": st.booleans(),
}
SAMPLES = st.one_of(
    *(st.builds(kind, **{field.name: FIELDS[field.name] for field in fields(kind)}) for kind in get_args(Event))
)


@given(event=SAMPLES)
def test_event_survives_serialization(event: Event) -> None:
    read = codec.read_event(type(event).__name__, codec.to_iso(event.at), codec.event_payload(event))
    assert read == event
    assert read.at.utcoffset() == timedelta(0)


def test_upload_url_is_not_stored(state: Path) -> None:
    with Journal.open(state) as journal:
        batch = journal.record(start_run(journal)[0], Allocated(at=NOW, allocation=ALLOCATION))
        assert batch.allocation == ALLOCATION, "this process still needs the URL"
        batch = journal.record(batch, AllocationLost(at=NOW, reason=f"PUT {URL} was answered with 403"))
        assert "topsecret" not in batch.reason
        assert batch.reason == "PUT https://storage.example/allocation-1?[hidden] was answered with 403"
        assert journal.batch(batch.id) == batch
        for file in state.rglob("*"):
            assert not file.is_file() or b"topsecret" not in file.read_bytes()
    assert b"topsecret" not in (state / "journal.db").read_bytes()


def test_batch_keeps_upload_url_within_the_process(journal: Journal) -> None:
    batch = journal.record(start_run(journal)[0], Allocated(at=NOW, allocation=ALLOCATION))
    batch = journal.record(batch, IntentRecorded(at=NOW, verb=Verb.UPLOAD))
    assert batch.allocation == ALLOCATION
    assert journal.record(batch, Uploaded(at=NOW)).phase is Phase.SUBMITTED


def test_poll_without_change_updates_row_and_stores_no_event(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0], EVENTS[:13])
    before = journal.events(batch.id)
    batch = journal.record(batch, StillRunning(at=LATER, vendor_status="Queued", retry_at=LATER + timedelta(hours=1)))
    assert journal.events(batch.id) == before
    assert journal.batch(batch.id) == codec.without_url(batch)
    assert (batch.polls, batch.vendor_status) == (1, "Queued")


def test_impossible_event_changes_nothing(journal: Journal) -> None:
    batch = start_run(journal)[0]
    serial = journal.serial
    with pytest.raises(ImpossibleEventError):
        journal.record(batch, Uploaded(at=NOW))
    assert (journal.batch(batch.id), journal.events(batch.id), journal.serial) == (batch, (), serial)


def test_batch_changed_by_another_process_is_refused(journal: Journal, state: Path) -> None:
    batch = start_run(journal)[0]
    with Journal.open(state) as other:
        updated = other.record(batch, IntentRecorded(at=NOW, verb=Verb.ALLOCATE))
    with pytest.raises(LockedError, match="changed by another process: it is prepared now"):
        journal.record(batch, IntentRecorded(at=NOW, verb=Verb.ALLOCATE))
    assert journal.batch(batch.id) == updated
    assert len(journal.events(batch.id)) == 1


def test_batch_missing_from_journal_is_refused(journal: Journal) -> None:
    with pytest.raises(LockedError, match="not in the journal"):
        journal.record(make_batch(make_run()), IntentRecorded(at=NOW, verb=Verb.ALLOCATE))


def test_record_refuses_delivered_event(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    with pytest.raises(ValueError, match="deliver"):
        journal.record(batch, DELIVERED)
    assert journal.batch(batch.id) == batch


def test_delivery_moves_baseline_stores_rejects_and_settles_run(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    after = journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=rejects(3, chunk=2))
    assert after.phase is Phase.DELIVERED
    assert journal.baseline("guests", batch.account_id) == make_baseline(batch)
    assert journal.baseline_files("guests") == (make_baseline(batch).segments[0].file,)
    assert journal.rejects_count(kind="rejected") == 3
    assert journal.open_batches() == journal.open_runs("guests") == ()
    run = journal.run(batch.run)
    assert (run.state, run.settled_at) == (RunState.SETTLED, LATER)
    assert journal.events(batch.id)[-1] == DELIVERED


def test_batch_that_needs_attention_keeps_run_open(journal: Journal) -> None:
    good, bad = start_run(journal, batches=2)
    journal.record(bad, Parked(at=NOW, reason="refused"))
    journal.deliver(record_all(journal, good), DELIVERED, baseline=None, rejects=())
    assert [batch.phase for batch in journal.open_batches()] == [Phase.NEEDS_ATTENTION]
    assert journal.run(good.run).state is RunState.PREPARED


def test_newer_baseline_replaces_older(journal: Journal) -> None:
    for seq, batch in enumerate(start_run(journal, batches=2)):
        journal.deliver(record_all(journal, batch), DELIVERED, baseline=make_baseline(batch, f"{seq}" * 64), rejects=())
    entry = journal.baseline("guests", "motorweb:acme")
    assert entry is not None
    assert [segment.digest for segment in entry.segments] == ["1" * 64]
    assert journal.baseline_files("guests") == ("111111111111.parquet",)


def test_run_awaiting_approval_has_no_batches(journal: Journal) -> None:
    run = make_run(state=RunState.AWAITING_APPROVAL, reason="the plan would remove 9 of 10")
    journal.start_run(run, (), rejects(2, "invalid"))
    assert journal.open_runs("guests") == (run,)
    with pytest.raises(ValueError, match="awaiting_approval"):
        journal.start_run(replace(run, id="guests-2", serial=2), [make_batch(run)], ())


def test_run_awaiting_approval_is_open_until_a_later_run(journal: Journal) -> None:
    journal.start_run(make_run(state=RunState.AWAITING_APPROVAL), (), ())
    start_run(journal, serial=2)
    assert [run.serial for run in journal.open_runs("guests")] == [2]
    assert [item.serial for item in journal.history("guests")] == [2, 1]


def test_run_with_nothing_to_send_is_settled_at_once(journal: Journal) -> None:
    run = make_run(counts=PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(unchanged=3)))
    journal.start_run(run, (), ())
    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.run(run.id).settled_at == run.created_at


def test_unknown_rows_are_resolved_together_with_the_baseline(journal: Journal) -> None:
    batch = record_all(journal, start_run(journal)[0])
    unknown = Reject(kind="unknown", key="K1", reason="the row log does not list this row")
    batch = journal.deliver(batch, DELIVERED, baseline=make_baseline(batch), rejects=[[unknown]])
    assert journal.unknown_keys(batch.id) == ("K1",)
    after = make_baseline(batch, "c" * 64)

    assert [reject.delivered for reject in journal.rejects(kind="unknown")] == [None]

    journal.resolve(batch, Resolved(at=LATER, delivered=True, reason="asked"), baseline=after)

    assert [reject.delivered for reject in journal.rejects(kind="unknown")] == [True]
    assert [item.delivered for item in journal.why("guests", "K1")] == [True]
    stored = journal.batch(batch.id)
    assert stored is not None
    assert stored.counts == OutcomeCounts.of(accepted=8, rejected=2)
    assert journal.baseline(batch.job, batch.account_id) == after
    assert journal.audit() == ()


def test_tick_is_claimed_with_its_run_or_not_at_all(journal: Journal) -> None:
    idle = PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(unchanged=3))
    journal.start_run(make_run(counts=idle), (), (), tick=NOW)
    assert journal.last_tick("guests") == NOW

    with pytest.raises(LockedError, match="tick"):
        journal.start_run(make_run(serial=2, counts=idle), (), (), tick=NOW)

    assert [item.serial for item in journal.history("guests")] == [1]


def test_run_that_would_lose_a_record_is_refused(journal: Journal) -> None:
    run = make_run(batches=2)
    with pytest.raises(UnbalancedError):
        journal.start_run(run, [make_batch(run)], ())
    with pytest.raises(UnbalancedError):
        journal.start_run(run, (), ())
    assert journal.history() == ()


@pytest.mark.parametrize(
    "changes", [{"job": "other"}, {"run": "guests-9"}, {"failures": 1}, {"phase": Phase.ALLOCATED}]
)
def test_run_starts_only_with_newly_prepared_batches(journal: Journal, changes: dict[str, object]) -> None:
    run = make_run()
    with pytest.raises(ValueError, match="not a newly prepared batch"):
        journal.start_run(run, [replace(make_batch(run), **changes)], ())  # type: ignore[arg-type]  # tests use existing fields
    assert journal.history() == ()


def test_serial_already_in_use_is_refused(journal: Journal) -> None:
    start_run(journal)
    with pytest.raises(LockedError, match="meanwhile"):
        start_run(journal)


def test_attempts_used_returns_highest_attempt(journal: Journal) -> None:
    batch = start_run(journal)[0]
    digest = batch.file.digest
    assert journal.attempts_used("guests", digest) == 1
    journal.record(batch, AllocationLost(at=NOW, reason="expired"))
    assert journal.attempts_used("guests", digest) == 2
    assert journal.attempts_used("vehicles", digest) == journal.attempts_used("guests", "0" * 64) == 0


def test_tick_is_claimed_once(journal: Journal) -> None:
    assert not journal.last_tick("guests", NOW)
    assert journal.last_tick("guests") is None
    assert journal.claim_tick("guests", LATER)
    assert journal.claim_tick("guests", NOW.astimezone(timezone(timedelta(hours=13))))
    assert not journal.claim_tick("guests", NOW)
    assert journal.last_tick("guests", NOW)
    assert journal.last_tick("guests") == LATER
    assert not journal.last_tick("vehicles", NOW)


def test_approval_applies_to_one_plan_of_one_job(journal: Journal) -> None:
    journal.approve("guests", "plan-1", "spring cleaning", NOW)
    journal.approve("guests", "plan-1", "still valid", NOW)
    assert journal.approved("guests", "plan-1")
    assert not journal.approved("guests", "plan-2")
    assert not journal.approved("vehicles", "plan-1")
    assert journal.approval("guests", "plan-1") == Approval(at=NOW, reason="still valid")
    assert journal.approval("guests", "plan-2") is None


def test_rejects_are_found_by_job_run_kind_and_key_and_are_grouped(journal: Journal) -> None:
    start_run(journal, "vehicles")
    run = make_run()
    journal.start_run(run, [make_batch(run)], rejects(5, "invalid"))
    batch = record_all(journal, make_batch(run))
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(3))
    assert journal.rejects_count() == journal.rejects_count("guests") == journal.rejects_count(run=run.id) == 8
    assert journal.rejects_count("vehicles") == 0
    assert [reject.reject.line for reject in journal.rejects("guests")] == [1, 2, 3, 4, 5, 1, 2, 3]
    assert {reject.batch for reject in journal.rejects(kind="invalid")} == {None}
    assert {(reject.batch, reject.at) for reject in journal.rejects(kind="rejected")} == {(batch.id, LATER)}
    assert [(group.kind, group.code, group.field, group.count) for group in journal.reject_groups(job="guests")] == [
        ("invalid", "E1", "email", 5),
        ("rejected", "E1", "email", 3),
    ]
    assert [item.reject.kind for item in journal.why("guests", "key-0000001")] == ["invalid", "rejected"]
    assert journal.why("guests", "key-0000004")[0].reject.retry
    assert journal.why("vehicles", "key-0000001") == ()


@pytest.mark.parametrize("key", ["", "'; DROP TABLE rejects; --", "a\0b", "\udcff broken", "日本 ✓", "x" * 100_000])
def test_hostile_key_is_stored_and_found(journal: Journal, key: str) -> None:
    run = make_run()
    row = Reject(kind="invalid", key=key, reason="bad \udcff " + "y" * 5000, code="\udcff", field="f\0")
    journal.start_run(run, [make_batch(run)], [[row]])
    (found,) = journal.why("guests", key)
    assert found.reject.key.encode() == key.encode("utf-8", "backslashreplace")
    assert len(found.reject.reason) == codec.TEXT_MAX


def test_timestamp_without_zone_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="time zone"):
        journal.claim_tick("guests", datetime(2026, 11, 22))  # noqa: DTZ001 - the subject of the test
    assert journal.last_tick("guests") is None


def test_unknown_run_is_an_error_and_unknown_batch_is_none(journal: Journal) -> None:
    with pytest.raises(UsageError, match="no run 'guests-9'"):
        journal.run("guests-9")
    assert journal.batch("missing") is None
    assert journal.last_run("guests") is None


def test_serial_rises_with_writes_only(journal: Journal) -> None:
    before = journal.serial
    journal.approve("guests", "p", "r", NOW)
    journal.open_batches()
    assert journal.serial == before + 1


def test_audit_of_sound_journal_is_empty(journal: Journal) -> None:
    first, second = start_run(journal, batches=2)
    journal.deliver(record_all(journal, first), DELIVERED, baseline=make_baseline(first), rejects=rejects(3))
    record_all(journal, second, EVENTS[:13])
    journal.start_run(make_run("vehicles", state=RunState.AWAITING_APPROVAL), (), ())
    assert journal.audit() == ()
