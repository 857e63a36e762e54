"""The observer of alerts and its thread: what it notes, when it evaluates and pings, and that it stops no command."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.core.alert_channels import AlertSettings
from batchsync.core.alert_conditions import Failure, Seen
from batchsync.errors import ExitCode, UnavailableError
from batchsync.journal import Journal
from batchsync.observers import alert_worker, alerts
from batchsync.observers.alert_engine import AlertEngine, Means, Watch
from batchsync.observers.alert_facts import Schedules
from batchsync.observers.alert_worker import AlertWorker, Origin
from batchsync.observers.alerts import AlertObserver
from batchsync.observers.delivery import Secrets
from batchsync.ports import JobFinished, JobsReloaded, JobsReloadFailed, OriginChecked, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_httpserver import HTTPServer

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WATCH = Watch(settings=AlertSettings(ping="${PING}"), jobs=())
RELOADED = JobsReloaded(file="jobs.yaml", secrets=False, jobs=(), removed=(), scheduled=True)


@dataclass
class Steps:
    """What the thread did, in place of the engine."""

    done: list[Seen | str] = field(default_factory=list)
    error: Exception | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    block: threading.Event | None = None

    def step(self, _watch: Watch, seen: Seen, _now: datetime) -> None:
        self.done.append(seen)
        self.reached.set()
        if self.block is not None:
            self.block.wait()
        if self.error is not None:
            raise self.error

    def ping(self, _settings: AlertSettings, kind: str) -> None:
        self.done.append(f"ping/{kind}")

    @property
    def pings(self) -> list[str]:
        return [item for item in self.done if isinstance(item, str)]

    @property
    def seen(self) -> list[Seen]:
        return [item for item in self.done if isinstance(item, Seen)]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    monkeypatch.setattr(alert_worker, "AlertEngine", lambda *_: found)
    monkeypatch.setattr(alert_worker, "AT_LEAST", 0.0)
    return found


def started(
    state: Path, *, once: bool = True, open_journal: Callable[[], Journal] | None = None
) -> tuple[AlertObserver, list[Watch]]:
    """Return an observer whose thread runs, and what it was given to watch."""
    observer, watched = AlertObserver(), list[Watch]()
    origin = Origin(
        open_journal=open_journal or (lambda: Journal.open(state)),
        schedules=Schedules(None, lambda _, after: after, lambda _: False),
        means=means(observer.warn),
        now=lambda: NOW,
        once=once,
    )

    def watch() -> Watch:
        watched.append(WATCH)
        return WATCH

    observer.start(watch, AlertWorker(observer, origin).run)
    return observer, watched


def means(warn: Callable[[str], None], *, url: str = "", only_local: bool = False) -> Means:
    return Means(
        secrets=lambda _: Secrets(),
        ping=lambda _: Secrets(values={"ping": url}),
        only_local=only_local,
        warn=warn,
    )


def finished(code: ExitCode, error: str = "") -> JobFinished:
    return JobFinished(job="guests", exit_code=code, message="duplicate key C1007", error=error)


@pytest.mark.parametrize(
    ("codes", "failed", "ping"),
    [
        ([ExitCode.DONE], False, "ping/"),
        ([], False, "ping/"),
        ([ExitCode.REJECTS, ExitCode.UNSETTLED, ExitCode.AWAITING_APPROVAL, ExitCode.NEEDS_ATTENTION], False, "ping/"),
        ([ExitCode.DONE, ExitCode.ENVIRONMENT], False, "ping/fail"),
        ([ExitCode.LOCKED], False, "ping/fail"),
        ([ExitCode.DONE], True, "ping/fail"),
    ],
)
def test_command_pings_its_begin_and_its_end(
    tmp_path: Path, steps: Steps, codes: list[ExitCode], failed: object, ping: str
) -> None:
    observer, _ = started(tmp_path)
    for code in codes:
        observer.observe(finished(code), NOW)
    observer.close(failed=bool(failed))
    assert steps.pings == ["ping/start", ping]
    assert steps.seen
    assert observer.warnings() == []


def test_serving_pings_while_it_works_and_when_it_fails(tmp_path: Path, steps: Steps) -> None:
    observer, _ = started(tmp_path, once=False)
    observer.observe(Waiting(until=NOW), NOW)
    steps.reached.wait()
    observer.close(failed=False)
    assert set(steps.pings) <= {"ping/"}
    observer, _ = started(tmp_path, once=False)
    observer.close(failed=True)
    assert steps.pings[-1] == "ping/fail"


def test_error_is_named_by_its_code_and_not_by_its_message(tmp_path: Path, steps: Steps) -> None:
    observer, _ = started(tmp_path)
    observer.observe(finished(ExitCode.ENVIRONMENT, "environment.disk_full"), NOW)
    observer.observe(finished(ExitCode.AWAITING_APPROVAL), NOW)
    observer.close(failed=False)
    assert steps.seen[-1].failures == {"guests": Failure(NOW, "Disk is full (BS-E003)")}
    observer, _ = started(tmp_path)
    observer.observe(finished(ExitCode.UNEXPECTED, "of another version"), NOW)
    observer.close(failed=False)
    assert steps.seen[-1].failures == {"guests": Failure(NOW, "it could not run")}


def test_reload_of_the_jobs_file_is_noted_and_changes_what_is_watched(tmp_path: Path, steps: Steps) -> None:
    observer, watched = started(tmp_path)
    observer.observe(JobsReloadFailed(file="jobs.yaml", secrets=False, error={}, job="guests"), NOW)
    observer.observe(JobsReloadFailed(file="jobs.yaml", secrets=False, error={}), NOW)
    observer.close(failed=False)
    found = steps.seen[-1]
    assert (found.file_failure is not None, found.file_recovers, len(watched)) == (True, False, 1)
    observer, watched = started(tmp_path)
    observer.observe(RELOADED, NOW)
    observer.close(failed=False)
    found = steps.seen[-1]
    assert (found.file_failure, found.file_recovers, len(watched)) == (None, True, 2)


def test_origin_is_unasked_since_the_first_failure_and_until_it_answers(tmp_path: Path, steps: Steps) -> None:
    observer, _ = started(tmp_path)
    for minutes in (0, 5):
        failed = OriginChecked(origin="git", error={"message": f"reason {minutes}"})
        observer.observe(failed, NOW + timedelta(minutes=minutes))
    observer.loaded()
    observer.close(failed=False)
    found = steps.seen[-1]
    assert (found.unasked, found.asked, found.file_recovers) == (NOW, False, True)
    observer.observe(OriginChecked(origin="git", error=None), NOW)
    _, seen, _ = observer.taken()
    assert (seen.unasked, seen.asked) == (None, True)


def test_start_of_serve_ends_what_an_earlier_one_could_not_load(tmp_path: Path, steps: Steps) -> None:
    observer, _ = started(tmp_path)
    observer.loaded()
    observer.close(failed=False)
    assert (steps.seen[-1].asked, steps.seen[-1].file_recovers) == (True, True)


def test_observer_without_alerts_only_notes(tmp_path: Path) -> None:
    observer = AlertObserver()
    observer.observe(RELOADED, NOW)
    observer.observe(finished(ExitCode.ENVIRONMENT), NOW)
    observer.close(failed=True)
    assert (observer.warnings(), list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UnavailableError("the disk is full"), "alerts: the disk is full"),
        (RuntimeError("hunter2"), "alerts: an unexpected error"),
    ],
)
def test_failing_evaluation_is_reported_once_and_stops_nothing(
    tmp_path: Path, steps: Steps, error: Exception, shown: str
) -> None:
    steps.error = error
    observer, _ = started(tmp_path)
    for _ in range(3):
        steps.reached.clear()
        observer.observe(Waiting(until=NOW), NOW)
        steps.reached.wait()
    observer.close(failed=False)
    assert observer.warnings() == [shown]
    assert steps.pings == ["ping/start", "ping/"]


def test_journal_that_cannot_be_opened_is_reported(tmp_path: Path, steps: Steps) -> None:
    def fail() -> Journal:
        raise UnavailableError("journal.db cannot be opened")

    observer, _ = started(tmp_path, open_journal=fail)
    observer.close(failed=False)
    assert (observer.warnings(), steps.done) == (["alerts: journal.db cannot be opened"], [])


def test_command_does_not_wait_for_a_channel_that_hangs(
    tmp_path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "AT_END", 0.05)
    steps.block = threading.Event()
    observer, _ = started(tmp_path)
    observer.close(failed=False)
    (warning,) = observer.warnings()
    assert warning.startswith("alerts: not all could be sent before the end")
    steps.block.set()


def test_ping_goes_where_it_may_and_its_failure_is_reported_once(tmp_path: Path, httpserver: HTTPServer) -> None:
    warnings: list[str] = []
    httpserver.expect_request("/check/start").respond_with_data("ok")
    with Journal.open(tmp_path / "state") as journal:
        known = Schedules(None, lambda _, after: after, lambda _: False)
        AlertEngine(journal, known, means(warnings.append)).ping(AlertSettings(), "start")
        AlertEngine(journal, known, means(warnings.append, url="https://hc-ping.example/x", only_local=True)).ping(
            WATCH.settings, "start"
        )
        engine = AlertEngine(journal, known, means(warnings.append, url=httpserver.url_for("/check"), only_local=True))
        for kind in ("start", "fail", "fail", "start", "fail"):
            engine.ping(WATCH.settings, kind)
    assert warnings == ["alerts: ping: HTTP 500"] * 2
    assert len(httpserver.log) == 5
