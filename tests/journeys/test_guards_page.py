"""The example of docs/guards.md runs as it is printed, and its guards hold before anything is sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.core.guards import Guards
from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "guards.md"
BLOCK = re.compile(r"<!-- test: (.*?) -->\n```\w+\n(.*?)```", re.DOTALL)
#: numbers of delivered and deleted guests after each `sync` of the page
EXPECTED = [(40, 0), (40, 0), (40, 20), (40, 20), (41, 20)]


def ledger_counts(deployment: Deployment) -> tuple[int, int]:
    """Return how many records of guests the vendor received, and how many deletions."""
    modes = [item["mode"] for item in deployment.mocks.ledger(CDP)]
    return len(modes) - modes.count("delete"), modes.count("delete")


def test_examples_of_the_page_run_as_printed(deployment: Deployment) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    ((_, jobs),) = [block for block in blocks if block[0] == "jobs.yaml"]
    (deployment.folder / "jobs.yaml").write_text(jobs, encoding="utf-8")
    environ = deployment.environ()
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    commands = [line for name, text in blocks if name == "commands" for line in text.splitlines()]
    counts = []
    for line in commands:
        command, _, exit_code = line.removeprefix("$ ").partition("# exit ")
        done = subprocess.run(
            ["bash", "-c", command], cwd=deployment.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == int(exit_code or 0), f"{line}\n{done.stdout}\n{done.stderr}"
        if "batchsync sync" in command:
            counts.append(ledger_counts(deployment))
    assert counts == EXPECTED


def test_every_guard_is_on_the_page_in_the_order_of_evaluation() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [
        "min_rows",
        "removals_after_edit",
        "removals_after_lost_file",
        "max_remove",
        "max_change",
        "max_invalid",
    ]
    assert set(listed) == {item.name for item in fields(Guards)}


@pytest.mark.parametrize("page", ["README.md", "docs/gitops.md", "docs/guarantees.md"])
def test_page_is_linked(page: str) -> None:
    assert "guards.md" in (PAGE.parents[1] / page).read_text(encoding="utf-8")
