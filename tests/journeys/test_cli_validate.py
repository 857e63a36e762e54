"""`batchsync validate` reports all problems at once and suggests the intended file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from batchsync.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from kit.deployment import Deployment


@pytest.fixture
def batchsync(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command line in the folder of a deployment, in this process."""
    monkeypatch.chdir(deployment.folder)
    for name in [item for item in os.environ if item.startswith("BATCHSYNC_")]:
        monkeypatch.delenv(name)
    environ = deployment.environ()
    return lambda *arguments: CliRunner().invoke(main, list(arguments), env=environ)


def test_source_and_file_problems_are_reported_together(
    deployment: Deployment, batchsync: Callable[..., Result]
) -> None:
    jobs = deployment.folder / "jobs.yaml"
    text = jobs.read_text(encoding="utf-8")
    text = text.replace("guestType: customer", "guestTyp: customer").replace("initcap(name)", "initcap(nam)")
    text = text.replace("state: =state}", "sate: =stat}").replace(
        "    mode: lookup\n", "    mode: lookup\n    gaurds: {}\n"
    )
    jobs.write_text(text, encoding="utf-8")

    result = batchsync("-o", "json", "validate")
    problems = json.loads(result.stdout)["error"]["problems"]
    assert result.exit_code == 2
    messages = [problem["message"] for problem in problems]
    assert messages[0] == 'unknown key "gaurds"'
    assert "the source has no column 'stat'" in messages
    assert 'guest has no member "guestTyp"' in messages
    assert messages[-1] == "the source has no column 'nam'"
    assert "firstName: =initcap(nam)" in batchsync("validate").stderr
    assert len(messages) == len({(problem["line"], problem["column"]) for problem in problems}), "repeated position"


def test_mistyped_source_is_a_note_with_suggestion(deployment: Deployment, batchsync: Callable[..., Result]) -> None:
    jobs = deployment.folder / "jobs.yaml"
    jobs.write_text(jobs.read_text().replace("path: guests.csv", "path: gests.csv"), encoding="utf-8")

    result = batchsync("validate")
    assert result.exit_code == 0
    assert "gests.csv does not exist. Did you mean guests.csv? Its columns were not checked" in result.stdout
    assert "Did you mean guests.csv?" in batchsync("plan", "guests").stdout
