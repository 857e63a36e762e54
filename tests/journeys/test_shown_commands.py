"""Blocks of shell commands on pages without a session of their own run as they are shown, against the mocks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from kit.planned import write_guests

if TYPE_CHECKING:
    from kit.deployment import Deployment

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands(page: str, *, first: str) -> list[list[str]]:
    """Return the commands of batchsync of a block, as words without comments.

    Args:
        page: Name of the page.
        first: Begin of the first command of the block.
    """
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    (lines,) = [block.splitlines() for block in blocks if block.startswith(f"batchsync {first}")]
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(item[0] == "batchsync" for item in words)
    return [item[1:] for item in words]


def test_plan_file_is_made_approved_and_delivered(deployment: Deployment) -> None:
    write_guests(deployment, *range(1, 31))
    deployment.run("sync", "guests")
    write_guests(deployment, 1)
    shown = [deployment.run(*words) for words in commands("plan-files.md", first="plan guests")]
    assert len(shown) == 4
    assert "approved the plan in guests.plan" in shown[2]
    assert "0 added, 0 changed, 29 removed" in shown[3]


def test_vendors_are_listed_for_editors(deployment: Deployment) -> None:
    members, services = (deployment.run(*words) for words in commands("editors.md", first="vendors"))
    assert "identifiers[].provider" in members
    assert "Vehicle ID WOVR Batch" in services


def test_lost_state_is_begun_again(deployment: Deployment) -> None:
    init, assume, plan = commands("gitops.md", first="state init")
    deployment.run(*init)
    assert "29 records assumed" in deployment.run(*assume)
    assert "(nothing to send)" in deployment.run(*plan)


def test_metrics_are_written_for_cron(deployment: Deployment, tmp_path: Path) -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^batchsync (sync --metrics-file .*)$", text, re.MULTILINE)
    words = shlex.split(line.replace("/var/lib/node_exporter", str(tmp_path)))
    deployment.run(*words)
    assert "batchsync_rows_total" in (tmp_path / "batchsync.prom").read_text(encoding="utf-8")
