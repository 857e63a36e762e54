"""Sink errors: reported with the file and the next command, without data loss."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import tempfile
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.core.job import Results
from batchsync.errors import ExitCode, UnavailableError
from batchsync.sinks import Sinks, atomic_write, sqlite_table
from batchsync.util import files as util_files

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPRIVILEGED_UID = 65534
KINDS = ("csv", "parquet", "jsonl", "sqlite")


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.parquet"
    pl.DataFrame({"vin": ["00123", "B"], "word": ["clean", "written off"]}).write_parquet(file)
    return file


def deliver(answers: Path, file: Path, kind: str | None = None, table: str | None = None) -> int:
    return Sinks().deliver(answers, Results(path=str(file), format=kind or file.suffix[1:], table=table), ("vin",))


def refusal(answers: Path, file: Path, kind: str | None = None, table: str | None = None) -> UnavailableError:
    """Return the error of a delivery; it names the file and the next command, and leaves no other file."""
    before = sorted(path for path in file.parent.iterdir() if not path.name.endswith("-journal"))
    with pytest.raises(UnavailableError) as caught:
        deliver(answers, file, kind, table)
    problem = caught.value
    assert str(file) in problem.message
    assert "batchsync resume" in problem.hint
    assert problem.exit_code is ExitCode.ENVIRONMENT
    assert sorted(path for path in file.parent.iterdir() if not path.name.endswith("-journal")) == before
    return problem


DAMAGED = {
    "a row with too large cells": ("csv", b"vin,word\nA,b\nC,d,SECRET\n"),
    "a quote that never ends": ("csv", b'vin,word\nA,"SECRET\nC,d\n'),
    "another encoding": ("csv", "vin,word\nA,SÉCRET\n".encode("latin-1")),
    "UTF-16": ("csv", "vin,word\nA,SECRET\n".encode("utf-16")),
    "no key column": ("csv", b"plate,word\nA,SECRET\n"),
    "semicolons": ("csv", b"vin;word\nA;SECRET\n"),
    "a column twice": ("csv", b"vin,word,word\nA,b,SECRET\n"),
    "a key twice": ("csv", b"vin,word\nA,SECRET\nA,c\n"),
    "only line ends": ("csv", b"\n\n"),
    "not Parquet": ("parquet", b"vin,word\nA,SECRET\n"),
    "half a Parquet file": ("parquet", b"PAR1\0\0SECRET"),
    "not JSON": ("jsonl", b'{"vin":"A"}\nSECRET\n'),
    "half a line": ("jsonl", b'{"vin":"A"}\n{"vin":"SECR'),
    "one big array": ("jsonl", b'[{"vin":"SECRET"}]\n'),
    "a key twice in JSON": ("jsonl", b'{"vin":"SECRET"}\n{"vin":"SECRET"}\n'),
    "a list where answers have text": ("jsonl", b'{"vin":"A","word":{"SECRET":1}}\n'),
    "not a database": ("sqlite", b"SECRET " * 200),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_file_is_unchanged_and_named(tmp_path: Path, answers: Path, name: str) -> None:
    kind, content = DAMAGED[name]
    file = tmp_path / f"out.{kind}"
    file.write_bytes(content)

    problem = refusal(answers, file)

    assert file.read_bytes() == content
    assert "SECR" not in problem.message + problem.hint


def test_spreadsheet_csv_is_read(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_bytes(b"\xef\xbb\xbfvin,word\r\n00123,old\r\n\r\nZ,mine\r\n")

    assert deliver(answers, file) == 3
    assert file.read_text(encoding="utf-8") == "vin,word\n00123,clean\nZ,mine\nB,written off\n"


@pytest.mark.parametrize("kind", KINDS)
def test_empty_file_is_treated_as_new(tmp_path: Path, answers: Path, kind: str) -> None:
    file = tmp_path / f"out.{kind}"
    file.touch()

    assert deliver(answers, file) == 2


def test_header_without_rows_is_kept(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("word,vin,note\n", encoding="utf-8")

    assert deliver(answers, file) == 2
    assert file.read_text(encoding="utf-8").splitlines()[:2] == ["word,vin,note", "clean,00123,"]


@pytest.mark.parametrize("kind", KINDS)
def test_folder_or_pipe_as_target_is_refused(tmp_path: Path, answers: Path, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert "not a regular file" in refusal(answers, tmp_path / "folder", kind).message
    assert "not a regular file" in refusal(answers, tmp_path / "pipe", kind).message


@pytest.mark.parametrize("kind", KINDS)
def test_folder_creation_error_is_reported(tmp_path: Path, answers: Path, kind: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UnavailableError, match=r"Not a directory|File exists"):
        deliver(answers, tmp_path / "file" / "out", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_symlink_target_is_replaced(tmp_path: Path, answers: Path, kind: str) -> None:
    real, link = tmp_path / "elsewhere" / f"real.{kind}", tmp_path / f"out.{kind}"
    link.symlink_to(real)

    assert deliver(answers, link) == 2
    assert deliver(answers, link) == 2

    assert link.is_symlink()
    assert real.stat().st_size > 0


def test_symlink_cycle_is_reported(tmp_path: Path, answers: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")

    refusal(answers, tmp_path / "a.csv")


def test_leftover_temporary_link_is_not_followed(tmp_path: Path, answers: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (tmp_path / ".out.csv.batchsync").symlink_to(victim)

    assert deliver(answers, tmp_path / "out.csv") == 2
    assert victim.read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / ".out.csv.batchsync").exists()


def test_file_keeps_its_mode(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("vin,word\n", encoding="utf-8")
    file.chmod(0o640)

    deliver(answers, file)

    assert file.stat().st_mode & 0o777 == 0o640


@contextmanager
def small_disk(max_bytes: int) -> Iterator[None]:
    """Limit the size of files that this process writes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk_leaves_old_content(tmp_path: Path, answers: Path, kind: str) -> None:
    file = tmp_path / f"out.{kind}"
    deliver(answers, file)
    before = file.read_bytes()
    large = tmp_path / "large.parquet"
    pl.select(vin=pl.int_range(20_000).cast(pl.String), word=pl.int_range(20_000).hash().cast(pl.String)).write_parquet(
        large
    )

    with small_disk(len(before) + 20_000):
        refusal(large, file)

    assert file.read_bytes() == before
    assert deliver(large, file) == 20_002


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Run without the rights of root, if the process has them."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(UNPRIVILEGED_UID)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def world_readable_folder() -> Iterator[Path]:
    """A folder readable by all users, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("kind", KINDS)
def test_read_only_folder_is_reported(world_readable_folder: Path, kind: str) -> None:
    answers, file = world_readable_folder / "answers.parquet", world_readable_folder / "closed" / f"out.{kind}"
    pl.DataFrame({"vin": ["A"], "word": ["clean"]}).write_parquet(answers)
    # The first delivery creates the file, and imports modules while the rights are there.
    deliver(answers, file)
    file.chmod(0o444)
    file.parent.chmod(0o555)

    with as_unprivileged_user():
        problem = refusal(answers, file)

    assert "denied" in problem.message or "readonly" in problem.message
    file.parent.chmod(0o755)


def test_table_with_other_primary_key_is_refused(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "own.sqlite"
    with closing(sqlite3.connect(file)) as own:
        own.execute("CREATE TABLE bare (vin TEXT, word TEXT)")
        own.execute("CREATE TABLE other (id INTEGER PRIMARY KEY, vin TEXT, word TEXT)")
        own.execute("CREATE TABLE numbers (vin INTEGER PRIMARY KEY, word TEXT)")
        own.execute("CREATE VIEW seen AS SELECT * FROM bare")

    assert "primary key is not (vin)" in refusal(answers, file, table="bare").message
    assert "primary key is not (vin)" in refusal(answers, file, table="other").message
    assert "into a number" in refusal(answers, file, table="numbers").message
    assert "a view" in refusal(answers, file, table="seen").message


def test_other_tables_and_rows_are_unchanged(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "own.sqlite"
    with closing(sqlite3.connect(file)) as own, own:
        own.execute("CREATE TABLE checks (vin TEXT PRIMARY KEY, note TEXT)")
        own.execute("INSERT INTO checks VALUES ('B', 'mine'), ('X', 'also mine')")
        own.execute("CREATE TABLE precious AS SELECT 1 AS one")

    assert deliver(answers, file, table="checks") == 3

    with closing(sqlite3.connect(file)) as own:
        rows = own.execute("SELECT vin, note, word FROM checks ORDER BY rowid").fetchall()
        assert rows == [("B", "mine", "written off"), ("X", "also mine", None), ("00123", None, "clean")]
        assert own.execute("SELECT count(*) FROM precious").fetchone() == (1,)


def test_locked_database_is_reported_after_timeout(
    tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_table, "BUSY_TIMEOUT_S", 0.2)
    file = tmp_path / "own.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in refusal(answers, file).message
        other.execute("ROLLBACK")

    assert deliver(answers, file) == 2


def test_concurrent_deliveries_lose_nothing(tmp_path: Path) -> None:
    parts = []
    for number in range(8):
        parts.append(tmp_path / f"part{number}.parquet")
        pl.DataFrame({"vin": [f"{number}-{row}" for row in range(50)]}).write_parquet(parts[-1])
    threads = [threading.Thread(target=deliver, args=(part, tmp_path / "out.csv")) for part in parts]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pl.read_csv(tmp_path / "out.csv", infer_schema=False).height == 400


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_crash_before_rename_leaves_old_file(
    tmp_path: Path, answers: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"out.{kind}"
    deliver(answers, file)
    before = file.read_bytes()
    more = tmp_path / "more.parquet"
    pl.DataFrame({"vin": ["C"], "word": ["new"]}).write_parquet(more)

    class PowerFailure(BaseException):
        """Simulated power failure."""

    def fail(*_: Path) -> None:
        raise PowerFailure

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(PowerFailure):
            deliver(more, file)

    assert file.read_bytes() == before
    assert deliver(more, file) == 3


def test_file_and_folder_are_fsynced(tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync_file, fsync_folder, replace = util_files.fsync_file, util_files.fsync_folder, Path.replace

    def record_sync(path: Path) -> None:
        done.append(f"sync {path.name}")
        fsync_file(path)

    def seen_fsync_folder(path: Path) -> None:
        done.append(f"sync {path.name}")
        fsync_folder(path)

    def record_replace(self: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(util_files, "fsync_file", record_sync)
    for module in (util_files, atomic_write):
        monkeypatch.setattr(module, "fsync_folder", seen_fsync_folder)
    monkeypatch.setattr(Path, "replace", record_replace)

    deliver(answers, tmp_path / "new" / "out.csv")

    assert done == [f"sync {tmp_path.name}", "sync .out.csv.batchsync", "rename to out.csv", "sync new"]
