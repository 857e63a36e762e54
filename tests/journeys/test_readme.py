"""The commands in README.md run in the order shown, and the recorded session prints what README shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kit.command_forks import command_forks
from kit.page_sessions import STEP, matches

if TYPE_CHECKING:
    import subprocess

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the files of a fresh clone that the main job needs."""
    shutil.copy(ROOT / "jobs.yaml", tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def batchsync(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run batchsync in the folder without credentials and settings."""
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC", "MOTORWEB", "SITECORE"))
    }
    return command_forks().run(arguments, cwd=folder, environ=environ, timeout=120)


def test_recorded_session_and_commands_run_in_the_order_shown(clone: Path) -> None:
    session = STEP.findall((ROOT / "docs" / "demo" / "session.txt").read_text(encoding="utf-8"))
    assert len(session) >= 4
    for command, shown in session:
        completed = batchsync(clone, *shlex.split(command)[1:])
        assert completed.returncode == 0, completed.stderr
        assert matches(shown, completed.stdout), f"{command}\n{shown}\n{completed.stdout}"

    commands = [
        line for block in CONSOLE.findall(README) for line in block.splitlines() if line.startswith("$ batchsync ")
    ]
    assert len(commands) >= 5
    for line in commands:
        completed = batchsync(clone, *shlex.split(line.removeprefix("$ batchsync ")))
        assert completed.returncode == 0, f"{line}\n{completed.stdout}\n{completed.stderr}"


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 160


def test_make_targets_of_readme_exist() -> None:
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
    validated = batchsync(clone, "validate")
    assert validated.returncode == 2
    assert 'did you mean "guestType"?' in validated.stderr
    assert re.search(r"jobs\.yaml:\d+:\d+:", validated.stderr)
