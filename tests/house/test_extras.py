"""Extras that messages and pages name: each exists, and one function writes the command that installs it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from batchsync.errors import install_hint

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
NAMED = re.compile(r"batchsync\[([^\]]+)\]")
CALL = re.compile(r"install_hint\(([^)]*)\)")
#: The function, and a plan's table of extras by kind of database.
WRITER = ROOT / "engine" / "batchsync" / "errors.py"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted((ROOT / "engine").rglob("*.py"))


def test_one_function_writes_the_command() -> None:
    others = [str(path) for path in MODULES if path != WRITER and NAMED.search(path.read_text(encoding="utf-8"))]
    assert others == []
    assert install_hint("excel") == "Install it: pip install 'batchsync[excel]'"


def test_extras_of_messages_exist() -> None:
    calls = [call for path in MODULES if path != WRITER for call in CALL.findall(path.read_text(encoding="utf-8"))]
    assert len(calls) >= 2
    named = {call.strip("'\"") for call in calls if call.startswith(("'", '"'))}
    assert named <= set(EXTRAS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_extras_of_pages_exist(page: Path) -> None:
    found = {name for names in NAMED.findall(page.read_text(encoding="utf-8")) for name in names.split(",")}
    assert found <= set(EXTRAS)
