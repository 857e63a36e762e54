"""What stands in the way is told, with the file's name and the next thing to do, and nothing is lost."""

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

from lading.core.job import Results
from lading.errors import EnvironmentProblem, ExitCode
from lading.sinks import Sinks, disk, sqlite_table

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
KINDS = ("csv", "parquet", "jsonl", "sqlite")


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.parquet"
    pl.DataFrame({"vin": ["00123", "B"], "word": ["clean", "written off"]}).write_parquet(file)
    return file


def deliver(answers: Path, file: Path, kind: str | None = None, table: str | None = None) -> int:
    return Sinks().deliver(answers, Results(path=str(file), format=kind or file.suffix[1:], table=table), ("vin",))


def refusal(answers: Path, file: Path, kind: str | None = None, table: str | None = None) -> EnvironmentProblem:
    """Deliver, expect a refusal that names the file and what to do, and nothing left beside the file."""
    before = sorted(path for path in file.parent.iterdir() if not path.name.endswith("-journal"))
    with pytest.raises(EnvironmentProblem) as caught:
        deliver(answers, file, kind, table)
    problem = caught.value
    assert str(file) in problem.message
    assert "lading resume" in problem.hint
    assert problem.exit_code is ExitCode.ENVIRONMENT
    assert sorted(path for path in file.parent.iterdir() if not path.name.endswith("-journal")) == before
    return problem


DAMAGED = {
    "a row with too many cells": ("csv", b"vin,word\nA,b\nC,d,SECRET\n"),
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
def test_a_damaged_file_stays_as_it_is_and_is_named(tmp_path: Path, answers: Path, name: str) -> None:
    kind, content = DAMAGED[name]
    file = tmp_path / f"out.{kind}"
    file.write_bytes(content)

    problem = refusal(answers, file)

    assert file.read_bytes() == content
    assert "SECR" not in problem.message + problem.hint


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_bytes(b"\xef\xbb\xbfvin,word\r\n00123,old\r\n\r\nZ,mine\r\n")

    assert deliver(answers, file) == 3
    assert file.read_text(encoding="utf-8") == "vin,word\n00123,clean\nZ,mine\nB,written off\n"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_is_nothing_yet(tmp_path: Path, answers: Path, kind: str) -> None:
    file = tmp_path / f"out.{kind}"
    file.touch()

    assert deliver(answers, file) == 2


def test_a_header_alone_is_kept(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("word,vin,note\n", encoding="utf-8")

    assert deliver(answers, file) == 2
    assert file.read_text(encoding="utf-8").splitlines()[:2] == ["word,vin,note", "clean,00123,"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_or_a_pipe_in_the_place_is_refused(tmp_path: Path, answers: Path, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    assert "not a regular file" in refusal(answers, tmp_path / "folder", kind).message
    assert "not a regular file" in refusal(answers, tmp_path / "pipe", kind).message


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, answers: Path, kind: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EnvironmentProblem, match=r"Not a directory|File exists"):
        deliver(answers, tmp_path / "file" / "out", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path, answers: Path, kind: str) -> None:
    real, link = tmp_path / "elsewhere" / f"real.{kind}", tmp_path / f"out.{kind}"
    link.symlink_to(real)

    assert deliver(answers, link) == 2
    assert deliver(answers, link) == 2

    assert link.is_symlink()
    assert real.stat().st_size > 0


def test_a_circle_of_links_is_told(tmp_path: Path, answers: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")

    refusal(answers, tmp_path / "a.csv")


def test_what_a_crash_left_is_not_written_through(tmp_path: Path, answers: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    (tmp_path / ".out.csv.lading").symlink_to(victim)

    assert deliver(answers, tmp_path / "out.csv") == 2
    assert victim.read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / ".out.csv.lading").exists()


def test_a_file_keeps_its_access_rights(tmp_path: Path, answers: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("vin,word\n", encoding="utf-8")
    file.chmod(0o640)

    deliver(answers, file)

    assert file.stat().st_mode & 0o777 == 0o640


@contextmanager
def small_disk(bytes_most: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_the_old_content(tmp_path: Path, answers: Path, kind: str) -> None:
    file = tmp_path / f"out.{kind}"
    deliver(answers, file)
    before = file.read_bytes()
    many = tmp_path / "many.parquet"
    pl.select(vin=pl.int_range(20_000).cast(pl.String), word=pl.int_range(20_000).hash().cast(pl.String)).write_parquet(
        many
    )

    with small_disk(len(before) + 20_000):
        refusal(many, file)

    assert file.read_bytes() == before
    assert deliver(many, file) == 20_002


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, to whom no file is forbidden; others have none to give up."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def in_the_open() -> Iterator[Path]:
    """Give a folder that everybody can reach; those of pytest are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_without_write_access_is_told(in_the_open: Path, kind: str) -> None:
    answers, file = in_the_open / "answers.parquet", in_the_open / "closed" / f"out.{kind}"
    pl.DataFrame({"vin": ["A"], "word": ["clean"]}).write_parquet(answers)
    # The first delivery makes the file, and loads all that has to be read while rights are there.
    deliver(answers, file)
    file.chmod(0o444)
    file.parent.chmod(0o555)

    with as_nobody():
        problem = refusal(answers, file)

    assert "denied" in problem.message or "readonly" in problem.message
    file.parent.chmod(0o755)


def test_a_table_with_another_primary_key_is_refused(tmp_path: Path, answers: Path) -> None:
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


def test_other_tables_and_rows_of_the_users_database_are_left_alone(tmp_path: Path, answers: Path) -> None:
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


def test_a_database_that_somebody_holds_is_waited_for_and_then_told(
    tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_table, "BUSY_TIMEOUT_S", 0.2)
    file = tmp_path / "own.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in refusal(answers, file).message
        other.execute("ROLLBACK")

    assert deliver(answers, file) == 2


def test_two_deliveries_into_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
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
def test_a_crash_between_write_and_rename_leaves_the_old_file(
    tmp_path: Path, answers: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"out.{kind}"
    deliver(answers, file)
    before = file.read_bytes()
    more = tmp_path / "more.parquet"
    pl.DataFrame({"vin": ["C"], "word": ["new"]}).write_parquet(more)

    class PowerCut(BaseException):
        """The machine goes dark."""

    def dark(*_: Path) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dark)
        with pytest.raises(PowerCut):
            deliver(more, file)

    assert file.read_bytes() == before
    assert deliver(more, file) == 3


def test_the_file_and_its_folder_are_on_disk_before_delivery_ends(
    tmp_path: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = disk._sync, Path.replace

    def seen_sync(path: Path) -> None:
        done.append(f"sync {path.name}")
        sync(path)

    def seen_replace(self: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(disk, "_sync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_replace)

    deliver(answers, tmp_path / "new" / "out.csv")

    assert done == [f"sync {tmp_path.name}", "sync .out.csv.lading", "rename to out.csv", "sync new"]
