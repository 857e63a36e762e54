"""Evaluation and delivery of alerts: each transition once, whatever dies, at most one message again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.core.accounting import PlanCounts
from batchsync.core.alert_channels import AlertSettings, EmailChannel, WebhookChannel
from batchsync.core.alert_conditions import Failure, Seen
from batchsync.core.guards import Budget, Limit
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import Run, RunId, RunState
from batchsync.core.schedule import Schedule
from batchsync.errors import UnavailableError
from batchsync.journal import Journal
from batchsync.observers import alert_engine
from batchsync.observers.alert_engine import AlertEngine, Means, Watch
from batchsync.observers.alert_facts import Schedules, WatchedJob
from batchsync.observers.delivery import DeliveryError, Secrets

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.alert_channels import AnyChannel
    from batchsync.core.alert_text import Message

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
JOB = WatchedJob(
    name="guests",
    all_names=frozenset({"guests"}),
    budget=Budget(invalid=Limit(count=10**6)),
    schedule=Schedule(every=HOUR),
    peers=frozenset({"guests"}),
)
OPS = WebhookChannel(name="ops", shape="json", url="${OPS}", jobs=frozenset({"guests"}))
MAIL = EmailChannel(
    name="mail", to=("a@example.com",), sender="b@example.com", host="localhost", port=1, jobs=frozenset({"guests"})
)
WATCH = Watch(settings=AlertSettings(channels=(OPS, MAIL)), jobs=(JOB,), environment="prod")
QUIET = Seen()
FAILED = Seen(failures={"guests": Failure(NOW, "Disk is full (BS-E003)")})


class Crash(BaseException):
    """End of a process."""


@dataclass
class Outside:
    """What is outside of the process: channels, whose deliveries are kept, and the points at which it dies.

    Attributes:
        sent: Channel and id of each delivered message.
        broken: Channels that do not take messages.
        unresolved: Channels whose references have no value.
        dies_at: Points of write transactions at which the process dies, with the number of times passed before.
    """

    sent: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    unresolved: set[str] = field(default_factory=set)
    urls: dict[str, str] = field(default_factory=lambda: {"url": "http://localhost/"})
    warnings: list[str] = field(default_factory=list)
    dies_at: Counter[str] = field(default_factory=Counter)

    def send(self, channel: AnyChannel, _secrets: Secrets, message: Message, _now: datetime) -> None:
        if channel.name in self.broken:
            raise DeliveryError("HTTP 503")
        self.sent.append((channel.name, message.id))

    def secrets(self, channel: AnyChannel) -> Secrets:
        if channel.name in self.unresolved:
            raise UnavailableError("OPS is not set", hint="export OPS=...")
        return Secrets(values=self.urls)

    def failpoint(self, name: str) -> None:
        if name in self.dies_at:
            self.dies_at[name] -= 1
            if self.dies_at[name] < 0:
                del self.dies_at[name]
                raise Crash

    def means(self, *, only_local: bool = False) -> Means:
        return Means(
            secrets=self.secrets,
            ping=lambda settings: Secrets(values={"ping": settings.ping}),
            only_local=only_local,
            warn=self.warnings.append,
        )

    def transitions(self, channel: str = "ops") -> list[str]:
        """Return the transitions that a channel got since the last call."""
        found = [message.split(".", 1)[1].rpartition(".")[2] for name, message in self.sent if name == channel]
        self.sent = [item for item in self.sent if item[0] != channel]
        return found


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    found = Outside()
    monkeypatch.setattr(alert_engine, "send", found.send)
    return found


def schedules(*, running: bool = False, served: frozenset[str] | None = None) -> Schedules:
    return Schedules(served, lambda _, after: after + HOUR, lambda _: running)


def step(state: Path, outside: Outside, at: datetime, seen: Seen = QUIET, watch: Watch = WATCH, **means: bool) -> None:
    """Let one process evaluate and deliver."""
    with Journal.open(state, failpoint=outside.failpoint) as journal:
        AlertEngine(journal, schedules(), outside.means(**means)).step(watch, seen, at)


def run(state: Path, serial: int, at: datetime, *, invalid: int = 0, held: bool = False) -> None:
    """Journal a run without batches of 100 records, of which some are invalid, or one that awaits approval."""
    counts = PlanCounts(selected=100, outcomes=OutcomeCounts.of(unchanged=100 - invalid, invalid=invalid))
    if held:
        counts = PlanCounts(selected=100, outcomes=OutcomeCounts.of(unchanged=90), removed=10)
    with Journal.open(state) as journal:
        journal.start_run(
            Run(
                id=RunId(f"guests-{serial}"),
                job="guests",
                serial=serial,
                spec_hash="f" * 64,
                account_id="a",
                state=RunState.AWAITING_APPROVAL if held else RunState.PREPARED,
                created_at=at,
                counts=counts,
                plan=f"plan-{serial}",
            ),
            (),
            (),
        )


def test_restarts_and_other_processes_repeat_nothing(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    for minute in range(5):
        step(state, outside, NOW + minute * MINUTE, FAILED)
        step(state, outside, NOW + minute * MINUTE)
    assert (outside.transitions(), outside.transitions("mail")) == (["began"], ["began"])
    run(state, 1, NOW + 6 * MINUTE)
    for minute in range(7, 10):
        step(state, outside, NOW + minute * MINUTE)
    assert outside.transitions() == ["recovered"]


#: Points of the three write transactions of a transition: recorded, claimed, and recorded as sent.
POINTS = [
    f"{write}:{point}"
    for write in ("change_alerts", "claim_alert", "end_alert")
    for point in ("begin", "commit", "committed")
]


@pytest.mark.parametrize("passed", [0, 1])
@pytest.mark.parametrize("point", POINTS)
def test_death_at_any_point_loses_nothing_and_repeats_at_most_one_message(
    tmp_path: Path, outside: Outside, point: str, passed: int
) -> None:
    state = tmp_path / "state"
    Journal.open(state).close()
    outside.dies_at[point] = passed
    try:
        step(state, outside, NOW, FAILED)
    except Crash:
        died = True
    else:
        died = False
    assert died is (passed == 0 or not point.startswith("change_alerts"))
    for minute in range(1, 6):
        step(state, outside, NOW + minute * MINUTE, FAILED)
    counts = Counter(outside.sent)
    assert {channel for channel, _ in counts} == {"ops", "mail"}
    assert len({message for _, message in counts}) == 1
    # Only between sending and recording is a message repeated, and only that one.
    repeated = point in ("end_alert:begin", "end_alert:commit")
    assert sorted(counts.values()) == ([1, 2] if repeated else [1, 1])


def test_broken_channel_waits_longer_each_time_and_keeps_its_order(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    outside.broken = {"ops"}
    attempts = []
    for minute in range(200):
        before = len(outside.warnings)
        step(state, outside, NOW + minute * MINUTE, FAILED)
        attempts += [minute] if len(outside.warnings) > before else []
    # Each process reports its first failure.
    assert attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert outside.transitions("mail") == ["began"]
    run(state, 1, NOW + 190 * MINUTE)
    step(state, outside, NOW + 200 * MINUTE)
    outside.broken = set()
    # The recovery is not sent before what it ends.
    step(state, outside, NOW + 201 * MINUTE)
    step(state, outside, NOW + 300 * MINUTE)
    assert outside.transitions() == ["began", "recovered"]


def test_failure_of_a_channel_is_reported_once_until_it_works(tmp_path: Path, outside: Outside) -> None:
    with Journal.open(tmp_path / "state") as journal:
        engine = AlertEngine(journal, schedules(), outside.means())
        outside.broken = {"ops"}
        for minute in range(100):
            engine.step(WATCH, FAILED, NOW + minute * MINUTE)
        assert outside.warnings == ["alerts: ops: HTTP 503; what waits is sent by the next command, or by serve"]
        outside.unresolved = {"ops"}
        engine.step(WATCH, FAILED, NOW + 200 * MINUTE)
        assert outside.warnings[1:] == [
            "alerts: ops: OPS is not set; export OPS=...; what waits is sent by the next command, or by serve"
        ]


def test_old_message_and_message_to_a_removed_channel_are_dropped(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    outside.broken = {"ops", "mail"}
    step(state, outside, NOW, FAILED)
    outside.broken = set()
    step(state, outside, NOW + 5 * MINUTE, watch=replace(WATCH, settings=AlertSettings(channels=(OPS,))))
    step(state, outside, NOW + 10 * MINUTE)
    assert (outside.transitions("mail"), outside.transitions()) == ([], ["began"])
    outside.broken = {"ops"}
    run(state, 1, NOW + 11 * MINUTE)
    step(state, outside, NOW + 12 * MINUTE)
    outside.broken = set()
    step(state, outside, NOW + timedelta(days=2))
    assert outside.transitions() == []


def test_trial_sends_to_this_machine_only(tmp_path: Path, outside: Outside) -> None:
    outside.urls = {"url": "https://hooks.example.com/"}
    step(tmp_path / "away", outside, NOW, FAILED, only_local=True)
    outside.unresolved = {"ops"}
    step(tmp_path / "unresolved", outside, NOW, FAILED, only_local=True)
    assert (outside.transitions(), outside.transitions("mail"), outside.warnings) == ([], ["began", "began"], [])


def test_jobs_that_are_gone_are_forgotten_without_a_recovery(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    step(state, outside, NOW, FAILED)
    step(state, outside, NOW + MINUTE, watch=replace(WATCH, jobs=()))
    assert outside.transitions() == ["began"]
    with Journal.open(state) as journal:
        assert journal.alert_states() == {}


def test_jobs_file_that_cannot_be_loaded(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    step(state, outside, NOW, Seen(file_failure=Failure(NOW, "the changed jobs file cannot be used")))
    step(state, outside, NOW + MINUTE, Seen(file_recovers=True))
    assert outside.transitions() == ["began", "recovered"]


def test_held_run_until_it_is_approved(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    run(state, 1, NOW, held=True)
    step(state, outside, NOW)
    run(state, 2, NOW + MINUTE, held=True)
    step(state, outside, NOW + MINUTE)
    assert outside.transitions() == ["began"]
    with Journal.open(state) as journal:
        journal.approve("guests", "plan-2", "seen", NOW + 2 * MINUTE)
    step(state, outside, NOW + 2 * MINUTE)
    assert outside.transitions() == ["recovered"]


def test_more_invalid_records_than_usual(tmp_path: Path, outside: Outside) -> None:
    state = tmp_path / "state"
    for serial, invalid in enumerate([2, 3, 2, 1, 2, 40, 41, 2], start=1):
        run(state, serial, NOW + serial * MINUTE, invalid=invalid)
        step(state, outside, NOW + serial * MINUTE)
    assert outside.transitions() == ["began", "recovered"]


def test_budget_that_is_exceeded(tmp_path: Path, outside: Outside) -> None:
    state, watch = tmp_path / "state", replace(WATCH, jobs=(replace(JOB, budget=Budget()),))
    for serial, invalid in enumerate([0, 1, 2, 0], start=1):
        run(state, serial, NOW + serial * MINUTE, invalid=invalid)
        step(state, outside, NOW + serial * MINUTE, watch=watch)
    assert outside.transitions() == ["began", "recovered"]


@pytest.mark.parametrize(
    ("known", "job", "expected"),
    [
        (schedules(), JOB, ["began"]),
        (schedules(running=True), JOB, []),
        (schedules(served=frozenset({"orders"})), JOB, []),
        (schedules(served=frozenset({"guests"})), JOB, ["began"]),
        (schedules(), replace(JOB, schedule=None), []),
    ],
)
def test_tick_is_late_only_where_it_is_known_and_not_begun(
    tmp_path: Path, outside: Outside, known: Schedules, job: WatchedJob, expected: list[str]
) -> None:
    with Journal.open(tmp_path / "state") as journal:
        engine = AlertEngine(journal, known, outside.means())
        watch = replace(WATCH, jobs=(job,))
        engine.step(watch, Seen(), NOW + 5 * HOUR)
        journal.claim_tick("guests", NOW)
        engine.step(watch, Seen(), NOW + HOUR + 15 * MINUTE)
        assert outside.transitions() == []
        engine.step(watch, Seen(), NOW + HOUR + 16 * MINUTE)
    assert outside.transitions() == expected
