"""A journal that cannot be trusted is refused in words that say what to do; it is never read wrongly."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from journal_samples import DELIVERED, NOW, a_baseline, killed, lived, rejects, snapshot, started

from lading.core.batch import Verb
from lading.core.events import Announced
from lading.errors import EnvironmentProblem, LadingError, LockedError, StateError
from lading.journal import Journal, store

if TYPE_CHECKING:
    from collections.abc import Callable


def filled(folder: Path) -> None:
    """Write a journal with something in every table, and close it."""
    with Journal.open(folder, lineage="lineage-1") as journal:
        one, _ = started(journal, batches=2)
        journal.deliver(lived(journal, one), DELIVERED, baseline=a_baseline(one), rejects=rejects(30))
        journal.claim_slot("guests", NOW)


def left_unclean(folder: Path) -> None:
    """Write a journal and die without closing it, so that its -wal file is all there is of the last writes."""

    def work() -> None:
        journal = Journal.open(folder, lineage="lineage-1")
        started(journal)
        os.kill(os.getpid(), signal.SIGKILL)

    filled_first = Journal.open(folder, lineage="lineage-1")
    filled_first.approve("guests", "p", "r", NOW)
    filled_first.close()
    assert killed(work)
    assert (folder / "journal.db-wal").stat().st_size > 0


def refused(folder: Path, kind: type[LadingError], match: str, *, read_only: bool = False) -> LadingError:
    with pytest.raises(kind, match=match) as caught:
        Journal.open(folder, read_only=read_only)
    assert caught.value.hint, "every refusal says what to do"
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
def test_a_file_that_is_no_journal_is_refused(state: Path, content: bytes, match: str, read_only: bool) -> None:  # noqa: FBT001 - a column of the table
    state.mkdir(mode=0o700)
    (state / "journal.db").write_bytes(content)
    refused(state, StateError, match, read_only=read_only)
    assert (state / "journal.db").read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_refused(state: Path) -> None:
    (state / "journal.db").mkdir(parents=True)
    state.chmod(0o700)
    refused(state, StateError, "not a regular file")


def test_a_symlink_is_refused_whether_file_or_folder(state: Path, tmp_path: Path) -> None:
    filled(tmp_path / "real")
    state.mkdir(mode=0o700)
    (state / "journal.db").symlink_to(tmp_path / "real" / "journal.db")
    refused(state, StateError, "not a regular file")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    refused(tmp_path / "link", StateError, "not a folder")


def test_a_file_in_the_place_of_the_folder_is_refused(state: Path) -> None:
    state.write_text("x")
    refused(state, StateError, "not a folder")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_is_refused(state: Path, mode: int) -> None:
    filled(state)
    state.chmod(mode)
    assert "chmod 700" in refused(state, StateError, "others may write").hint


def test_folder_and_files_are_for_their_owner_alone(state: Path) -> None:
    with Journal.open(state) as journal:
        started(journal)
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in state.iterdir()}
        assert set(modes.values()) == {0o600}
        assert {"journal.db", "journal.db-wal", "journal.anchor"} <= set(modes)
    (state / "journal.db").chmod(0o644)
    Journal.open(state).close()
    assert stat.S_IMODE((state / "journal.db").stat().st_mode) == 0o600


def test_another_programs_database_is_refused_and_left_alone(state: Path) -> None:
    state.mkdir(mode=0o700)
    connection = sqlite3.connect(state / "journal.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    refused(state, StateError, "no journal of lading")
    connection = sqlite3.connect(state / "journal.db")
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_journal_of_a_newer_lading_is_refused(state: Path) -> None:
    filled(state)
    connection = sqlite3.connect(state / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    hint = refused(state, StateError, "newer lading").hint
    assert hint == "Install a newer lading from its repository."


@pytest.mark.parametrize("keep", [1, 15, 16, 99, 100, 4095, 4096, 8192, -4096, -1])
def test_a_cut_file_is_refused(state: Path, keep: int) -> None:
    filled(state)
    file = state / "journal.db"
    os.truncate(file, keep if keep > 0 else file.stat().st_size + keep)
    refused(state, StateError, "damaged")


def test_a_flipped_bit_is_refused_or_found_or_harmless(state: Path, tmp_path: Path) -> None:
    """Whatever bit turns: never a traceback, never a batch, run or event that was not written."""
    filled(state)
    with Journal.open(state) as journal:
        whole = snapshot(journal)
    file, size = tmp_path / "flipped" / "journal.db", (state / "journal.db").stat().st_size
    draw, seen = random.Random(1), set()  # noqa: S311 - a fixed sample of places
    shutil.copytree(state, file.parent)
    original = file.read_bytes()
    for place in [*range(0, 100, 7), *(draw.randrange(size) for _ in range(300))]:
        damaged = bytearray(original)
        damaged[place] ^= 1 << draw.randrange(8)
        file.write_bytes(damaged)
        file.with_suffix(".db-wal").unlink(missing_ok=True)
        file.with_suffix(".db-shm").unlink(missing_ok=True)
        try:
            with Journal.open(file.parent) as journal:
                now = snapshot(journal)
                # Books, phases and events carry check sums; what has none is compared here.
                assert now[:3] == whole[:3]
                seen.add("harmless" if now == whole and not journal.audit() else "found")
        except (StateError, EnvironmentProblem) as error:
            seen.add("refused" if error.hint else "refused without advice")
    assert seen <= {"harmless", "found", "refused"}
    assert seen >= {"harmless", "refused"}


def test_a_journal_whose_last_writes_were_deleted_is_refused(state: Path) -> None:
    """Without its -wal file the journal is sound, older, and would send batches twice."""
    left_unclean(state)
    (state / "journal.db-wal").unlink()
    (state / "journal.db-shm").unlink()
    assert "journal.anchor" in refused(state, StateError, "was set back").hint
    refused(state, StateError, "was set back", read_only=True)
    (state / "journal.anchor").unlink()
    with Journal.open(state) as journal:
        assert journal.history() == ()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_cut_or_scrambled_wal_is_refused(state: Path, tmp_path: Path, share: float) -> None:
    left_unclean(state)
    shutil.copytree(state, tmp_path / "scrambled")
    wal = state / "journal.db-wal"
    place = int(wal.stat().st_size * share)
    os.truncate(wal, place)
    refused(state, StateError, "was set back")
    wal = tmp_path / "scrambled" / "journal.db-wal"
    content = bytearray(wal.read_bytes())
    content[place + 30] ^= 0x10
    wal.write_bytes(content)
    refused(tmp_path / "scrambled", StateError, "was set back|damaged")


def test_what_a_killed_process_committed_is_all_there(state: Path) -> None:
    left_unclean(state)
    with Journal.open(state, read_only=True) as reader:
        assert len(reader.open_batches()) == 1
    with Journal.open(state) as journal:
        assert len(journal.open_batches()) == 1
        assert journal.audit() == ()


def test_an_old_copy_put_back_is_refused(state: Path) -> None:
    filled(state)
    shutil.copy(state / "journal.db", state.parent / "backup")
    with Journal.open(state) as journal:
        started(journal, serial=2)
    shutil.copy(state.parent / "backup", state / "journal.db")
    refused(state, StateError, "it stands at transaction")


def test_another_journal_in_the_same_place_is_refused(state: Path, tmp_path: Path) -> None:
    filled(state)
    Journal.open(tmp_path / "other", lineage="lineage-2").close()
    shutil.copy(tmp_path / "other" / "journal.db", state / "journal.db")
    refused(state, StateError, "another journal")


def test_a_file_that_is_gone_while_its_wal_is_there_is_not_made_anew(state: Path) -> None:
    left_unclean(state)
    (state / "journal.db").unlink()
    refused(state, StateError, "the file is gone")


def test_an_anchor_of_nonsense_does_not_matter(state: Path) -> None:
    filled(state)
    (state / "journal.anchor").write_bytes(b"\xff nonsense")
    with Journal.open(state) as journal:
        assert journal.history()


def test_a_builder_killed_half_way_leaves_nothing_in_the_way(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "journal.db.new").write_bytes(b"half")
    (state / "journal.db.new-wal").write_bytes(b"half")
    with Journal.open(state) as journal:
        assert journal.history() == ()
    assert not list(state.glob("journal.db.new*"))


def test_reading_a_folder_in_which_nothing_ran_says_so_and_makes_nothing(state: Path) -> None:
    refused(state, StateError, "no journal", read_only=True)
    assert not state.exists()
    state.mkdir(mode=0o700)
    refused(state, StateError, "no journal", read_only=True)
    assert list(state.iterdir()) == []


def test_a_reader_sees_everything_and_writes_nothing(state: Path) -> None:
    filled(state)
    before = (state / "journal.db").read_bytes()
    with Journal.open(state, read_only=True) as reader:
        assert reader.audit() == ()
        assert reader.read_only
        with pytest.raises(EnvironmentProblem, match="reading only"):
            reader.record(reader.open_batches()[0], Announced(at=NOW, verb=Verb.ALLOCATE))
    assert (state / "journal.db").read_bytes() == before


def as_nobody(work: Callable[[], None]) -> None:
    """Do the work without the rights of root, which this process can take back."""
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


def test_a_folder_that_cannot_be_written_is_told_and_can_still_be_read() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        state = Path(base) / "state"
        filled(state)
        (state / "journal.db").chmod(0o644)
        (state / "journal.anchor").chmod(0o644)
        state.chmod(0o555)

        def work() -> None:
            with pytest.raises(EnvironmentProblem) as caught:
                Journal.open(state)
            assert caught.value.hint
            with pytest.raises(EnvironmentProblem):
                Journal.open(state / "below")
            with Journal.open(state, read_only=True) as reader:
                assert len(reader.open_batches()) == 1

        as_nobody(work)
        state.chmod(0o700)


def test_a_file_without_rights_is_told() -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        state = Path(base) / "state"
        filled(state)
        state.chmod(0o755)
        (state / "journal.db").chmod(0o000)

        def work() -> None:
            for read_only in (False, True):
                with pytest.raises(EnvironmentProblem, match="Permission denied"):
                    Journal.open(state, read_only=read_only)

        as_nobody(work)


def test_every_connection_answers_to_its_pragmas(journal: Journal) -> None:
    def asked(name: str) -> object:
        return journal._db.execute(f"PRAGMA {name}").fetchone()[0]

    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000, "secure_delete": 1}
    assert {name: asked(name) for name in wanted} == wanted


def test_a_large_journal_is_checked_in_depth_only_after_an_unclean_end(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ALWAYS_CHECKED", 0)
    asked: list[bool] = []
    trust = store._trust
    monkeypatch.setattr(
        store, "_trust", lambda db, path, *, unclean: asked.append(unclean) or trust(db, path, unclean=unclean)
    )
    left_unclean(state)
    Journal.open(state).close()
    Journal.open(state).close()
    assert asked[-2:] == [True, False]


@pytest.mark.parametrize("statement", ["UPDATE events SET kind = 'Uploaded'", "DELETE FROM events"])
def test_events_are_neither_changed_nor_deleted(journal: Journal, statement: str) -> None:
    started(journal)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        journal._db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM events WHERE no = 3", "event 4 .* one before it is gone"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000+00:00' WHERE no = 3", "event 3 .* not what was written"),
        ("UPDATE batches SET phase = 'submitted' WHERE seq = 1", "not what lading wrote"),
        ("UPDATE runs SET state = 'prepared', spec_hash = ''", "not what lading wrote"),
        ("DROP TRIGGER events_are_never_deleted", "a trigger .* is gone"),
    ],
)
def test_the_audit_finds_what_was_edited_behind_our_back(state: Path, statement: str, finding: str) -> None:
    filled(state)
    connection = sqlite3.connect(state / "journal.db", isolation_level=None)
    triggers = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    connection.execute("DROP TRIGGER events_are_never_changed")
    if "DROP" not in statement:
        connection.execute("DROP TRIGGER events_are_never_deleted")
    connection.execute(statement)
    for trigger in triggers[: 1 if "DROP" in statement else 2]:
        connection.execute(trigger)
    connection.close()
    with Journal.open(state) as journal:
        findings = journal.audit()
    assert any(re.search(finding, one) for one in findings), findings


def test_a_row_that_does_not_follow_from_its_events_is_found(journal: Journal) -> None:
    """A batch row with a good check sum, but with no event behind it."""
    from lading.journal import codec  # noqa: PLC0415 - only here is a row forged

    batch = started(journal)[0]
    forged = codec.batch_row(lived(journal, batch)) | {"attempt": 7}
    forged["seal"] = codec.seal(forged)
    journal._db.execute("UPDATE batches SET attempt = 7, seal = ? WHERE id = ?", [forged["seal"], batch.id])
    assert any("its events come to" in one for one in journal.audit())


def test_a_journal_that_is_busy_too_long_says_who_to_wait_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(state)
    with Journal.open(state) as holder, Journal.open(state) as other:
        other._db.execute("PRAGMA busy_timeout = 50")
        monkeypatch.setattr(holder, "_trip", None)
        with holder._write("test"), pytest.raises(LockedError, match="another process has been writing"):
            other.approve("guests", "p", "r", NOW)
        other.approve("guests", "p", "r", NOW)
