"""`rejects --export` to files and stdout: written rows, exit codes, and files that are not overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from batchsync.report.rejects import EXPORT_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment

HEADER = ",".join(EXPORT_HEADER)


def test_export_overwrites_export_and_empty_file(deployment: Deployment) -> None:
    deployment.run("sync", "vehicles")
    export = deployment.folder / "why.csv"
    for content in (None, "", f"{HEADER}\nan,older,row\n", f"{HEADER}\r\n"):
        if content is not None:
            export.write_text(content, encoding="utf-8")
        assert "1 reject written to why.csv" in deployment.run("rejects", "--export", "why.csv")
        assert [line.split(",")[0] for line in export.read_text(encoding="utf-8").splitlines()] == ["job", "vehicles"]


@pytest.mark.parametrize("name", ["jobs.yaml", "vehicles.csv", "link.csv", "pipe.csv", "nowhere.csv"])
def test_export_refuses_to_overwrite_other_files(deployment: Deployment, name: str) -> None:
    (deployment.folder / "link.csv").symlink_to("vehicles.csv")
    (deployment.folder / "nowhere.csv").symlink_to("not-there.csv")
    os.mkfifo(deployment.folder / "pipe.csv")
    deployment.run("sync", "vehicles")
    before = {path.name: path.lstat() for path in deployment.folder.iterdir() if path.is_file() or path.is_fifo()}

    assert deployment.run("rejects", "--export", name, expect=2) == ""

    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert log == (
        f"error: {name} is already there and is no export of rejects; nothing was written [BS-C012]\n"
        "next: name another file, or `-` for stdout\n"
    )
    after = {path.name: path.lstat() for path in deployment.folder.iterdir() if path.is_file() or path.is_fifo()}
    assert {item: after[item].st_ino for item in before} == {item: before[item].st_ino for item in before}
    assert after["jobs.yaml"].st_mtime_ns == before["jobs.yaml"].st_mtime_ns


def batchsync(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a bash command line in the folder; `$L` is batchsync."""
    environ = os.environ | {"L": f"{sys.executable} -m batchsync"}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_export_before_first_run_contains_only_header(tmp_path: Path) -> None:
    completed = batchsync(tmp_path, "$L rejects --export - && $L rejects --export why.csv")

    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.splitlines() == [HEADER, "all jobs: 0 rejects written to why.csv"]
    assert (tmp_path / "why.csv").read_text(encoding="utf-8").splitlines() == [HEADER]


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("$L rejects --export - >&-", 0, ""),
        ("$L rejects --export - | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("$L rejects --export - >/dev/full", 3, "error: cannot write to stdout: No space left on device"),
        ("$L rejects --export - -o json", 2, "error: --export - writes CSV to stdout, --output json something else"),
        ("$L rejects --export why.csv --groups", 2, "error: --groups counts, --export writes every row"),
    ],
)
def test_export_to_stdout_uses_documented_exit_codes(tmp_path: Path, line: str, code: int, error: str) -> None:
    completed = batchsync(tmp_path, line)

    assert (completed.returncode, completed.stderr[: len(error)]) == (code, error)
    assert "Traceback" not in completed.stderr
    assert list(tmp_path.iterdir()) == []
