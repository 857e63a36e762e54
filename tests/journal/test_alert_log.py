"""Alerts in the journal: transitions with their messages in one transaction, each message claimed by one process."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from journal_samples import LATER, NOW, make_run

from batchsync.core.accounting import PlanCounts
from batchsync.core.alert_conditions import Active, Cause, Share, States
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.journal import AlertChanges, AlertMessage, Journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HELD: States = {Cause.HELD: Active(NOW, LATER)}
MESSAGE = AlertMessage(id="guests.held", channel="ops", content={"subject": "guests awaits approval"})
CHANGES = AlertChanges(states={"guests": HELD}, messages=(MESSAGE, replace(MESSAGE, channel="mail")))


class Crash(BaseException):
    """End of a process."""


def change(journal: Journal, changes: AlertChanges = CHANGES) -> None:
    journal.change_alerts(lambda _: changes, NOW)


def test_states_and_messages_are_read_as_they_were_written(journal: Journal) -> None:
    change(journal)
    assert journal.alert_states() == {"guests": HELD}
    first, second = journal.pending_alerts(NOW)
    assert (first.id, first.channel, first.content, first.at, first.attempts) == (
        "guests.held",
        "ops",
        {"subject": "guests awaits approval"},
        NOW,
        0,
    )
    assert second.channel == "mail"
    assert journal.pending_alerts(NOW - timedelta(seconds=1)) == ()
    change(journal, AlertChanges(states={"guests": {}}, messages=()))
    assert journal.alert_states() == {}


def test_changes_are_decided_by_the_states_of_the_transaction(journal: Journal) -> None:
    change(journal)
    given: list[Mapping[str, States]] = []

    def decide(states: Mapping[str, States]) -> AlertChanges:
        given.append(states)
        return AlertChanges(states={}, messages=())

    journal.change_alerts(decide, LATER)
    assert given == [{"guests": HELD}]


def test_message_of_a_transition_is_written_once_for_a_channel(journal: Journal) -> None:
    change(journal)
    change(journal)
    assert len(journal.pending_alerts(NOW)) == 2


@pytest.mark.parametrize("point", ["change_alerts:begin", "change_alerts:messages", "change_alerts:commit"])
def test_crash_leaves_neither_states_nor_messages(state: Path, point: str) -> None:
    def fail(name: str) -> None:
        if name == point:
            raise Crash

    with Journal.open(state, failpoint=fail) as journal, pytest.raises(Crash):
        change(journal)
    with Journal.open(state) as journal:
        assert (journal.alert_states(), journal.pending_alerts(LATER)) == ({}, ())
        change(journal)
        assert len(journal.pending_alerts(LATER)) == 2


def test_one_of_two_processes_sends_a_message(state: Path) -> None:
    with Journal.open(state) as one, Journal.open(state) as other:
        change(one)
        seen = one.pending_alerts(NOW)[0], other.pending_alerts(NOW)[0]
        assert seen[0] == seen[1]
        assert one.claim_alert(seen[0], NOW, LATER)
        assert not other.claim_alert(seen[1], NOW, LATER)
        # Until then it belongs to the first, which may have died.
        assert [item.channel for item in other.pending_alerts(NOW)] == ["mail"]
        again = other.pending_alerts(LATER)[0]
        assert (again.channel, again.attempts) == ("ops", 1)
        assert other.claim_alert(again, LATER, LATER + timedelta(minutes=1))


def test_sent_dropped_and_postponed_messages(journal: Journal) -> None:
    change(journal)
    ops, mail = journal.pending_alerts(NOW)
    journal.end_alert(ops, sent=True)
    journal.postpone_alert(ops, NOW)
    journal.postpone_alert(mail, LATER)
    assert journal.pending_alerts(NOW) == ()
    assert [item.channel for item in journal.pending_alerts(LATER)] == ["mail"]
    journal.end_alert(mail, sent=False)
    assert journal.pending_alerts(LATER) == ()


def test_message_waits_for_an_older_one_of_its_channel(journal: Journal) -> None:
    change(journal)
    later = replace(MESSAGE, id="guests.held.recovered")
    journal.change_alerts(lambda _: AlertChanges(states={}, messages=(later,)), NOW)
    first = journal.pending_alerts(NOW)[0]
    journal.postpone_alert(first, LATER)
    assert [item.channel for item in journal.pending_alerts(NOW)] == ["mail"]
    assert [item.id for item in journal.pending_alerts(LATER) if item.channel == "ops"] == [MESSAGE.id, later.id]


def test_old_messages_are_deleted_unless_they_wait(state: Path) -> None:
    with Journal.open(state) as journal:
        change(journal)
        journal.end_alert(journal.pending_alerts(NOW)[0], sent=True)
        journal.change_alerts(lambda _: AlertChanges(states={}, messages=()), NOW + timedelta(days=31))
    with closing(sqlite3.connect(state / "journal.db")) as db:
        assert db.execute("SELECT channel FROM alert_messages").fetchall() == [("mail",)]


def test_causes_of_a_newer_version_are_left_out(state: Path) -> None:
    with Journal.open(state) as journal:
        change(journal)
    with closing(sqlite3.connect(state / "journal.db")) as db, db:
        db.execute("UPDATE alert_causes SET cause = 'haunted'")
    with Journal.open(state) as journal:
        assert journal.alert_states() == {}


def test_shares_are_of_the_newest_settled_runs(journal: Journal) -> None:
    assert (journal.refused_shares("guests", 5), journal.last_settled("guests")) == (((), ()), "")
    for serial in range(1, 4):
        counts = PlanCounts(selected=10, outcomes=OutcomeCounts.of(unchanged=10 - serial, invalid=serial))
        journal.start_run(make_run(serial=serial, counts=counts), (), ())
    # Nothing was sent, so nothing could be rejected.
    assert journal.refused_shares("guests", 2) == ((), (Share(3, 10), Share(2, 10)))
    assert journal.last_settled("guests") == "guests-3"
