"""One runner per job: concurrent acquisitions, dead holders, stopped holders, fencing."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, make_batch, make_run, record_all, start_run

from batchsync.core.batch import Verb
from batchsync.core.events import IntentRecorded
from batchsync.errors import ExitCode, LockedError, StateError, UnavailableError
from batchsync.journal import Journal, is_held, lease, this_process, unlock

if TYPE_CHECKING:
    from pathlib import Path

INTENT = IntentRecorded(at=NOW, verb=Verb.ALLOCATE)

#: Script of a holder process: acquires the lease, reports it, waits for a line, tries to write, reports the result.
RUNNER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from batchsync.core.batch import Verb
from batchsync.core.events import IntentRecorded
from batchsync.errors import LockedError
from batchsync.journal import Journal, lease, this_process
state = Path(sys.argv[1])
now = datetime(2026, 11, 22, tzinfo=UTC)
journal = Journal.open(state)
try:
    with lease(journal, state, "guests", this_process(), now) as epoch:
        print("won", epoch, flush=True)
        sys.stdin.readline()
        journal.record(journal.open_batches("guests")[0], IntentRecorded(at=now, verb=Verb.ALLOCATE))
        print("wrote", flush=True)
except LockedError as error:
    print("lost", error, flush=True)
"""


def start_holder(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def resume(process: subprocess.Popen[str]) -> str:
    """Let the holder process continue, and return its report."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return read_line(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_epoch_rises_with_each_lease(journal: Journal, state: Path) -> None:
    with lease(journal, state, "guests", "pid 1 on host-a", NOW) as first:
        row = journal.lease_row("guests")
        assert row is not None
        assert (row.epoch, row.owner, row.since) == (first, "pid 1 on host-a", NOW)
    with lease(journal, state, "guests", "pid 1 on host-a", NOW) as second:
        assert second == first + 1
    row = journal.lease_row("guests")
    assert row is not None
    assert row.owner == ""


def test_refused_lease_names_holder_time_and_next_command(journal: Journal, state: Path) -> None:
    with (
        lease(journal, state, "guests", "pid 123 on host-a", NOW),
        Journal.open(state) as other,
        pytest.raises(LockedError) as caught,
        lease(other, state, "guests", this_process(), NOW),
    ):
        pass
    assert str(caught.value) == "job guests is being run by pid 123 on host-a since 2026-11-22 02:00:00 UTC"
    assert caught.value.hint.startswith("Wait until it ends. Only if that process hangs")
    assert "batchsync unlock guests" in caught.value.hint
    assert caught.value.exit_code is ExitCode.LOCKED == 7


def test_leases_of_different_jobs_are_independent(journal: Journal, state: Path) -> None:
    with lease(journal, state, "guests", "me", NOW), lease(journal, state, "vehicles", "me", NOW):
        pass


@pytest.mark.parametrize("job", ["a/b", "..", "", "x" * 5000, "übel ✓", "a\nb"])
def test_any_job_name_has_its_own_lock_file_inside_the_folder(journal: Journal, state: Path, job: str) -> None:
    with lease(journal, state, job, "me", NOW):
        (file,) = (state / "locks").iterdir()
        with pytest.raises(LockedError), lease(journal, state, job, "me", NOW):
            pass
    assert file.is_file()


def test_symlink_as_lock_file_is_refused(journal: Journal, state: Path, tmp_path: Path) -> None:
    (state / "locks").mkdir(mode=0o700)
    (state / "locks" / "guests.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError), lease(journal, state, "guests", "me", NOW):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_lock_folder_writable_by_others_is_refused(journal: Journal, state: Path) -> None:
    (state / "locks").mkdir()
    (state / "locks").chmod(0o777)
    with pytest.raises(StateError), lease(journal, state, "guests", "me", NOW):
        pass


def test_exactly_one_of_fifty_concurrent_processes_gets_the_lease(state: Path) -> None:
    """Fifty processes, released together by closing a pipe, try once each."""
    with Journal.open(state) as journal:
        start_run(journal)
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


def test_twenty_concurrent_creations_create_one_journal(state: Path) -> None:
    children = []
    for number in range(20):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with Journal.open(state, journal_id=f"journal-{number}") as journal:
                    code = 0 if journal.claim_tick("guests", NOW) else 2
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.WEXITSTATUS(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0] + [2] * 19
    with Journal.open(state) as journal:
        assert journal.serial == 20


def test_killed_holder_frees_its_job_at_once(state: Path) -> None:
    with Journal.open(state) as journal:
        start_run(journal)
        holder = start_holder(state)
        assert read_line(holder).startswith("won")
        with (
            pytest.raises(LockedError, match=re.escape(f"pid {holder.pid} on")),
            lease(journal, state, "guests", "", NOW),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with lease(journal, state, "guests", "me", NOW):
            pass


def test_stopped_holder_that_lost_its_lease_writes_nothing(state: Path) -> None:
    with Journal.open(state) as journal:
        batch = start_run(journal)[0]
        holder = start_holder(state)
        try:
            assert read_line(holder).startswith("won")
            holder.send_signal(signal.SIGSTOP)
            unlock(journal, state, "guests", NOW)
            with lease(journal, state, "guests", "pid 7 on host-a", NOW):
                holder.send_signal(signal.SIGCONT)
                assert re.match("lost job guests was taken away .* now run by pid 7 on host-a", resume(holder))
                assert journal.events(batch.id) == ()
                journal.record(batch, INTENT)
        finally:
            kill(holder)
        assert journal.events(batch.id) == (INTENT,)


def test_unlocked_holder_fails_even_without_a_new_holder(state: Path) -> None:
    with Journal.open(state) as journal:
        start_run(journal)
        holder = start_holder(state)
        try:
            assert read_line(holder).startswith("won")
            unlock(journal, state, "guests", NOW)
            assert re.match("lost .* taken away .* not running now", resume(holder))
        finally:
            kill(holder)


def test_every_write_of_a_job_is_fenced(journal: Journal, state: Path) -> None:
    batch = record_all(journal, start_run(journal)[0])
    with Journal.open(state) as other, lease(journal, state, "guests", "me", NOW):
        unlock(other, state, "guests", NOW)
        with pytest.raises(LockedError, match="taken away"):
            journal.deliver(batch, DELIVERED, baseline=None, rejects=())
        run = make_run(serial=2)
        with pytest.raises(LockedError, match="taken away"):
            journal.start_run(run, [make_batch(run)], ())
        start_run(journal, "vehicles")
    assert journal.batch(batch.id) is not None
    assert [item.job for item in journal.history()] == ["vehicles", "guests"]


def test_explicit_epoch_is_checked(journal: Journal, state: Path) -> None:
    batch = start_run(journal)[0]
    with lease(journal, state, "guests", "me", NOW) as epoch:
        with pytest.raises(LockedError, match="taken away"):
            journal.record(batch, INTENT, epoch=epoch - 1)
        journal.record(batch, INTENT, epoch=epoch)


def test_event_stores_epoch_of_its_write(journal: Journal, state: Path) -> None:
    batch = start_run(journal)[0]
    with lease(journal, state, "guests", "me", NOW) as epoch:
        journal.record(batch, INTENT)
    epochs = [row["epoch"] for row in journal._rows("SELECT epoch FROM events ORDER BY no")]
    assert epochs == [None, epoch]
    assert journal.audit() == ()


def test_concurrent_writers_take_turns_without_busy_errors(state: Path) -> None:
    """Four processes claim the same hundred ticks: every tick is claimed once, and no write fails."""
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
                        if journal.claim_tick("guests", NOW.replace(microsecond=number)):
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


def test_reader_sees_commits_and_does_not_block_the_writer(state: Path) -> None:
    with Journal.open(state) as writer, Journal.open(state, read_only=True) as reader:
        assert reader.open_batches() == ()
        batch = start_run(writer)[0]
        assert reader.open_batches() == (batch,)
        updated = writer.record(batch, INTENT)
        assert reader.open_batches() == (updated,)


def test_lock_broken_during_acquisition_is_acquired_again(state: Path) -> None:
    """`batchsync unlock` between locking the file and the write to the journal removes the locked file."""
    with Journal.open(state) as other:
        first = iter([True])

        def unlock_at_begin(name: str) -> None:
            if name == "take_lease:begin" and next(first, False):
                unlock(other, state, "guests", NOW)

        with (
            Journal.open(state, failpoint=unlock_at_begin) as journal,
            lease(journal, state, "guests", "me", NOW) as epoch,
        ):
            assert epoch == 2
            with pytest.raises(LockedError, match="is being run by me"), lease(other, state, "guests", "you", NOW):
                pass


def test_lock_broken_repeatedly_is_reported(state: Path) -> None:
    with Journal.open(state) as other:

        def unlock_at_begin(name: str) -> None:
            if name == "take_lease:begin":
                unlock(other, state, "guests", NOW)

        with (
            Journal.open(state, failpoint=unlock_at_begin) as journal,
            pytest.raises(LockedError, match="was broken 20 times in a row") as caught,
            lease(journal, state, "guests", "me", NOW),
        ):
            pass
    assert "batchsync unlock" in caught.value.hint


def test_failed_acquisition_releases_the_lock(state: Path) -> None:
    def fail_at_commit(name: str) -> None:
        if name == "take_lease:commit":
            raise KeyboardInterrupt

    with Journal.open(state, failpoint=fail_at_commit) as journal, pytest.raises(KeyboardInterrupt):
        lease(journal, state, "guests", "me", NOW).__enter__()
    assert not is_held(state, "guests")
    with Journal.open(state) as journal, lease(journal, state, "guests", "me", NOW):
        assert is_held(state, "guests")


def test_is_held_while_holder_lives_and_does_not_take_the_lease(journal: Journal, state: Path) -> None:
    assert not is_held(state, "guests")
    with lease(journal, state, "guests", "me", NOW):
        assert is_held(state, "guests")
        assert is_held(state, "guests")
        assert not is_held(state, "vehicles")
    assert not is_held(state, "guests")


def test_file_system_without_locks_is_reported(journal: Journal, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems cannot lock files."""

    def flock(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UnavailableError, match="No locks available"), lease(journal, state, "guests", "me", NOW):
        pass
