"""The tests of the shipped jobs, and of those that `init` writes, pass."""

from __future__ import annotations

import shutil
from pathlib import Path

from kit.mapping_tests import TestFolder

ROOT = Path(__file__).parents[2]


def test_each_shipped_job_has_tests_that_pass_without_its_source(tmp_path: Path) -> None:
    folder = TestFolder(tmp_path)
    shutil.copy(ROOT / "jobs.yaml", folder.jobs)
    (tmp_path / "examples" / "queries").mkdir(parents=True)
    shutil.copy(ROOT / "examples/queries/members.sql", tmp_path / "examples/queries")

    found = folder.run("test", "--no-scenarios").stdout

    assert [line.partition(":")[0] for line in found.splitlines()] == [
        "vehicle-checks",
        "guests",
        "orders",
        "members",
        "total",
    ]


def test_shipped_tests_pass_with_the_columns_of_the_sources(tmp_path: Path) -> None:
    folder = TestFolder(tmp_path)
    shutil.copy(ROOT / "jobs.yaml", folder.jobs)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("warehouse"))

    assert "scenarios against mocks: 1 test, 1 passed" in folder.run("test").stdout


def test_tests_of_new_deployments_pass(tmp_path: Path) -> None:
    folder = TestFolder(tmp_path)
    folder.run("init")

    assert "guests: 2 tests, 2 passed" in folder.run("test", "guests").stdout
    assert "total: 6 tests, 6 passed" in folder.run("test").stdout
