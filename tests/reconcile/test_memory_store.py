"""A toy object store, set where `app` wires the store, serves whole runs; nothing else knows which store it is."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from harness import NO_WAIT, WAIT, Harness

import batchsync.app
from batchsync.core.batch import Phase
from batchsync.core.events import NotApplied, Parked
from batchsync.core.naming import baseline_prefix, batch_file_key, row_manifest_key, staging_prefix
from batchsync.errors import StateError, UnavailableError
from batchsync.reconcile.deliver import baseline_of
from kit.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from batchsync.ports import ObjectInfo
    from kit.deployment import Deployment

    NewProcess = Callable[[], AbstractContextManager[Harness]]


class Crash(BaseException):
    """End of a process."""


class CrashingStore(MemoryStore):
    """Toy store whose process ends before or after the n-th put."""

    crash_at: int | None = None
    after: bool = False

    def put(self, key: str, file: Path) -> ObjectInfo:
        """Put the file, or crash."""
        crashes = self.crash_at is not None and self.calls["put"] + 1 == self.crash_at
        if crashes and not self.after:
            raise Crash(key)
        info = super().put(key, file)
        if crashes:
            raise Crash(key)
        return info


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> CrashingStore:
    """Return the store of every app of the test."""
    store = CrashingStore(tmp_path_factory.mktemp("toy"))
    monkeypatch.setattr(batchsync.app, "LocalFolder", lambda _state: store)
    return store


@pytest.fixture
def opened(deployment: Deployment) -> NewProcess:
    """Return a function that wires an engine, as a new process does."""

    @contextmanager
    def new_process() -> Iterator[Harness]:
        with Harness.opened(deployment) as harness:
            yield harness
            state = harness.app.settings.state_folder
            assert not (state / "staging").exists()
            assert not (state / "baselines").exists()

    return new_process


def keys(store: MemoryStore, job: str) -> tuple[set[str], set[str]]:
    """Return the keys below the two prefixes of a job."""
    return tuple({item.key for item in store.list(prefix(job))} for prefix in (staging_prefix, baseline_prefix))


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_runs_are_settled_from_the_toy_store(toy: CrashingStore, opened: NewProcess, job: str) -> None:
    with opened() as harness:
        assert harness.sync(job, WAIT).error is None
        assert harness.sync(job, WAIT).runs[-1].run.counts.to_send == 0
        source = harness.deployment.folder / f"{job}.csv"
        rows = source.read_text("utf-8").splitlines()
        source.write_text("\n".join([rows[0], *rows[2:], ""]), encoding="utf-8")
        outcome = harness.sync(job, WAIT)
        assert outcome.error is None
        assert outcome.runs[-1].run.counts.removed == (1 if job == "guests" else 0)
        staged, segments = keys(toy, job)
        assert staged == set()
        assert {key.rpartition("/")[2] for key in segments} == set(harness.app.journal.baseline_files(job))
        assert harness.batch(job).file.path.startswith(f"memory://objects/staging/{job}/")
        assert harness.delivered_once(job) or job == "guests"
        context, services = harness.context(job), harness.services
        known = services.data.lookup(rows[2].split(",")[0], baseline_of(job, context.account_id, services.store), [])
        assert known.in_target
    assert toy.calls["put"] >= 3


def test_batch_in_flight_is_resumed_by_the_next_process(toy: CrashingStore, opened: NewProcess) -> None:
    with opened() as harness:
        harness.sync("guests", NO_WAIT)
        batch = harness.batch("guests")
        needed = {batch_file_key("guests", batch.file), row_manifest_key("guests", batch.file)}
        assert keys(toy, "guests") == (needed, set())
    with opened() as harness:
        assert harness.resume("guests").error is None
        assert harness.delivered_once("guests")
        staged, segments = keys(toy, "guests")
        assert (staged, len(segments)) == (set(), 1)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_crash_around_a_put_leaves_an_orphan_at_most(
    toy: CrashingStore, opened: NewProcess, number: int, *, after: bool
) -> None:
    """The first put is that of the row manifest, the second of the batch file, the third of a segment."""
    toy.crash_at, toy.after = number, after
    with opened() as harness, pytest.raises(Crash):
        harness.sync("guests", WAIT)
    toy.crash_at = None
    staged, segments = keys(toy, "guests")
    assert (len(staged), len(segments)) == {
        (1, False): (0, 0),
        (1, True): (1, 0),
        (2, False): (1, 0),
        (2, True): (2, 0),
        (3, False): (2, 0),
        (3, True): (2, 1),
    }[number, after]
    with opened() as harness:
        if number < 3:
            assert harness.app.journal.history("guests") == ()
        assert harness.sync("guests", WAIT).error is None
        assert harness.delivered_once("guests")
        staged, segments = keys(toy, "guests")
        assert staged == set()
        assert {key.rpartition("/")[2] for key in segments} == set(harness.app.journal.baseline_files("guests"))


def test_missing_objects_are_reported_as_in_a_local_folder(toy: CrashingStore, opened: NewProcess) -> None:
    with opened() as harness:
        harness.sync("guests", WAIT)
        (segment,) = toy.list(baseline_prefix("guests"))
        with toy.get(segment.key) as path:
            kept = shutil.copy(path, harness.deployment.folder)
        toy.delete(segment.key)
        error = harness.sync("guests", WAIT).error
        assert isinstance(error, StateError)
        assert "in the state folder is missing or damaged" in error.message
        toy.put(segment.key, harness.deployment.folder / kept)
        assert harness.sync("guests", WAIT).error is None


def test_unreachable_store_is_reported_and_the_same_command_continues(
    toy: CrashingStore, opened: NewProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_key: str, _file: Path) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with opened() as harness:
        with monkeypatch.context() as patched:
            patched.setattr(toy, "put", unreachable)
            error = harness.sync("guests", WAIT).error
        assert isinstance(error, UnavailableError)
        assert error.message == "preparing guests stopped: Connection refused"
        assert harness.sync("guests", WAIT).error is None
        assert harness.delivered_once("guests")


def test_batch_file_lost_before_upload_is_not_sent(toy: CrashingStore, opened: NewProcess) -> None:
    with opened() as harness:
        batch = harness.left_in_allocation("guests")
        toy.delete(batch_file_key("guests", batch.file))
        error = harness.resume("guests").error
        assert isinstance(error, UnavailableError)
        assert error.message == f"batch file {batch.file.path} cannot be read: No such file or directory"
        assert replace(harness.batch("guests"), reason="") == replace(batch, reason="")


@pytest.mark.parametrize(
    ("failure", "phase", "event"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), Phase.ALLOCATED, NotApplied),
        (FileNotFoundError(2, "No such file or directory"), Phase.NEEDS_ATTENTION, Parked),
    ],
)
def test_batch_file_lost_after_its_check_is_not_sent(
    toy: CrashingStore,
    opened: NewProcess,
    monkeypatch: pytest.MonkeyPatch,
    failure: OSError,
    phase: Phase,
    event: type[NotApplied | Parked],
) -> None:
    original, read = toy.get, Counter[str]()

    def get(key: str) -> AbstractContextManager[Path]:
        read[key] += 1
        if key.endswith(".json.gz") and read[key] == 2:
            raise failure
        return original(key)

    monkeypatch.setattr(toy, "get", get)
    with opened() as harness:
        harness.sync("guests", NO_WAIT)
        batch = harness.batch("guests")
        assert batch.phase is phase
        (found,) = [item for item in harness.app.journal.events(batch.id) if isinstance(item, event)]
        assert found.reason == f"the batch file cannot be read: {failure.strerror}"
        assert harness.deployment.delivered("sitecore-cdp") == {}
        if phase is Phase.ALLOCATED:
            assert harness.resume("guests", WAIT).error is None
            assert harness.delivered_once("guests")
