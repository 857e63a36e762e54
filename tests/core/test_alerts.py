"""Alerts on transitions: which condition begins and ends by which facts, each reported once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batchsync.core.alert_channels import (
    AppriseChannel,
    Channel,
    EmailChannel,
    WebhookChannel,
    recipients,
    references_of,
)
from batchsync.core.alert_conditions import (
    TRANSITIONS,
    Active,
    AlertCondition,
    Cause,
    Facts,
    Failure,
    Seen,
    Share,
    States,
)
from batchsync.core.alert_text import message_of, trial_message
from batchsync.core.alerts import Alert, evaluate, usual_limit

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LATE = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
FAILURE = Failure(NOW - MINUTE, "Source unreachable (BS-E003)")
REFERENCE = "${S}"
USUAL = [MINUTE * 20] * 10


def shares(newest: Share, *history: Share) -> list[Share]:
    return [newest, *history]


def conditions(facts: Facts, before: States | None = None) -> list[str]:
    """Return the transitions that facts make."""
    return [alert.transition for alert in evaluate(before or {}, facts, NOW, LATE).alerts]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"failure": FAILURE}, ["failing"]),
        ({"failure": FAILURE, "run_begun": NOW}, []),
        ({"failure": FAILURE, "run_begun": NOW - 2 * MINUTE}, ["failing"]),
        ({"failed_calls": 4}, []),
        ({"failed_calls": 5}, ["failing"]),
        ({"over_budget": True}, ["failing"]),
        ({"over_budget": False}, []),
        ({"held": True, "run": "guests-3"}, ["awaiting_approval"]),
        ({"attention": 2}, ["needs_attention"]),
        ({"tick": NOW - 2 * LATE, "ticks_known": True}, ["late"]),
        ({"tick": NOW - LATE, "ticks_known": True}, []),
        ({"tick": NOW + LATE, "ticks_known": True}, []),
        ({"tick": NOW - 2 * LATE}, []),
        # A job that cannot run is failing, and not late as well.
        ({"tick": NOW - 2 * LATE, "ticks_known": True, "failure": FAILURE}, ["failing"]),
        ({"age": 61 * MINUTE, "took": USUAL}, ["late"]),
        ({"age": 60 * MINUTE, "took": USUAL}, []),
        ({"age": 300 * MINUTE, "took": USUAL}, ["late"]),
        # Too few batches say nothing, and the floor holds where batches are fast.
        ({"age": 61 * MINUTE, "took": USUAL[:4]}, []),
        ({"age": 15 * MINUTE, "took": [MINUTE] * 20}, []),
        ({"age": 16 * MINUTE, "took": [MINUTE] * 20}, ["late"]),
        ({"rejected": [Share(40, 100), *[Share(10, 100)] * 5]}, ["rejects"]),
        ({"rejected": [Share(30, 100), *[Share(10, 100)] * 5]}, []),
        ({"rejected": [Share(40, 100), *[Share(10, 100)] * 4]}, []),
        ({"rejected": [Share(5, 5), *[Share(0, 100)] * 20]}, []),
        ({"rejected": [Share(6, 600), *[Share(0, 100)] * 20]}, []),
        ({"rejected": [Share(7, 600), *[Share(0, 100)] * 20]}, ["rejects"]),
        ({"invalid": [Share(40, 100), *[Share(0, 100)] * 20]}, ["rejects"]),
        # One bad run in the history does not make bad runs usual.
        ({"rejected": [Share(40, 100), Share(90, 100), *[Share(10, 100)] * 5]}, ["rejects"]),
    ],
)
def test_conditions_begin_by_their_facts(facts: dict[str, Any], expected: list[str]) -> None:
    assert conditions(Facts(job="guests", **facts)) == expected


def test_error_ends_with_the_first_run_after_it_and_not_before() -> None:
    states = evaluate({}, Facts(job="guests", failure=FAILURE), NOW, LATE).states
    for facts in (Facts(job="guests"), Facts(job="guests", run_begun=NOW - 2 * MINUTE)):
        assert evaluate(states, facts, NOW, LATE) == evaluate(states, Facts(job="guests"), NOW, LATE)
        assert conditions(facts, states) == []
    # It failed again in a run that had begun: that run is no recovery.
    again = Facts(job="guests", failure=Failure(NOW + 2 * MINUTE, "x"), run_begun=NOW + MINUTE)
    states = evaluate(states, again, NOW + 3 * MINUTE, LATE).states
    assert states == {Cause.ERROR: Active(NOW, NOW + 2 * MINUTE)}
    assert conditions(Facts(job="guests", run_begun=NOW + MINUTE), states) == []
    assert conditions(Facts(job="guests", run_begun=NOW + 3 * MINUTE), states) == ["recovered"]


def test_older_error_than_the_last_one_changes_nothing() -> None:
    states = {Cause.ERROR: Active(NOW, NOW)}
    assert evaluate(states, Facts(job="guests", failure=FAILURE), NOW, LATE).states == states


def test_jobs_file_recovers_when_it_was_loaded() -> None:
    states = evaluate({}, Facts(job="", failure=FAILURE), NOW, LATE).states
    assert conditions(Facts(job=""), states) == []
    assert conditions(Facts(job="", recovers=True), states) == ["recovered"]


def test_origin_is_late_when_it_cannot_be_asked_for_a_while() -> None:
    since = NOW - 2 * LATE
    assert conditions(Facts(job="", unasked=NOW - LATE)) == []
    states = evaluate({}, Facts(job="", unasked=since), NOW, LATE).states
    (alert,) = evaluate({}, Facts(job="", unasked=since), NOW, LATE).alerts
    assert (alert.transition, alert.command) == ("late", "batchsync status")
    assert alert.reason == "the branch or folder that serve follows cannot be asked since 2026-11-30 11:30Z"
    # A process that does not follow it, and one that was started meanwhile and cannot ask it either.
    assert conditions(Facts(job=""), states) == []
    assert conditions(Facts(job="", unasked=NOW), states) == []
    assert conditions(Facts(job="", asked=True), states) == ["recovered"]


def test_tick_stays_late_for_a_process_that_knows_no_ticks() -> None:
    states = evaluate({}, Facts(job="a", tick=NOW - 2 * LATE, ticks_known=True), NOW, LATE).states
    assert conditions(Facts(job="a"), states) == []
    assert conditions(Facts(job="a", ticks_known=True), states) == ["recovered"]


def test_second_cause_of_a_condition_is_no_second_alert() -> None:
    first = evaluate({}, Facts(job="a", failed_calls=9), NOW, LATE)
    both = evaluate(first.states, Facts(job="a", failed_calls=9, over_budget=True), NOW + MINUTE, LATE)
    assert (len(first.alerts), both.alerts) == (1, ())
    one = evaluate(both.states, Facts(job="a", over_budget=True), NOW + MINUTE, LATE)
    assert one.alerts == ()
    assert [item.transition for item in evaluate(one.states, Facts(job="a", over_budget=False), NOW, LATE).alerts] == [
        "recovered"
    ]


def test_alert_says_why_and_which_command_shows_more() -> None:
    facts = Facts(
        job="guests",
        run="guests-3",
        held=True,
        failed_calls=6,
        attention=1,
        age=timedelta(hours=9),
        took=USUAL,
        rejected=[Share(40, 100), *[Share(10, 100)] * 5],
    )
    alerts = evaluate({}, facts, NOW, LATE).alerts
    assert [(item.condition.value, item.reason, item.command) for item in alerts] == [
        ("failing", "the last 6 calls about a batch failed", "batchsync status guests"),
        ("awaiting_approval", "run guests-3 exceeds a guard, and nothing of it was sent", "batchsync plan guests"),
        ("needs_attention", "batches that need attention: 1", "batchsync status guests"),
        ("late", "a batch is with the vendor since 9 h, usual are 20 min", "batchsync status guests"),
        ("rejects", "40 of 100 records rejected", "batchsync rejects guests"),
    ]
    assert evaluate({}, Facts(job="", failure=FAILURE), NOW, LATE).alerts[0].command == "batchsync validate"


def test_usual_limit_needs_history_and_has_a_floor() -> None:
    assert usual_limit([1.0] * 4, 2.0) is None
    assert usual_limit([1.0] * 5, 2.0) == 3.0
    assert usual_limit([0.1] * 5, 2.0) == 2.0
    assert usual_limit([1.0] * 20 + [100.0] * 100, 0.0) == 3.0
    assert Share(1, 0).ratio == 0.0


def alert(condition: AlertCondition = AlertCondition.LATE, job: str = "guests", *, recovered: bool = False) -> Alert:
    return Alert(job=job, condition=condition, recovered=recovered, since=NOW, at=NOW + MINUTE, reason="r", command="c")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (alert(), ("all", "late")),
        (alert(AlertCondition.REJECTS), ("all",)),
        (alert(recovered=True), ("all",)),
        (alert(job="orders"), ("all",)),
        (alert(job="own"), ("late",)),
        (alert(job="quiet"), ()),
        (alert(job=""), ("all", "late")),
    ],
)
def test_channels_receive_what_they_select(found: Alert, expected: tuple[str, ...]) -> None:
    channels = [
        Channel(name="all", jobs=frozenset({"guests", "orders", "own"})),
        Channel(name="late", transitions=frozenset({"late"}), jobs=frozenset({"guests"})),
    ]
    assert recipients(found, channels, {"own": ("late",), "quiet": ()}) == expected


def test_references_are_listed_by_key() -> None:
    hook = WebhookChannel(name="a", shape="json", url="${U}", secret=REFERENCE)
    mail = EmailChannel(name="a", to=("a@b.c",), sender="a@b.c", host="h", port=25)
    assert references_of(hook) == {"url": "${U}", "secret": REFERENCE}
    assert references_of(mail) == {}
    assert references_of(AppriseChannel(name="a", urls=("${A}", "${B}"))) == {"apprise 1": "${A}", "apprise 2": "${B}"}


def test_message_has_subject_and_lines_for_people_and_members_for_programs() -> None:
    message = message_of(alert(), "prod")
    assert message.subject == "batchsync: guests is late (prod)"
    assert message.body == "reason: r\nsince: 2026-11-30T12:00:00Z\nenvironment: prod\nnext: c"
    ended = message_of(alert(job="", recovered=True), "")
    assert ended.subject == "batchsync: jobs file has recovered, and no longer is late"
    assert ended.to_dict() == {
        "id": "jobs-file.late.20261130T120000.000000Z.recovered",
        "transition": "recovered",
        "condition": "late",
        "job": "",
        "environment": "",
        "subject": ended.subject,
        "reason": "r",
        "command": "c",
        "since": "2026-11-30T12:00:00Z",
        "at": "2026-11-30T12:01:00Z",
    }
    assert trial_message("ops", "prod", NOW).subject == "batchsync: test of the alert channel ops"


def test_copy_of_what_was_seen_is_independent() -> None:
    seen = Seen()
    copied = seen.copy()
    seen.failures["a"] = FAILURE
    assert copied.failures == {}


FACTS = st.builds(
    Facts,
    job=st.just("guests"),
    failure=st.sampled_from([None, FAILURE, Failure(NOW + MINUTE, "x")]),
    run_begun=st.sampled_from([None, NOW - 5 * MINUTE, NOW, NOW + 5 * MINUTE]),
    held=st.booleans(),
    attention=st.integers(0, 2),
    failed_calls=st.integers(0, 9),
    over_budget=st.sampled_from([None, False, True]),
    age=st.sampled_from([None, MINUTE, 100 * MINUTE]),
    took=st.sampled_from([[], USUAL]),
    rejected=st.sampled_from([[], [Share(40, 100), *[Share(1, 100)] * 5]]),
    tick=st.sampled_from([None, NOW - 2 * LATE, NOW + LATE]),
    ticks_known=st.booleans(),
)


class Alternation(RuleBasedStateMachine):
    """Whatever happens, each condition alternates between begun and ended, and each transition is reported once."""

    def __init__(self) -> None:
        super().__init__()
        self.states: States = {}
        self.reported: dict[AlertCondition, bool] = {}
        self.ids: list[str] = []
        self.now = NOW

    @rule(facts=FACTS)
    def evaluated(self, facts: Facts) -> None:
        self.now += MINUTE
        found = evaluate(self.states, facts, self.now, LATE)
        for item in found.alerts:
            assert self.reported.get(item.condition, False) == item.recovered
            self.reported[item.condition] = not item.recovered
            self.ids.append(item.id)
        self.states = found.states

    @rule(facts=FACTS)
    def evaluated_twice(self, facts: Facts) -> None:
        self.evaluated(facts)
        again = evaluate(self.states, facts, self.now, LATE)
        assert (again.alerts, again.states) == ((), self.states)

    @invariant()
    def reported_conditions_hold(self) -> None:
        holding = {cause.condition for cause in self.states}
        assert {condition for condition, began in self.reported.items() if began} == holding
        assert len(self.ids) == len(set(self.ids))


TestAlternation = Alternation.TestCase
TestAlternation.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_every_transition_can_be_selected() -> None:
    assert (*(item.value for item in AlertCondition), "recovered") == TRANSITIONS
