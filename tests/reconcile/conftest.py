"""Shared fixtures of the reconcile tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Test folders are no packages; shared modules are found by their folder.
sys.path.insert(0, str(Path(__file__).parent))

from harness import Harness

from kit.deployment import CDP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment


@pytest.fixture
def harness(deployment: Deployment) -> Iterator[Harness]:
    """The engine in this process, over HTTP to mocks, with the clock of the mocks."""
    with Harness.opened(deployment) as opened:
        yield opened


@pytest.fixture
def rejecting(deployment: Deployment) -> Iterator[Harness]:
    """The engine with a vendor that refuses the titles of two guests."""
    deployment.mocks.switch(CDP, closed_lists=True)
    guests, jobs = deployment.folder / "guests.csv", deployment.folder / "jobs.yaml"
    lines = guests.read_text("utf-8").splitlines()
    titles = ["title", "Sorcerer", "Wizard", *["Ms"] * (len(lines) - 3)]
    guests.write_text("".join(f"{line},{title}\n" for line, title in zip(lines, titles, strict=True)), "utf-8")
    text = jobs.read_text("utf-8").replace("=initcap(name)\n", "=initcap(name)\n      title: =title\n")
    jobs.write_text(text, "utf-8")
    with Harness.opened(deployment) as opened:
        yield opened
