"""What README shows is what happens: its commands run in order, and its first sync prints what it says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what a newcomer's clone has for the main job."""
    shutil.copy(ROOT / "jobs.yaml", tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def batchsync(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run batchsync in the folder as a newcomer would: no credentials, no settings."""
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }
    command = [sys.executable, "-m", "batchsync", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands_of_readme_work_in_the_order_shown(clone: Path) -> None:
    shown = [
        line for block in CONSOLE.findall(README) for line in block.splitlines() if line.startswith("$ batchsync ")
    ]
    assert len(shown) >= 7
    for line in shown:
        done = batchsync(clone, *shlex.split(line.removeprefix("$ batchsync ")))
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_first_sync_prints_what_readme_shows(clone: Path) -> None:
    done = batchsync(clone, "sync", "--mocks")

    assert done.returncode == 0, done.stderr
    expected = (ROOT / "docs" / "first-sync.txt").read_text(encoding="utf-8")
    assert expected in README
    assert MOMENT.sub("", done.stdout) == MOMENT.sub("", expected)


def test_the_two_commands_of_readme_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\$ make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_edited_row_is_planned_alone_and_invalid_file_is_reported(clone: Path) -> None:
    assert batchsync(clone, "sync", "--mocks").returncode == 0
    customers = clone / "examples" / "data" / "customers.csv"
    text = customers.read_text(encoding="utf-8")
    line = text.splitlines()[5]
    customers.write_text(text.replace(line, line.replace("@", ".new@", 1)), encoding="utf-8")

    planned = batchsync(clone, "plan", "--mocks", "guests")
    assert "~ 1 change" in planned.stdout
    assert "+ 0 adds" in planned.stdout
    assert re.findall(r"^  [+~-] .*", planned.stdout, re.MULTILINE) == [f"  ~ {line.partition(',')[0]} (row 5)"]

    jobs = clone / "jobs.yaml"
    jobs.write_text(
        jobs.read_text(encoding="utf-8").replace("guestType: customer", "guestTyp: customer"), encoding="utf-8"
    )
    told = batchsync(clone, "validate")
    assert told.returncode == 2
    assert 'did you mean "guestType"?' in told.stderr
    assert re.search(r"jobs\.yaml:\d+:\d+:", told.stderr)
