"""One runner per job: of many that start one wins, a dead one frees the job, and one that lost it writes nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, a_batch, a_run, lived, started

from lading.core.batch import Verb
from lading.core.events import Announced
from lading.errors import EnvironmentProblem, ExitCode, LockedError, StateError
from lading.journal import Journal, is_held, lease, this_process, unlock

if TYPE_CHECKING:
    from pathlib import Path

ANNOUNCED = Announced(at=NOW, verb=Verb.ALLOCATE)

#: A runner as another process: takes the lease, says so, waits for a line, tries to write, says how that went.
RUNNER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from lading.core.batch import Verb
from lading.core.events import Announced
from lading.errors import LockedError
from lading.journal import Journal, lease, this_process
state = Path(sys.argv[1])
now = datetime(2026, 11, 22, tzinfo=UTC)
journal = Journal.open(state)
try:
    with lease(journal, state, "guests", this_process(), now) as epoch:
        print("won", epoch, flush=True)
        sys.stdin.readline()
        journal.record(journal.open_batches("guests")[0], Announced(at=now, verb=Verb.ALLOCATE))
        print("wrote", flush=True)
except LockedError as error:
    print("lost", error, flush=True)
"""


def runner(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(process: subprocess.Popen[str]) -> str:
    """Let the runner go on and return what it says."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return said(process)


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_lease_gives_an_epoch_that_rises(journal: Journal, state: Path) -> None:
    with lease(journal, state, "guests", "pid 1 on here", NOW) as first:
        row = journal.lease_row("guests")
        assert row is not None
        assert (row.epoch, row.owner, row.since) == (first, "pid 1 on here", NOW)
    with lease(journal, state, "guests", "pid 1 on here", NOW) as second:
        assert second == first + 1
    row = journal.lease_row("guests")
    assert row is not None
    assert row.owner == ""


def test_the_loser_is_told_who_runs_the_job_since_when_and_what_to_do(journal: Journal, state: Path) -> None:
    with (
        lease(journal, state, "guests", "pid 123 on harbour", NOW),
        Journal.open(state) as other,
        pytest.raises(LockedError) as caught,
        lease(other, state, "guests", this_process(), NOW),
    ):
        pass
    assert str(caught.value) == "job guests is being run by pid 123 on harbour since 2026-11-22 02:00:00 UTC"
    assert caught.value.hint.startswith("Wait for it to end. Only when that process hangs")
    assert "lading unlock guests" in caught.value.hint
    assert caught.value.exit_code is ExitCode.LOCKED == 7


def test_jobs_do_not_wait_for_each_other(journal: Journal, state: Path) -> None:
    with lease(journal, state, "guests", "me", NOW), lease(journal, state, "vehicles", "me", NOW):
        pass


@pytest.mark.parametrize("job", ["a/b", "..", "", "x" * 5000, "übel ✓", "a\nb"])
def test_any_name_of_a_job_has_a_lock_of_its_own_inside_the_folder(journal: Journal, state: Path, job: str) -> None:
    with lease(journal, state, job, "me", NOW):
        (file,) = (state / "locks").iterdir()
        with pytest.raises(LockedError), lease(journal, state, job, "me", NOW):
            pass
    assert file.is_file()


def test_a_symlink_in_the_place_of_a_lock_is_refused(journal: Journal, state: Path, tmp_path: Path) -> None:
    (state / "locks").mkdir(mode=0o700)
    (state / "locks" / "guests.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentProblem), lease(journal, state, "guests", "me", NOW):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_folder_that_others_can_write_is_refused(journal: Journal, state: Path) -> None:
    (state / "locks").mkdir()
    (state / "locks").chmod(0o777)
    with pytest.raises(StateError), lease(journal, state, "guests", "me", NOW):
        pass


def test_of_fifty_that_start_at_once_one_wins(state: Path) -> None:
    """Fifty processes, let go together by closing a pipe, each of which tries once."""
    with Journal.open(state) as journal:
        started(journal)
    gate, opener = os.pipe()
    result, report = os.pipe()
    hold, release = os.pipe()
    children = []
    for _ in range(50):
        child = os.fork()
        if child == 0:
            try:
                for unused in (opener, release, result):
                    os.close(unused)
                os.read(gate, 1)
                journal = Journal.open(state)
                try:
                    with lease(journal, state, "guests", this_process(), NOW):
                        os.write(report, b"W")
                        os.read(hold, 1)
                except LockedError:
                    os.write(report, b"L")
            finally:
                os._exit(0)
        children.append(child)
    for unused in (gate, hold, report):
        os.close(unused)
    os.close(opener)
    answers = b""
    while len(answers) < 50 and (more := os.read(result, 50)):
        answers += more
    os.close(release)
    os.close(result)
    for child in children:
        os.waitpid(child, 0)
    assert sorted(answers) == sorted(b"W" + b"L" * 49)


def test_twenty_that_make_the_journal_at_once_make_one(state: Path) -> None:
    children = []
    for number in range(20):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with Journal.open(state, lineage=f"lineage-{number}") as journal:
                    code = 0 if journal.claim_slot("guests", NOW) else 2
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0] + [2] * 19
    with Journal.open(state) as journal:
        assert journal.serial == 20


def test_a_killed_runner_frees_its_job_at_once(state: Path) -> None:
    with Journal.open(state) as journal:
        started(journal)
        holder = runner(state)
        assert said(holder).startswith("won")
        with (
            pytest.raises(LockedError, match=re.escape(f"pid {holder.pid} on")),
            lease(journal, state, "guests", "", NOW),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        before = time.monotonic()
        with lease(journal, state, "guests", "me", NOW):
            assert time.monotonic() - before < 1


def test_a_stopped_runner_that_lost_its_job_writes_nothing_when_it_wakes(state: Path) -> None:
    with Journal.open(state) as journal:
        batch = started(journal)[0]
        sleeper = runner(state)
        try:
            assert said(sleeper).startswith("won")
            sleeper.send_signal(signal.SIGSTOP)
            unlock(journal, state, "guests", NOW)
            with lease(journal, state, "guests", "pid 7 on here", NOW):
                sleeper.send_signal(signal.SIGCONT)
                assert re.match("lost job guests was taken away .* now run by pid 7 on here", told(sleeper))
                assert journal.events(batch.id) == ()
                journal.record(batch, ANNOUNCED)
        finally:
            ended(sleeper)
        assert journal.events(batch.id) == (ANNOUNCED,)


def test_after_an_unlock_the_old_holder_fails_even_if_nobody_took_over(state: Path) -> None:
    with Journal.open(state) as journal:
        started(journal)
        holder = runner(state)
        try:
            assert said(holder).startswith("won")
            unlock(journal, state, "guests", NOW)
            assert re.match("lost .* now run by nobody now|lost .*nobody now", told(holder))
        finally:
            ended(holder)


def test_every_write_about_a_job_is_fenced(journal: Journal, state: Path) -> None:
    batch = lived(journal, started(journal)[0])
    with Journal.open(state) as other, lease(journal, state, "guests", "me", NOW):
        unlock(other, state, "guests", NOW)
        with pytest.raises(LockedError, match="taken away"):
            journal.deliver(batch, DELIVERED, baseline=None, rejects=())
        run = a_run(serial=2)
        with pytest.raises(LockedError, match="taken away"):
            journal.start_run(run, [a_batch(run)], ())
        started(journal, "vehicles")
    assert journal.batch(batch.id) is not None
    assert [one.job for one in journal.history()] == ["vehicles", "guests"]


def test_an_epoch_given_by_hand_is_checked_too(journal: Journal, state: Path) -> None:
    batch = started(journal)[0]
    with lease(journal, state, "guests", "me", NOW) as epoch:
        with pytest.raises(LockedError, match="taken away"):
            journal.record(batch, ANNOUNCED, epoch=epoch - 1)
        journal.record(batch, ANNOUNCED, epoch=epoch)


def test_the_epoch_of_a_write_stands_with_its_event(journal: Journal, state: Path) -> None:
    batch = started(journal)[0]
    with lease(journal, state, "guests", "me", NOW) as epoch:
        journal.record(batch, ANNOUNCED)
    epochs = [row["epoch"] for row in journal._rows("SELECT epoch FROM events ORDER BY no")]
    assert epochs == [None, epoch]
    assert journal.audit() == ()


def test_two_processes_write_in_turn_and_nobody_sees_a_busy_database(state: Path) -> None:
    """Four processes, each claiming the same hundred slots: every slot is claimed once, and no write fails."""
    with Journal.open(state):
        pass
    result, report = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with Journal.open(state) as journal:
                    for number in range(100):
                        if journal.claim_slot("guests", NOW.replace(microsecond=number)):
                            os.write(report, b"1")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(report)
    claims = b""
    while more := os.read(result, 1000):
        claims += more
    os.close(result)
    assert [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len(claims) == 100
    with Journal.open(state) as journal:
        assert journal.serial == 400


def test_a_reader_sees_what_a_writer_committed_and_holds_nobody_up(state: Path) -> None:
    with Journal.open(state) as writer, Journal.open(state, read_only=True) as reader:
        assert reader.open_batches() == ()
        batch = started(writer)[0]
        assert reader.open_batches() == (batch,)
        moved = writer.record(batch, ANNOUNCED)
        assert reader.open_batches() == (moved,)


def test_a_lock_that_is_taken_away_while_it_is_taken_is_taken_anew(state: Path) -> None:
    """`lading unlock` between our locking the file and our entry in the journal: we hold a file without a name."""
    with Journal.open(state) as other:
        away = iter([True])

        def trip(name: str) -> None:
            if name == "take_lease:begin" and next(away, False):
                unlock(other, state, "guests", NOW)

        with Journal.open(state, trip=trip) as journal, lease(journal, state, "guests", "me", NOW) as epoch:
            assert epoch == 2
            with pytest.raises(LockedError, match="is being run by me"), lease(other, state, "guests", "you", NOW):
                pass


def test_a_lock_that_is_always_taken_away_is_given_up_in_words(state: Path) -> None:
    with Journal.open(state) as other:

        def trip(name: str) -> None:
            if name == "take_lease:begin":
                unlock(other, state, "guests", NOW)

        with (
            Journal.open(state, trip=trip) as journal,
            pytest.raises(LockedError, match="is taken away again and again") as caught,
            lease(journal, state, "guests", "me", NOW),
        ):
            pass
    assert "lading unlock" in caught.value.hint


def test_a_runner_whose_journal_fails_at_the_start_keeps_nobody_waiting(state: Path) -> None:
    def trip(name: str) -> None:
        if name == "take_lease:commit":
            raise KeyboardInterrupt

    with Journal.open(state, trip=trip) as journal, pytest.raises(KeyboardInterrupt):
        lease(journal, state, "guests", "me", NOW).__enter__()
    assert not is_held(state, "guests")
    with Journal.open(state) as journal, lease(journal, state, "guests", "me", NOW):
        assert is_held(state, "guests")


def test_a_job_is_held_as_long_as_its_runner_lives_and_asking_takes_nothing(journal: Journal, state: Path) -> None:
    assert not is_held(state, "guests")
    with lease(journal, state, "guests", "me", NOW):
        assert is_held(state, "guests")
        assert is_held(state, "guests")
        assert not is_held(state, "vehicles")
    assert not is_held(state, "guests")


def test_a_file_system_that_cannot_lock_is_told(journal: Journal, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems cannot."""

    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(EnvironmentProblem, match="No locks available"), lease(journal, state, "guests", "me", NOW):
        pass
