"""What `rejects --export` writes, where, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lading.report.rejects import EXPORT_HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from kit.deployment import Deployment

HEADER = ",".join(EXPORT_HEADER)


def test_an_export_replaces_an_export_and_an_empty_file(deployment: Deployment) -> None:
    deployment.run("sync", "vehicles")
    why = deployment.folder / "why.csv"
    for before in (None, "", f"{HEADER}\nan,older,one\n", f"{HEADER}\r\n"):
        if before is not None:
            why.write_text(before, encoding="utf-8")
        assert "1 reject written to why.csv" in deployment.run("rejects", "--export", "why.csv")
        assert [line.split(",")[0] for line in why.read_text(encoding="utf-8").splitlines()] == ["job", "vehicles"]


@pytest.mark.parametrize("name", ["jobs.yaml", "vehicles.csv", "link.csv", "pipe.csv", "nowhere.csv"])
def test_nothing_but_an_export_is_replaced(deployment: Deployment, name: str) -> None:
    (deployment.folder / "link.csv").symlink_to("vehicles.csv")
    (deployment.folder / "nowhere.csv").symlink_to("not-there.csv")
    os.mkfifo(deployment.folder / "pipe.csv")
    deployment.run("sync", "vehicles")
    before = {one.name: one.lstat() for one in deployment.folder.iterdir() if one.is_file() or one.is_fifo()}

    assert deployment.run("rejects", "--export", name, expect=2) == ""

    log = (deployment.folder / "last.log").read_text(encoding="utf-8")
    assert log == (
        f"error: {name} is already there and is no export of rejects; nothing was written\n"
        "next: name another file, or `-` for stdout\n"
    )
    after = {one.name: one.lstat() for one in deployment.folder.iterdir() if one.is_file() or one.is_fifo()}
    assert {one: after[one].st_ino for one in before} == {one: before[one].st_ino for one in before}
    assert after["jobs.yaml"].st_mtime_ns == before["jobs.yaml"].st_mtime_ns


def lading(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in the folder; $L is lading."""
    environ = os.environ | {"L": f"{sys.executable} -m lading"}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_before_the_first_run_an_export_has_its_header_alone(tmp_path: Path) -> None:
    done = lading(tmp_path, "$L rejects --export - && $L rejects --export why.csv")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [HEADER, "all jobs: 0 rejects written to why.csv"]
    assert (tmp_path / "why.csv").read_text(encoding="utf-8").splitlines() == [HEADER]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$L rejects --export - >&-", 0, ""),
        ("$L rejects --export - | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("$L rejects --export - >/dev/full", 3, "error: stdout could not be written: No space left on device"),
        ("$L rejects --export - -o json", 2, "error: --export - writes CSV to stdout, --output json something else"),
        ("$L rejects --export why.csv --groups", 2, "error: --groups counts, --export writes every row"),
    ],
)
def test_an_export_to_stdout_ends_as_every_command_does(tmp_path: Path, line: str, code: int, said: str) -> None:
    done = lading(tmp_path, line)

    assert (done.returncode, done.stderr[: len(said)]) == (code, said)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
