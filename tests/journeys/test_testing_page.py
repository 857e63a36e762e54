"""The examples of docs/testing.md are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchsync.spec.models_scenarios import ExpectModel, FaultModel, ScenarioModel
from batchsync.spec.models_tests import MappingTestModel
from kit.mapping_tests import TestFolder

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
_TIME = re.compile(r" \((?:[\d.]+) m?s\)$", re.MULTILINE)


def example(title: str) -> str:
    """Return the code block of the page that follows a mark."""
    found = re.search(rf"<!-- test: {title} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, title
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> TestFolder:
    found = TestFolder(tmp_path)
    found.jobs.write_text(example("a mapping"), encoding="utf-8")
    return found


def test_example_passes(folder: TestFolder) -> None:
    assert _TIME.sub("", folder.run("test").stdout) == example("its output")


def test_forgotten_function_is_shown_and_accepted(folder: TestFolder) -> None:
    folder.jobs.write_text(example("a mapping").replace("=initcap(FirstName)", "=FirstName"), encoding="utf-8")

    assert _TIME.sub("", folder.run("test", expect=9).stdout) == example("a failing test")
    folder.run("test", "--update")
    assert "firstName: ANNA, email" in folder.jobs.read_text(encoding="utf-8")


def test_example_for_pytest_passes(folder: TestFolder) -> None:
    (folder.path / "test_guests.py").write_text(example("in pytest"), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder.path)],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_example_of_a_scenario_passes(folder: TestFolder) -> None:
    folder.jobs.write_text(example("a mapping") + example("a scenario"), encoding="utf-8")

    assert "scenarios against mocks: 1 test, 1 passed" in folder.run("test").stdout


def test_every_key_of_a_test_is_explained() -> None:
    assert [name for name in MappingTestModel.model_fields if f"| `{name}` |" not in PAGE] == []
    assert [name for name in ScenarioModel.model_fields if f"| `{name}` |" not in PAGE] == []
    assert [name for name in (*FaultModel.model_fields, *ExpectModel.model_fields) if f"`{name}`" not in PAGE] == []
