"""A journal that cannot be trusted is refused with a hint, and never read wrongly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, make_baseline, record_all, rejects, run_until_killed, snapshot, start_run

from batchsync.core.batch import Verb
from batchsync.core.events import IntentRecorded
from batchsync.errors import BatchsyncError, LockedError, StateError, UnavailableError
from batchsync.journal import Journal, store
from kit.draws import draws

if TYPE_CHECKING:
    from collections.abc import Callable


def write_journal(folder: Path) -> None:
    """Write a journal with something in every table, and close it."""
    with Journal.open(folder, journal_id="journal-1") as journal:
        first, _ = start_run(journal, batches=2)
        journal.deliver(record_all(journal, first), DELIVERED, baseline=make_baseline(first), rejects=rejects(30))
        journal.claim_tick("guests", NOW)


def write_unclosed_journal(folder: Path) -> None:
    """Write a journal in a process that is killed, so that the last writes are in its -wal file only."""

    def work() -> None:
        journal = Journal.open(folder, journal_id="journal-1")
        start_run(journal)
        os.kill(os.getpid(), signal.SIGKILL)

    first = Journal.open(folder, journal_id="journal-1")
    first.approve("guests", "p", "r", NOW)
    first.close()
    assert run_until_killed(work)
    assert (folder / "journal.db-wal").stat().st_size > 0


def assert_refused(folder: Path, kind: type[BatchsyncError], match: str, *, read_only: bool = False) -> BatchsyncError:
    with pytest.raises(kind, match=match) as caught:
        Journal.open(folder, read_only=read_only)
    assert caught.value.hint, "a refusal has a hint"
    assert "Traceback" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a SQLite file"),
        (b"\0" * 8192, "not a SQLite file"),
        (b"SQLite format 3\0", "damaged"),
        (b"SQLite format 3\0" + b"\xff" * 8176, "damaged"),
    ],
)
def test_file_that_is_no_journal_is_refused(state: Path, content: bytes, match: str, read_only: bool) -> None:  # noqa: FBT001 - a test parameter
    state.mkdir(mode=0o700)
    (state / "journal.db").write_bytes(content)
    assert_refused(state, StateError, match, read_only=read_only)
    assert (state / "journal.db").read_bytes() == content


def test_folder_named_like_the_journal_is_refused(state: Path) -> None:
    (state / "journal.db").mkdir(parents=True)
    state.chmod(0o700)
    assert_refused(state, StateError, "not a regular file")


def test_symlink_is_refused_as_file_and_as_folder(state: Path, tmp_path: Path) -> None:
    write_journal(tmp_path / "real")
    state.mkdir(mode=0o700)
    (state / "journal.db").symlink_to(tmp_path / "real" / "journal.db")
    assert_refused(state, StateError, "not a regular file")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert_refused(tmp_path / "link", StateError, "not a folder")


def test_file_named_like_the_state_folder_is_refused(state: Path) -> None:
    state.write_text("x")
    assert_refused(state, StateError, "not a folder")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_folder_writable_by_others_is_refused(state: Path, mode: int) -> None:
    write_journal(state)
    state.chmod(mode)
    assert "chmod 700" in assert_refused(state, StateError, "other users can write").hint


def test_folder_and_files_are_private_to_their_owner(state: Path) -> None:
    with Journal.open(state) as journal:
        start_run(journal)
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
        assert set(modes.values()) == {0o600}
        assert {"journal.db", "journal.db-wal", "journal.anchor"} <= set(modes)
    (state / "journal.db").chmod(0o644)
    Journal.open(state).close()
    assert stat.S_IMODE((state / "journal.db").stat().st_mode) == 0o600


def test_database_of_another_program_is_refused_unchanged(state: Path) -> None:
    state.mkdir(mode=0o700)
    connection = sqlite3.connect(state / "journal.db")
    connection.execute("CREATE TABLE foreign_table (x)")
    connection.close()
    assert_refused(state, StateError, "not a journal of batchsync")
    connection = sqlite3.connect(state / "journal.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("foreign_table",)]
    connection.close()


def test_journal_of_newer_version_is_refused(state: Path) -> None:
    write_journal(state)
    connection = sqlite3.connect(state / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "Upgrade batchsync" in assert_refused(state, StateError, "newer batchsync").hint


@pytest.mark.parametrize("keep", [1, 15, 16, 99, 100, 4095, 4096, 8192, -4096, -1])
def test_truncated_file_is_refused(state: Path, keep: int) -> None:
    write_journal(state)
    file = state / "journal.db"
    os.truncate(file, keep if keep > 0 else file.stat().st_size + keep)
    assert_refused(state, StateError, "damaged")


def test_flipped_bit_is_refused_found_or_harmless(state: Path, tmp_path: Path) -> None:
    """Any flipped bit: never a traceback, never a batch, run or event that was not written."""
    write_journal(state)
    with Journal.open(state) as journal:
        original = snapshot(journal)
    file, size = tmp_path / "flipped" / "journal.db", (state / "journal.db").stat().st_size
    draw, results = draws(1), set()
    shutil.copytree(state, file.parent)
    content = file.read_bytes()
    for offset in [*range(0, 100, 7), *(draw.randrange(size) for _ in range(300))]:
        damaged = bytearray(content)
        damaged[offset] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        file.with_suffix(".db-wal").unlink(missing_ok=True)
        file.with_suffix(".db-shm").unlink(missing_ok=True)
        try:
            with Journal.open(file.parent) as journal:
                current = snapshot(journal)
                # Counts, phases and events have checksums; everything else is compared here.
                assert current[:3] == original[:3]
                results.add("harmless" if current == original and not journal.audit() else "found")
        except (StateError, UnavailableError) as error:
            results.add("refused" if error.hint else "refused without a hint")
    assert results <= {"harmless", "found", "refused"}
    assert results >= {"harmless", "refused"}


def test_journal_with_deleted_wal_is_refused(state: Path) -> None:
    """Without its -wal file the journal is valid but older, and would send batches twice."""
    write_unclosed_journal(state)
    (state / "journal.db-wal").unlink()
    (state / "journal.db-shm").unlink()
    assert "journal.anchor" in assert_refused(state, StateError, "was rolled back").hint
    assert_refused(state, StateError, "was rolled back", read_only=True)
    (state / "journal.anchor").unlink()
    with Journal.open(state) as journal:
        assert journal.history() == ()


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.9])
def test_truncated_or_corrupt_wal_is_refused(state: Path, tmp_path: Path, fraction: float) -> None:
    write_unclosed_journal(state)
    shutil.copytree(state, tmp_path / "scrambled")
    wal = state / "journal.db-wal"
    offset = int(wal.stat().st_size * fraction)
    os.truncate(wal, offset)
    assert_refused(state, StateError, "was rolled back")
    wal = tmp_path / "scrambled" / "journal.db-wal"
    content = bytearray(wal.read_bytes())
    content[offset + 30] ^= 0x10
    wal.write_bytes(content)
    assert_refused(tmp_path / "scrambled", StateError, "was rolled back|damaged")


def test_commits_of_killed_process_are_complete(state: Path) -> None:
    write_unclosed_journal(state)
    with Journal.open(state, read_only=True) as reader:
        assert len(reader.open_batches()) == 1
    with Journal.open(state) as journal:
        assert len(journal.open_batches()) == 1
        assert journal.audit() == ()


def test_restored_old_copy_is_refused(state: Path) -> None:
    write_journal(state)
    shutil.copy(state / "journal.db", state.parent / "backup")
    with Journal.open(state) as journal:
        start_run(journal, serial=2)
    shutil.copy(state.parent / "backup", state / "journal.db")
    assert_refused(state, StateError, "its last transaction is")


def test_other_journal_in_same_folder_is_refused(state: Path, tmp_path: Path) -> None:
    write_journal(state)
    Journal.open(tmp_path / "other", journal_id="journal-2").close()
    shutil.copy(tmp_path / "other" / "journal.db", state / "journal.db")
    assert_refused(state, StateError, "not the journal that was here before")


def test_missing_file_with_existing_wal_is_not_recreated(state: Path) -> None:
    write_unclosed_journal(state)
    (state / "journal.db").unlink()
    assert_refused(state, StateError, "the file is missing")


def test_unreadable_commit_watermark_is_ignored(state: Path) -> None:
    write_journal(state)
    (state / "journal.anchor").write_bytes(b"\xff nonsense")
    with Journal.open(state) as journal:
        assert journal.history()


def test_leftovers_of_killed_creation_are_replaced(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "journal.db.new").write_bytes(b"half")
    (state / "journal.db.new-wal").write_bytes(b"half")
    with Journal.open(state) as journal:
        assert journal.history() == ()
    assert not list(state.glob("journal.db.new*"))


def test_reading_unused_folder_is_refused_and_creates_nothing(state: Path) -> None:
    assert_refused(state, StateError, "no journal", read_only=True)
    assert not state.exists()
    state.mkdir(mode=0o700)
    assert_refused(state, StateError, "no journal", read_only=True)
    assert list(state.iterdir()) == []


def test_read_only_journal_reads_everything_and_writes_nothing(state: Path) -> None:
    write_journal(state)
    before = (state / "journal.db").read_bytes()
    with Journal.open(state, read_only=True) as reader:
        assert reader.audit() == ()
        assert reader.read_only
        with pytest.raises(UnavailableError, match="reading only"):
            reader.record(reader.open_batches()[0], IntentRecorded(at=NOW, verb=Verb.ALLOCATE))
    assert (state / "journal.db").read_bytes() == before


def run_unprivileged(work: Callable[[], None]) -> None:
    """Run `work` without root privileges, and restore them."""
    if os.geteuid() != 0:
        work()
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(65534, 65534, 0)
    os.setresuid(65534, 65534, 0)
    try:
        work()
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def test_unwritable_folder_is_reported_and_stays_readable() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        state = Path(base) / "state"
        write_journal(state)
        (state / "journal.db").chmod(0o644)
        (state / "journal.anchor").chmod(0o644)
        state.chmod(0o555)

        def work() -> None:
            with pytest.raises(UnavailableError) as caught:
                Journal.open(state)
            assert caught.value.hint
            with pytest.raises(UnavailableError):
                Journal.open(state / "below")
            with Journal.open(state, read_only=True) as reader:
                assert len(reader.open_batches()) == 1

        run_unprivileged(work)
        state.chmod(0o700)


def test_unreadable_file_is_reported() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        state = Path(base) / "state"
        write_journal(state)
        state.chmod(0o755)
        (state / "journal.db").chmod(0o000)

        def work() -> None:
            for read_only in (False, True):
                with pytest.raises(UnavailableError, match="Permission denied"):
                    Journal.open(state, read_only=read_only)

        run_unprivileged(work)


def test_connection_has_required_pragmas(journal: Journal) -> None:
    def read_pragma(name: str) -> object:
        return journal._db.execute(f"PRAGMA {name}").fetchone()[0]

    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000, "secure_delete": 1}
    assert {name: read_pragma(name) for name in expected} == expected


def test_large_journal_is_checked_in_depth_only_after_unclean_close(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "QUICK_CHECK_MAX_BYTES", 0)
    unclean: list[bool] = []
    verify = store._verify
    monkeypatch.setattr(
        store,
        "_verify",
        lambda *args, **options: unclean.append(options["unclean"]) or verify(*args, **options),
    )
    write_unclosed_journal(state)
    Journal.open(state).close()
    Journal.open(state).close()
    assert unclean[-2:] == [True, False]


@pytest.mark.parametrize("statement", ["UPDATE events SET kind = 'Uploaded'", "DELETE FROM events"])
def test_events_cannot_be_changed_or_deleted(journal: Journal, statement: str) -> None:
    start_run(journal)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        journal._db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM events WHERE no = 3", "event 4 .* an event before it is missing"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000+00:00' WHERE no = 3", "event 3 .* was changed"),
        ("UPDATE batches SET phase = 'submitted' WHERE seq = 1", "was changed after batchsync wrote it"),
        ("UPDATE runs SET state = 'prepared', spec_hash = ''", "was changed after batchsync wrote it"),
        ("DROP TRIGGER events_are_only_pruned", "a trigger .* is missing"),
    ],
)
def test_audit_finds_external_edits(state: Path, statement: str, finding: str) -> None:
    write_journal(state)
    connection = sqlite3.connect(state / "journal.db", isolation_level=None)
    triggers = [
        row[0]
        for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'events*'")
    ]
    connection.execute("DROP TRIGGER events_are_only_redacted")
    if "DROP" not in statement:
        connection.execute("DROP TRIGGER events_are_only_pruned")
    connection.execute(statement)
    for trigger in triggers[: 1 if "DROP" in statement else 2]:
        connection.execute(trigger)
    connection.close()
    with Journal.open(state) as journal:
        findings = journal.audit()
    assert any(re.search(finding, item) for item in findings), findings


def test_audit_finds_row_that_differs_from_its_events(journal: Journal) -> None:
    """The forged row has a valid checksum but no matching event."""
    from batchsync.journal import codec  # noqa: PLC0415 - used by this test only

    batch = start_run(journal)[0]
    forged = codec.batch_row(record_all(journal, batch)) | {"attempt": 7}
    forged["checksum"] = codec.row_checksum(forged)
    journal._db.execute("UPDATE batches SET attempt = 7, checksum = ? WHERE id = ?", [forged["checksum"], batch.id])
    assert any("its replayed events result in" in item for item in journal.audit())


def test_lock_timeout_names_the_other_process(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(state)
    with Journal.open(state) as holder, Journal.open(state) as other:
        other._db.execute("PRAGMA busy_timeout = 50")
        monkeypatch.setattr(holder, "_failpoint", None)
        with holder._write("test"), pytest.raises(LockedError, match="another process has been writing"):
            other.approve("guests", "p", "r", NOW)
        other.approve("guests", "p", "r", NOW)
