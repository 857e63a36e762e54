"""More rejects than the journal has rows for: every command sees all of them, and `forget` leaves no trace."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

from kit.state_search import files_with

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from kit.deployment import Deployment

INVALID = 100_020
LAST = f"wrong-{INVALID:06d}"


def state(deployment: Deployment) -> Path:
    return deployment.folder / ".batchsync" / "mocks"


def test_rejects_beyond_the_rows_of_a_run_are_listed_forgotten_and_backed_up(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(tmp_path / "home" / "anchors"))
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text() + "state: {backup: {path: ../unused-with-mocks}}\n", encoding="utf-8")
    rows = "".join(f"wrong-{number:06d},name,no address\n" for number in range(1, INVALID + 1))
    (deployment.folder / "guests.csv").write_text(f"id,name,email\nG1,ada,ada@example.com\n{rows}", encoding="utf-8")
    deployment.run("sync", "guests", expect=4)

    (file,) = (state(deployment) / "rejects" / "guests").iterdir()
    assert deployment.json("rejects", "guests", "--limit", "1")["total"] == INVALID
    assert "invalid  guests-1" in deployment.run("why", LAST, "--job", "guests")
    deployment.run("rejects", "--export", "why.csv")
    with (deployment.folder / "why.csv").open(encoding="utf-8", newline="") as export:
        keys = [row["key"] for row in csv.DictReader(export)]
    assert keys == [f"wrong-{number:06d}" for number in range(1, INVALID + 1)]
    (shown,) = deployment.json("state", "show", "guests")["jobs"]
    assert (shown["rejects"], shown["reject_bytes"]) == (INVALID, file.stat().st_size)

    deployment.run("forget", LAST, "--job", "guests", "--reason", "request 7")

    assert not file.exists()
    assert files_with(state(deployment), LAST) == []
    assert deployment.json("rejects", "guests", "--limit", "1")["total"] == INVALID - 1
    (kept,) = (state(deployment) / "rejects" / "guests").iterdir()

    deployment.run("state", "backup")
    kept.unlink()
    deployment.run("why", "wrong-100019", "--job", "guests", expect=3)
    assert "rejects are missing in the state folder" in (deployment.folder / "last.log").read_text(encoding="utf-8")
    shutil.rmtree(state(deployment))
    deployment.run("state", "restore", "--reason", "the disk broke")
    assert "invalid  guests-1" in deployment.run("why", "wrong-100019", "--job", "guests")
