"""docs/mocks.md: the example passes, and the tables match the code."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from unittest.mock import ANY

import pytest

from batchsync_mocks import GenericSwitches, MotorwebSwitches, SitecoreSwitches, profiles
from batchsync_mocks.control import _PAGES
from batchsync_mocks.switches import describe

DOCS = Path(__file__).parents[2] / "docs" / "mocks.md"
TEXT = DOCS.read_text(encoding="utf-8")
JOBS = """
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
jobs:
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =initcap(name)
      email: =lower(email)
      identifiers: [{provider: CRM, id: =id}]
"""


def tables() -> dict[str, str]:
    """Return the rows of each table, generated from the code."""
    found = {"profiles": [f"| `{name}` | {profiles.profile(name).about} |" for name in profiles.names()]}
    for vendor, switches_type in (
        ("motorweb-bdp", MotorwebSwitches),
        ("sitecore-cdp", SitecoreSwitches),
        ("folders", GenericSwitches),
    ):
        found[vendor] = [
            f"| `{name}` | `{default}` | {values} | {description} |"
            for name, default, values, description in describe(switches_type)
        ]
    return {name: "\n".join(rows) for name, rows in found.items()}


@pytest.mark.parametrize("name", ["profiles", "motorweb-bdp", "sitecore-cdp", "folders"])
def test_tables_match_the_code(name: str) -> None:
    after = TEXT.partition(f"<!-- table: {name} -->\n")[2].split("\n\n")[0]
    assert "\n".join(after.splitlines()[2:]) == tables()[name]


def test_every_control_page_is_documented() -> None:
    missing = [path for _, path in _PAGES if path and f"/_mock/{path}" not in TEXT]
    assert missing == []


def test_documented_user_test_is_short_and_passes(tmp_path: Path) -> None:
    found = re.search(r"<!-- test: a users test -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    code = found[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "test_users.py").write_text(code)
    (tmp_path / "jobs.yaml").write_text(JOBS)
    rows = [f"G{number},guest {number},guest{number}@example.com" for number in range(50)]
    (tmp_path / "guests.csv").write_text("\n".join(["id,name,email", *rows]) + "\n")
    installed = any(point.name == "batchsync_mocks" for point in importlib.metadata.entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "batchsync_mocks.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, "-p", "no:cacheprovider", "--override-ini=addopts="]
    # The command `batchsync` of this interpreter's own environment.
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def passed() -> tuple[bool, str]:
        completed = subprocess.run(
            [*command, str(tmp_path)], cwd=tmp_path, env=environ, stdout=PIPE, text=True, check=False
        )
        return "1 passed" in completed.stdout, completed.stdout

    for _ in range(2):
        # Also after an earlier run, and after a manual run of the same jobs against mocks.
        assert passed() == (True, ANY)
        subprocess.run(["batchsync", "sync", "--mocks", "-q"], cwd=tmp_path, env=environ, stdout=PIPE, check=True)
    state_dir = 'sitecore_cdp.environ()["BATCHSYNC_STATE"]'
    by_state = code.replace('batchsync(sitecore_cdp, "show", "guests")', state_dir)
    assert state_dir in by_state
    (tmp_path / "test_users.py").write_text(by_state)
    assert passed() == (True, ANY), "the journal is compared with the ledger, too"
    (tmp_path / "test_users.py").write_text(code.replace("> 0", "> 50"))
    assert "Captured stderr call" in passed()[1]
    (tmp_path / "test_users.py").write_text(code)
    (tmp_path / "guests.csv").write_text("id,name,email\n")
    assert passed() == (False, ANY), "a run without rows must fail"
    (tmp_path / "guests.csv").unlink()
    assert "guests.csv does not exist" in passed()[1], "the output of batchsync is missing"
