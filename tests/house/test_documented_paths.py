"""Paths that pages and scripts name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "batchsync"
PAGES = ("docs/architecture.md", "docs/guarantees.md", "CONTRIBUTING.md")
SCRIPTS = ("Makefile", ".ci/run", "tools/test-other-pythons.sh", "tools/test-wheel.sh")
CODE_SPAN = re.compile(r"`([\w.<>/-]+)`")
#: A path below tests/ or tools/ in a script; a path that begins with a variable is not of this repository.
SCRIPT_PATH = re.compile(r"(?<![\w/$}])(?:tests|tools)/[\w./-]+")
#: Folders that the import contracts provide for and that do not exist yet.
RESERVED = {"engine/batchsync/source/"}
#: Code spans that are not paths of this repository.
NO_PATHS = {".batchsync/mocks", "build/site", "results/", "./acme", "application/json"}


def paths(page: str) -> set[str]:
    """Return the code spans of a page that are paths of this repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    spans = {span for span in CODE_SPAN.findall(text) if "/" in span or span.endswith(".py")}
    return spans - RESERVED - NO_PATHS


def exists(path: str) -> bool:
    """Return whether a path exists below the root or below the engine; `<vendor>` stands for any folder."""
    pattern = path.replace("<vendor>", "*").rstrip("/")
    return any(any(root.glob(pattern)) for root in (ROOT, ENGINE))


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_pages_exist(page: str) -> None:
    found = paths(page)
    assert len(found) > 10
    assert sorted(path for path in found if not exists(path)) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_paths_in_scripts_exist(script: str) -> None:
    found = set(SCRIPT_PATH.findall((ROOT / script).read_text(encoding="utf-8")))
    assert found
    assert sorted(path for path in found if not exists(path.rstrip("."))) == []
