"""What goes into the journal comes out again, and what must not be kept is not kept."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import (
    DELIVERED,
    LATER,
    LIFE,
    NOW,
    SLOT,
    URL,
    a_baseline,
    a_batch,
    a_run,
    lived,
    rejects,
    started,
)

from lading.core.accounting import Tally, UnbalancedError
from lading.core.batch import Books, Phase, Slot, Verb, Verdict
from lading.core.events import (
    Allocated,
    Announced,
    Event,
    GaveUp,
    Resolved,
    SlotLost,
    StillRunning,
    Uploaded,
    Withdrawn,
)
from lading.core.lifecycle import ImpossibleEventError
from lading.core.run import RunState
from lading.errors import LockedError, UsageError
from lading.journal import Approval, Journal, codec
from lading.ports import Reject

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_comes_back_as_it_went_in(journal: Journal) -> None:
    run = a_run(high_water="2026-11-21", reason="")
    batches = [a_batch(run)]
    journal.start_run(run, batches, rejects(2, "invalid"))
    assert journal.run(run.id) == run
    assert journal.last_run("guests") == run
    assert journal.history() == (run,)
    assert journal.open_runs("guests") == (run,)
    assert journal.batches(run.id) == tuple(batches)
    assert journal.open_batches() == journal.open_batches("guests") == tuple(batches)
    assert journal.batch(batches[0].id) == batches[0]
    assert [one.reject for one in journal.rejects(run=run.id)] == list(next(iter(rejects(2, "invalid"))))
    assert journal.next_serial("guests") == 2
    assert journal.next_serial("vehicles") == 1


def test_a_journal_that_is_opened_again_says_the_same(state: Path) -> None:
    with Journal.open(state, lineage="lineage-1") as journal:
        batch = lived(journal, started(journal)[0])
        events = journal.events(batch.id)
    with Journal.open(state) as again, Journal.open(state, read_only=True) as reader:
        for one in (again, reader):
            assert one.batch(batch.id) == codec.without_url(batch)
            assert one.events(batch.id) == events
            assert one.lineage == "lineage-1"


def test_every_kind_of_event_comes_back_as_it_went_in(journal: Journal) -> None:
    batch = journal.record(lived(journal, started(journal)[0]), GaveUp(at=LATER, reason="x", verb=Verb.COLLECT))
    other = journal.record(started(journal, "vehicles")[0], Withdrawn(at=NOW, reason="by hand"))
    third = journal.record(started(journal, "orders")[0], GaveUp(at=NOW, reason="nobody knows"))
    journal.record(third, Resolved(at=LATER, delivered=False, reason="asked by telephone"))
    expected = [one for one in LIFE if not isinstance(one, StillRunning)]
    expected = [
        replace(one, slot=replace(one.slot, url=None)) if isinstance(one, Allocated) else one for one in expected
    ]
    told = journal.events(batch.id)
    assert told[:-1] == tuple(expected)
    kinds = {type(one) for one in (*told, *journal.events(other.id), *journal.events(third.id))}
    assert kinds == set(get_args(Event)) - {StillRunning, type(DELIVERED)}


AT = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=13)), timezone(timedelta(hours=-9.5))]))
TEXT = st.text(max_size=50).map(codec.clean)
MEMBERS = {
    "at": AT,
    "reason": TEXT,
    "word": TEXT,
    "look_again_at": AT,
    "verb": st.sampled_from(Verb),
    "verdict": st.sampled_from(Verdict),
    "books": st.builds(Books),
    "slot": st.builds(Slot, id=TEXT, url=st.none(), until=st.none() | AT),
    "delivered": st.booleans(),
    "expired": st.booleans(),
}
SAMPLES = st.one_of(
    *(st.builds(kind, **{one.name: MEMBERS[one.name] for one in fields(kind)}) for kind in get_args(Event))
)


@given(event=SAMPLES)
def test_any_event_survives_its_text(event: Event) -> None:
    again = codec.read_event(type(event).__name__, codec.iso(event.at), codec.event_payload(event))
    assert again == event
    assert again.at.utcoffset() == timedelta(0)


def test_the_url_and_its_signature_are_nowhere_in_the_files(state: Path) -> None:
    with Journal.open(state) as journal:
        batch = journal.record(started(journal)[0], Allocated(at=NOW, slot=SLOT))
        assert batch.slot == SLOT, "this process still needs the URL"
        batch = journal.record(batch, SlotLost(at=NOW, reason=f"PUT {URL} was answered with 403"))
        assert "topsecret" not in batch.reason
        assert batch.reason == "PUT https://storage.example/slot-1?[hidden] was answered with 403"
        assert journal.batch(batch.id) == batch
        for file in state.rglob("*"):
            assert not file.is_file() or b"topsecret" not in file.read_bytes()
    assert b"topsecret" not in (state / "journal.db").read_bytes()


def test_a_batch_goes_on_with_its_url_in_the_process_that_knows_it(journal: Journal) -> None:
    batch = journal.record(started(journal)[0], Allocated(at=NOW, slot=SLOT))
    batch = journal.record(batch, Announced(at=NOW, verb=Verb.UPLOAD))
    assert batch.slot == SLOT
    assert journal.record(batch, Uploaded(at=NOW)).phase is Phase.SUBMITTED


def test_a_heartbeat_moves_the_row_and_is_no_event(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0], LIFE[:11])
    before = journal.events(batch.id)
    batch = journal.record(batch, StillRunning(at=LATER, word="Queued", look_again_at=LATER + timedelta(hours=1)))
    assert journal.events(batch.id) == before
    assert journal.batch(batch.id) == codec.without_url(batch)
    assert (batch.polls, batch.word) == (1, "Queued")


def test_an_impossible_event_leaves_everything_as_it_was(journal: Journal) -> None:
    batch = started(journal)[0]
    serial = journal.serial
    with pytest.raises(ImpossibleEventError):
        journal.record(batch, Uploaded(at=NOW))
    assert (journal.batch(batch.id), journal.events(batch.id), journal.serial) == (batch, (), serial)


def test_a_batch_that_somebody_else_moved_is_not_moved_again(journal: Journal, state: Path) -> None:
    batch = started(journal)[0]
    with Journal.open(state) as other:
        moved = other.record(batch, Announced(at=NOW, verb=Verb.ALLOCATE))
    with pytest.raises(LockedError, match="moved by somebody else: it is prepared now"):
        journal.record(batch, Announced(at=NOW, verb=Verb.ALLOCATE))
    assert journal.batch(batch.id) == moved
    assert len(journal.events(batch.id)) == 1


def test_a_batch_that_is_not_in_the_journal_cannot_be_moved(journal: Journal) -> None:
    with pytest.raises(LockedError, match="not in the journal"):
        journal.record(a_batch(a_run()), Announced(at=NOW, verb=Verb.ALLOCATE))


def test_a_delivery_is_recorded_by_its_own_door_only(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    with pytest.raises(ValueError, match="deliver"):
        journal.record(batch, DELIVERED)
    assert journal.batch(batch.id) == batch


def test_a_delivery_moves_the_baseline_and_keeps_the_rejects_and_settles_the_run(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    after = journal.deliver(batch, DELIVERED, baseline=a_baseline(batch), rejects=rejects(3, chunk=2))
    assert after.phase is Phase.DELIVERED
    assert journal.baseline("guests", batch.identity) == a_baseline(batch)
    assert journal.baseline_files("guests") == (a_baseline(batch).segments[0].file,)
    assert journal.rejects_count(kind="rejected") == 3
    assert journal.open_batches() == journal.open_runs("guests") == ()
    run = journal.run(batch.run)
    assert (run.state, run.settled_at) == (RunState.SETTLED, LATER)
    assert journal.events(batch.id)[-1] == DELIVERED


def test_a_stuck_batch_keeps_its_run_open(journal: Journal) -> None:
    good, bad = started(journal, batches=2)
    journal.record(bad, GaveUp(at=NOW, reason="refused"))
    journal.deliver(lived(journal, good), DELIVERED, baseline=None, rejects=())
    assert [one.phase for one in journal.open_batches()] == [Phase.STUCK]
    assert journal.run(good.run).state is RunState.PREPARED


def test_a_newer_baseline_takes_the_place_of_the_older(journal: Journal) -> None:
    for seq, batch in enumerate(started(journal, batches=2)):
        journal.deliver(lived(journal, batch), DELIVERED, baseline=a_baseline(batch, f"{seq}" * 64), rejects=())
    entry = journal.baseline("guests", "motorweb:acme")
    assert entry is not None
    assert [one.digest for one in entry.segments] == ["1" * 64]
    assert journal.baseline_files("guests") == ("111111111111.parquet",)


def test_a_held_run_has_no_batches(journal: Journal) -> None:
    run = a_run(state=RunState.HELD, reason="the plan would remove 9 of 10")
    journal.start_run(run, (), rejects(2, "invalid"))
    assert journal.open_runs("guests") == (run,)
    with pytest.raises(ValueError, match="held"):
        journal.start_run(replace(run, id="guests-2", serial=2), [a_batch(run)], ())


def test_a_held_run_is_open_until_a_later_run_takes_its_place(journal: Journal) -> None:
    journal.start_run(a_run(state=RunState.HELD), (), ())
    started(journal, serial=2)
    assert [one.serial for one in journal.open_runs("guests")] == [2]
    assert [one.serial for one in journal.history("guests")] == [2, 1]


def test_a_run_with_nothing_to_send_is_settled_at_once(journal: Journal) -> None:
    run = a_run(tally=Tally(source_rows=3, selected=3, unchanged=3))
    journal.start_run(run, (), ())
    assert journal.run(run.id).state is RunState.SETTLED
    assert journal.run(run.id).settled_at == run.created_at


def test_what_was_unknown_is_resolved_together_with_the_baseline(journal: Journal) -> None:
    batch = lived(journal, started(journal)[0])
    unknown = Reject(kind="unknown", key="K1", reason="the vendor's log does not speak of this row")
    batch = journal.deliver(batch, DELIVERED, baseline=a_baseline(batch), rejects=[[unknown]])
    assert journal.unknown_keys(batch.id) == ("K1",)
    after = a_baseline(batch, "c" * 64)

    assert [one.delivered for one in journal.rejects(kind="unknown")] == [None]

    journal.resolve(batch, Resolved(at=LATER, delivered=True, reason="asked"), baseline=after)

    assert [one.delivered for one in journal.rejects(kind="unknown")] == [True]
    assert [one.delivered for one in journal.why("guests", "K1")] == [True]
    stored = journal.batch(batch.id)
    assert stored is not None
    assert stored.books == Books(accepted=8, rejected=2)
    assert journal.baseline(batch.job, batch.identity) == after
    assert journal.audit() == ()


def test_a_schedule_slot_is_claimed_with_its_run_or_not_at_all(journal: Journal) -> None:
    idle = Tally(source_rows=3, selected=3, unchanged=3)
    journal.start_run(a_run(tally=idle), (), (), slot=NOW)
    assert journal.slot_done("guests") == NOW

    with pytest.raises(LockedError, match="slot"):
        journal.start_run(a_run(serial=2, tally=idle), (), (), slot=NOW)

    assert [one.serial for one in journal.history("guests")] == [1]


def test_a_run_that_would_lose_a_record_is_refused_whole(journal: Journal) -> None:
    run = a_run(batches=2)
    with pytest.raises(UnbalancedError):
        journal.start_run(run, [a_batch(run)], ())
    with pytest.raises(UnbalancedError):
        journal.start_run(run, (), ())
    assert journal.history() == ()


@pytest.mark.parametrize(
    "changes", [{"job": "other"}, {"run": "guests-9"}, {"failures": 1}, {"phase": Phase.ALLOCATED}]
)
def test_only_fresh_batches_of_the_run_may_begin(journal: Journal, changes: dict[str, object]) -> None:
    run = a_run()
    with pytest.raises(ValueError, match="not a fresh batch"):
        journal.start_run(run, [replace(a_batch(run), **changes)], ())  # type: ignore[arg-type]  # names real members
    assert journal.history() == ()


def test_a_serial_that_somebody_else_took_is_refused(journal: Journal) -> None:
    started(journal)
    with pytest.raises(LockedError, match="meanwhile"):
        started(journal)


def test_the_next_attempt_goes_on_after_the_greatest_ever_used(journal: Journal) -> None:
    batch = started(journal)[0]
    digest = batch.file.digest
    assert journal.attempts_used("guests", digest) == 1
    journal.record(batch, SlotLost(at=NOW, reason="expired"))
    assert journal.attempts_used("guests", digest) == 2
    assert journal.attempts_used("vehicles", digest) == journal.attempts_used("guests", "0" * 64) == 0


def test_a_slot_of_the_schedule_is_claimed_once(journal: Journal) -> None:
    assert not journal.slot_done("guests", NOW)
    assert journal.slot_done("guests") is None
    assert journal.claim_slot("guests", LATER)
    assert journal.claim_slot("guests", NOW.astimezone(timezone(timedelta(hours=13))))
    assert not journal.claim_slot("guests", NOW)
    assert journal.slot_done("guests", NOW)
    assert journal.slot_done("guests") == LATER
    assert not journal.slot_done("vehicles", NOW)


def test_an_approval_is_for_one_plan_of_one_job(journal: Journal) -> None:
    journal.approve("guests", "plan-1", "spring cleaning", NOW)
    journal.approve("guests", "plan-1", "still so", NOW)
    assert journal.approved("guests", "plan-1")
    assert not journal.approved("guests", "plan-2")
    assert not journal.approved("vehicles", "plan-1")
    assert journal.approval("guests", "plan-1") == Approval(at=NOW, reason="still so")
    assert journal.approval("guests", "plan-2") is None


def test_rejects_are_found_by_job_run_kind_and_key_and_are_grouped(journal: Journal) -> None:
    started(journal, "vehicles")
    run = a_run()
    journal.start_run(run, [a_batch(run)], rejects(5, "invalid"))
    batch = lived(journal, a_batch(run))
    journal.deliver(batch, DELIVERED, baseline=None, rejects=rejects(3))
    assert journal.rejects_count() == journal.rejects_count("guests") == journal.rejects_count(run=run.id) == 8
    assert journal.rejects_count("vehicles") == 0
    assert [one.reject.line for one in journal.rejects("guests", limit=2, offset=5)] == [1, 2]
    assert {one.batch for one in journal.rejects(kind="invalid")} == {None}
    assert {(one.batch, one.at) for one in journal.rejects(kind="rejected")} == {(batch.id, LATER)}
    assert [(one.kind, one.code, one.field, one.count) for one in journal.reject_groups(job="guests")] == [
        ("invalid", "E1", "email", 5),
        ("rejected", "E1", "email", 3),
    ]
    assert [one.reject.kind for one in journal.why("guests", "key-0000001")] == ["invalid", "rejected"]
    assert journal.why("guests", "key-0000004")[0].reject.retry
    assert journal.why("vehicles", "key-0000001") == ()


@pytest.mark.parametrize("key", ["", "'; DROP TABLE rejects; --", "a\0b", "\udcff broken", "日本 ✓", "x" * 100_000])
def test_a_hostile_key_is_kept_and_found(journal: Journal, key: str) -> None:
    run = a_run()
    row = Reject(kind="invalid", key=key, reason="bad \udcff " + "y" * 5000, code="\udcff", field="f\0")
    journal.start_run(run, [a_batch(run)], [[row]])
    (found,) = journal.why("guests", key)
    assert found.reject.key.encode() == key.encode("utf-8", "backslashreplace")
    assert len(found.reject.reason) == codec.TEXT_MAX


def test_live_files_are_those_of_open_batches_and_of_baselines(journal: Journal) -> None:
    first, second = started(journal, batches=2)
    both = {one for batch in (first, second) for one in (batch.file.path, batch.file.evidence)}
    assert journal.live_files() == both
    journal.deliver(lived(journal, first), DELIVERED, baseline=a_baseline(first), rejects=())
    assert journal.live_files() == {second.file.path, second.file.evidence, a_baseline(first).segments[0].file}


def test_a_moment_without_a_zone_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="time zone"):
        journal.claim_slot("guests", datetime(2026, 11, 22))  # noqa: DTZ001 - that is the point
    assert journal.slot_done("guests") is None


def test_an_unknown_run_is_said_to_be_unknown_and_an_unknown_batch_is_none(journal: Journal) -> None:
    with pytest.raises(UsageError, match="no run 'guests-9'"):
        journal.run("guests-9")
    assert journal.batch("nobody") is None
    assert journal.last_run("guests") is None


def test_the_serial_rises_with_each_write_and_with_no_question(journal: Journal) -> None:
    before = journal.serial
    journal.approve("guests", "p", "r", NOW)
    journal.open_batches()
    assert journal.serial == before + 1


def test_a_sound_journal_audits_clean(journal: Journal) -> None:
    one, two = started(journal, batches=2)
    journal.deliver(lived(journal, one), DELIVERED, baseline=a_baseline(one), rejects=rejects(3))
    lived(journal, two, LIFE[:13])
    journal.start_run(a_run("vehicles", state=RunState.HELD), (), ())
    assert journal.audit() == ()
