"""The examples of docs/schedules.md run as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.deployment import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
BLOCK = re.compile(r"<!-- test: (.*?) -->\n```\w+\n(.*?)```", re.DOTALL)
NIGHTLY = """  nightly:
    schedule: {cron: "30 2 * * *", timezone: Europe/Prague}
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record: {email: =lower(email), identifiers: [{provider: CRM, id: =id}]}
"""


def run(deployment: Deployment, line: str) -> str:
    """Run a command of the page and check its exit code."""
    command, _, exit_code = line.partition("# exit ")
    environ = deployment.environ()
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=deployment.folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == int(exit_code or 0), f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_examples_of_the_page_run_as_printed(deployment: Deployment) -> None:
    blocks = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    (deployment.folder / "jobs.yaml").write_text(blocks["jobs.yaml"] + NIGHTLY, encoding="utf-8")
    shown, idle = (run(deployment, line) for line in blocks["commands"].splitlines())
    assert "Europe/Prague), up to 5 minutes later, only mon,tue,wed,thu,fri 06:00-22:00, not" in shown
    assert len(re.findall(r"^  \w{3} ", shown, re.MULTILINE)) == 10
    assert "nothing is due" in idle
    written, crontab, manifest, refused = (run(deployment, line) for line in blocks["exports"].splitlines())
    assert "wrote units/batchsync-nightly.timer" in written
    assert (
        "OnCalendar=*-*-* 02:30:00 Europe/Prague" in (deployment.folder / "units/batchsync-nightly.timer").read_text()
    )
    assert "CRON_TZ=Europe/Prague\n30 2 * * * cd " in crontab
    assert 'timeZone: "Europe/Prague"' in manifest
    assert re.search(r"jobs\.yaml:\d+:\d+.*nightly: github cannot express times in Europe/Prague", refused), refused
