"""The move of docs/operations.md to another machine runs as printed; batches in flight end there, once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.deployment import CDP

if TYPE_CHECKING:
    import pytest

    from kit.deployment import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"<!-- test: (.*?) -->\n```\w+\n(.*?)```", re.DOTALL)


def run(deployment: Deployment, lines: str) -> str:
    """Run the commands of a block and check their exit codes."""
    environ = deployment.environ()
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    shown = ""
    for line in lines.splitlines():
        command, _, exit_code = line.partition("# exit ")
        done = subprocess.run(
            ["bash", "-c", command], cwd=deployment.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == int(exit_code or 0), f"{line}\n{done.stdout}\n{done.stderr}"
        shown += done.stdout + done.stderr
    return shown


def test_state_is_moved_as_printed(deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8").replace("    on_removed:", "    schedule: {every: 1h}\n    on_removed:")
    jobs.write_text(text + "state: {backup: {path: ../unused-with-mocks}}\n", encoding="utf-8")
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(tmp_path / "home" / "old"))
    deployment.run("sync", "guests", "--no-wait", expect=5)
    run(deployment, blocks["old machine"])

    there = replace(deployment, folder=tmp_path / "elsewhere")
    shutil.copytree(deployment.folder, there.folder, ignore=shutil.ignore_patterns("elsewhere", "vendors", "mocks"))
    shutil.copytree(
        deployment.folder / ".batchsync" / "mocks-backups",
        there.folder / ".batchsync" / "mocks-backups",
        dirs_exist_ok=True,
    )
    monkeypatch.setenv("BATCHSYNC_ANCHORS", str(tmp_path / "home" / "new"))
    run(there, blocks["new machine"])

    assert set(deployment.delivered(CDP).values()) == {1}
    assert [item["state"] for item in there.json("history", "guests")["runs"]] == ["settled"]
