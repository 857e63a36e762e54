"""Odd paths in every place, and folders left by killed processes: errors in words with the documented exit code."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.cli.root import main
from batchsync.util import scratch
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = """\
version: 1
connections:
  crm:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${K}", api_token: "${T}"}CA
jobs:
  guests:
    source: {path: SOURCE, key: idJOIN}
    target: {connection: crm, schema: guest}
    mode: upsert
    record: {guestType: customer, email: =email, identifiers: [{provider: CRM, id: =id}]}
"""
LONG = "x" * 300
DEEP = "x/" * 2040
BYTES = os.fsdecode(b"\xff")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a command with a jobs.yaml; it returns the exit code and the output."""
    (tmp_path / "good.csv").write_text("id,email\n1,a@example.com\n", encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    frame = pl.DataFrame({"id": ["1"], "email": ["a@example.com"]})
    for ending in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"z.{ending}"
        {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
        path.rename(tmp_path / f"odd{BYTES}.{ending}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K", "key")
    monkeypatch.setenv("T", "token")

    def run_command(*arguments: str, source: str = "good.csv", join: str = "", ca: str = "") -> tuple[int, str]:
        text = JOBS.replace("SOURCE", source).replace("JOIN", join).replace("CA\n", f"{ca}\n")
        (tmp_path / "jobs.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out + captured.err

    return run_command


SOURCES = {
    "long name": f"{LONG}.csv", "long name in a glob": f"{LONG}*.csv", "long path": f"{DEEP}x.csv", "NUL": '"a\\0.csv"',
    "folder": "folder.csv", "file as a folder": "good.csv/x.csv", "bytes csv": "odd*.csv", "bytes jsonl": "odd*.jsonl",
    "bytes parquet": "odd*.parquet", "bytes among others": "'**/*.csv'", "bracket": "'[.csv'", "root": "/.csv",
    "bidirectional": '"\\u202e.csv"', "dot": "./.csv", "unknown user": "~nosuchuser/x.csv",
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_odd_path_of_a_source_is_an_error_in_words(run: Callable[..., tuple[int, str]], name: str) -> None:
    code, shown = run("plan", source=SOURCES[name])
    assert code == (2 if name == "NUL" else 3), shown
    assert "unexpected" not in shown
    assert "(TypeError)" not in shown
    assert "\u202e" not in shown
    if "bytes" in name:
        assert "has a name that is not UTF-8" in shown


@pytest.mark.parametrize("path", [f"{LONG}.csv", f"{DEEP}x.csv", "folder.csv", "good.csv/x"])
def test_odd_path_elsewhere_in_jobs_yaml_is_an_error_in_words(run: Callable[..., tuple[int, str]], path: str) -> None:
    assert run("plan", join=f", join: [{{path: {path}, on: id}}]")[0] == 3
    code, shown = run("sync", ca=f"\n    ca_bundle: {path}")
    assert code in {2, 3}
    assert "unexpected" not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("-f", LONG, "validate"),
        ("-f", DEEP, "validate"),
        ("-f", "folder.csv", "plan"),
        ("-f", "good.csv/x", "plan"),
        ("-f", f"{BYTES}.yaml", "validate"),
        ("-f", f"{BYTES}.yaml", "validate", "--untrusted"),
        ("--state", LONG, "status"),
        ("--state", DEEP + DEEP, "plan"),
        ("--state", "good.csv", "status"),
        ("--state", "good.csv", "plan"),
        ("--state", "good.csv/x", "plan"),
        ("--state", BYTES, "sync", "--mocks"),
        ("--state", BYTES, "plan"),
        ("rejects", "--export", LONG),
        ("rejects", "--export", "folder.csv"),
        ("why", "--job", "nojob", BYTES),
        ("plan", BYTES),
        ("show", BYTES),
        ("plan", "a\u202eb"),
    ],
)
def test_odd_path_on_the_command_line_is_an_error_in_words(
    run: Callable[..., tuple[int, str]], arguments: tuple[str, ...]
) -> None:
    code, shown = run(*arguments)
    assert code in {2, 3} or arguments == ("--state", "good.csv/x", "plan")
    assert "error: unexpected" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device", "big")])
def test_lack_of_memory_or_space_is_an_error_in_words(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("batchsync.cli.session.Session.journal", fail)
    code, shown = run("plan")
    assert code == 3
    assert ("not enough memory" if isinstance(error, MemoryError) else "No space left") in shown


def test_folder_of_a_killed_process_is_swept_and_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_LOCKED_AFTER", -1)
    program = "import os, time\nfrom batchsync.util.scratch import scratch_folder\n"
    program += (
        "with scratch_folder() as folder:\n    (folder / 'x').write_text('rows')\n    print(folder, flush=True)\n"
    )
    program += "    time.sleep(100)\n"
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        (tmp_path / "batchsync-tmp-file").write_text("kept", encoding="utf-8")
        (tmp_path / "batchsync-tmp-link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").mkdir()
        with scratch_folder() as own:
            assert left.is_dir()
        assert not own.exists()
        process.send_signal(signal.SIGKILL)
    with scratch_folder():
        assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"batchsync-tmp-file", "batchsync-tmp-link", "elsewhere"}


def test_new_folder_without_a_lock_yet_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "batchsync-tmp-new").mkdir()
    with scratch_folder() as own:
        descriptor = os.open(own, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    assert [path.name for path in tmp_path.iterdir()] == ["batchsync-tmp-new"]


def test_plan_leaves_no_folder(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert run("plan")[0] == 0
    assert list(folder.iterdir()) == []
