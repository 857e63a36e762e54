"""Checkouts are complete, used by one process or more, and the last good one is remembered."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.deployments import checkouts
from batchsync.deployments.checkouts import Checkouts
from batchsync.deployments.follower import Follower, Polling
from batchsync.errors import BatchsyncError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)


class FakeOrigin:
    """An origin whose revision and failure a test sets."""

    title = "the branch"

    def __init__(self) -> None:
        self.revision, self.failure, self.asked, self.exported = ONE, "", 0, 0

    def newest(self) -> str:
        self.asked += 1
        if self.failure:
            raise UnavailableError(self.failure)
        return self.revision

    def export(self, work: Path) -> tuple[str, Path]:
        self.exported += 1
        tree = work / "tree"
        tree.mkdir()
        (tree / "jobs.yaml").write_text(self.revision, encoding="utf-8")
        return self.revision, tree


class Setup:
    """A follower with its origin, its time and what it reported."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.now = FakeOrigin(), datetime(2026, 1, 1, tzinfo=UTC)
        self.reports: list[BatchsyncError | None] = []
        self.folder = folder
        self.restart()

    def restart(self) -> None:
        """Begin as another process does; locks of the former are gone with it."""
        if hasattr(self, "checkouts"):
            for lock in self.checkouts._locks.values():
                os.close(lock)
        self.checkouts = Checkouts(self.folder)
        polling = Polling(lambda: self.now, timedelta(minutes=1))
        self.follower = Follower(self.origin, self.checkouts, polling, self.reports.append)

    def move_to(self, revision: str) -> None:
        """Let the origin have another revision, and time pass."""
        self.origin.revision = revision
        self.now += timedelta(minutes=1)

    def kept(self) -> list[str]:
        """Return the names of the checkouts on the disk."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink())


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path / "state" / "checkouts")


def test_start_loads_newest_and_restart_last_good_one_first(setup: Setup) -> None:
    (first,) = setup.follower.first()
    assert (first.folder / "jobs.yaml").read_text(encoding="utf-8") == ONE
    setup.follower.activate(first, complete=True)
    setup.move_to(TWO)
    bad = setup.follower.newer()
    assert bad is not None
    setup.restart()
    assert [item.revision for item in setup.follower.first()] == [ONE, TWO]
    assert setup.origin.exported == 2


def test_origin_is_asked_at_interval_only(setup: Setup) -> None:
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    assert setup.follower.newer() is None
    setup.origin.revision = TWO
    assert setup.follower.newer() is None
    assert setup.origin.asked == 1
    setup.now += timedelta(minutes=1)
    assert setup.follower.newer() is not None


def test_clock_set_back_does_not_stop_polling(setup: Setup) -> None:
    setup.follower.first()
    setup.now -= timedelta(days=3)
    setup.follower.newer()
    assert setup.origin.asked == 2


def test_offline_origin_is_reported_once_and_changes_nothing(setup: Setup) -> None:
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    setup.origin.failure = "no route"
    for _ in range(3):
        setup.now += timedelta(minutes=1)
        assert setup.follower.newer() is None
    setup.origin.failure = ""
    setup.now += timedelta(minutes=1)
    setup.follower.newer()
    assert [report and report.message for report in setup.reports] == ["no route", None]


def test_offline_origin_at_start_needs_good_checkout(setup: Setup) -> None:
    setup.origin.failure = "no route"
    with pytest.raises(UnavailableError, match="no route"):
        setup.follower.first()
    setup.origin.failure = ""
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    setup.origin.failure = "no route"
    setup.restart()
    assert setup.follower.first() == (first,)


def test_good_revision_of_another_origin_is_not_used(setup: Setup) -> None:
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    setup.origin.title = "another branch"
    setup.origin.revision = TWO
    setup.restart()
    assert [item.revision for item in setup.follower.first()] == [TWO]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"origin": "the branch", "good": "../../etc"}', '{"good": 1}'])
def test_damaged_record_counts_as_none(record: str, setup: Setup) -> None:
    setup.follower.first()
    (setup.folder / "deployment.json").write_text(record, encoding="utf-8")
    setup.restart()
    assert [item.revision for item in setup.follower.first()] == [ONE]


def test_current_leads_to_active_checkout_and_older_ones_are_deleted(setup: Setup) -> None:
    (checkout,) = setup.follower.first()
    for revision in (TWO, THREE):
        setup.follower.activate(checkout, complete=True)
        setup.move_to(revision)
        newer = setup.follower.newer()
        assert newer is not None
        checkout = newer
    setup.follower.activate(checkout, complete=False)
    assert setup.kept() == [TWO[:12], THREE[:12]]
    setup.follower.activate(checkout, complete=True)
    assert setup.kept() == [THREE[:12]]
    assert (setup.folder / "current" / "jobs.yaml").read_text(encoding="utf-8") == THREE
    assert json.loads((setup.folder / "deployment.json").read_text(encoding="utf-8"))["good"] == THREE


def test_checkout_in_use_elsewhere_is_kept(setup: Setup) -> None:
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    other = Checkouts(setup.folder)
    assert other.find(ONE) == first
    setup.move_to(TWO)
    second = setup.follower.newer()
    assert second is not None
    setup.follower.activate(second, complete=True)
    assert setup.kept() == [ONE[:12], TWO[:12]]
    other.release([])
    assert setup.kept() == [TWO[:12]]


def test_partial_folders_of_killed_process_are_deleted(setup: Setup) -> None:
    (first,) = setup.follower.first()
    (setup.folder / ".new-killed").mkdir()
    (setup.folder / ".new-killed" / "tree").mkdir()
    setup.follower.activate(first, complete=True)
    assert setup.kept() == [ONE[:12]]
    assert [path.name for path in setup.folder.glob(".new-*")] == []


def test_export_that_fails_leaves_nothing(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_work: Path) -> tuple[str, Path]:
        raise UnavailableError("disk full")

    monkeypatch.setattr(setup.origin, "export", fail)
    with pytest.raises(UnavailableError, match="disk full"):
        setup.follower.first()
    assert list(setup.folder.iterdir()) == []


@pytest.mark.parametrize("point", range(1, 8))
def test_kill_at_any_point_of_a_switch_leaves_a_complete_checkout(
    point: int, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = setup.follower.first()
    setup.follower.activate(first, complete=True)
    setup.move_to(TWO)
    reached = 0

    def kill_before(original: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            nonlocal reached
            reached += 1
            if reached == point:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        return step

    with monkeypatch.context() as patched:
        for name in ("fsync_file", "fsync_folder", "make_private"):
            patched.setattr(checkouts, name, kill_before(getattr(checkouts, name)))
        patched.setattr(checkouts.shutil, "rmtree", lambda *_, **__: None)  # a killed process tidies nothing
        with suppress(KeyboardInterrupt):
            second = setup.follower.newer()
            assert second is not None
            setup.follower.activate(second, complete=True)

    setup.restart()
    found = setup.follower.first()
    assert [item.revision for item in found] in ([ONE, TWO], [TWO])
    for checkout in found:
        assert (checkout.folder / "jobs.yaml").read_text(encoding="utf-8") == checkout.revision
    assert (setup.folder / "current" / "jobs.yaml").read_text(encoding="utf-8") in (ONE, TWO)
    setup.follower.activate(found[-1], complete=True)
    assert setup.kept() == [TWO[:12]]
