"""Commands at the prompt import only what they use: the packages that they leave out take longer than the commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Packages that write state or send requests, and those that read rows.
EFFECTS = {"sqlite3", "sqlite_utils", "requests", "batchsync.reconcile", "batchsync.ports.observer"}
ROWS = {"numpy", "pyarrow", "polars_hash", "batchsync.data.engine", "batchsync.data.compare"}
DECLARATION = {"pydantic", "pydantic_settings", "ruamel.yaml", "batchsync.spec.models"}


def imported_by(command: list[str], state: Path) -> set[str]:
    """Return the modules that a command imports on the shipped deployment, as Python itself lists them."""
    line = [sys.executable, "-X", "importtime", "-m", "batchsync", *command]
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("BATCHSYNC_", "COVERAGE_"))}
    environ["BATCHSYNC_STATE"] = str(state)
    completed = subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return {match[1] for match in re.finditer(r"^import time:.*\|\s*([\w.]+)$", completed.stderr, re.MULTILINE)}


@pytest.mark.parametrize(
    ("command", "needed", "unneeded"),
    [
        (["--help"], {"click"}, {"polars", "sqlglot", "rich", *DECLARATION, *EFFECTS, *ROWS}),
        (["status"], {"click", *DECLARATION}, {"polars", "sqlglot", "rich", *EFFECTS, *ROWS}),
        # The shipped jobs have tests, whose rows are mapped to see that they fit.
        (["validate"], {"polars", *DECLARATION}, {"rich", *EFFECTS}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_command_imports_only_what_it_uses(
    command: list[str], needed: set[str], unneeded: set[str], tmp_path: Path
) -> None:
    imported = imported_by(command, tmp_path / "state")

    assert needed <= imported
    assert sorted(imported & unneeded) == []
