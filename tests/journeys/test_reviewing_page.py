"""The session in docs/reviewing.md prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.deployment import Deployment

PAGE = (Path(__file__).parents[2] / "docs" / "reviewing.md").read_text(encoding="utf-8")
#: What depends on the time, or on the content of the vendor spec.
VARYING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\dZ| UTC)|about \d+ (?:s|min)\b|guests-[0-9a-f]{12}|about \d+ vendor calls"
    r"|\b[0-9a-f]{8}\b|plan file [0-9a-f]{12}, made by \S+ on \S+|id [0-9a-f]{64}|batchsync [\d.]+,|\(\d+ ms\)"
)


def block(kind: str) -> str:
    """Return the only block of a language on the page."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def steps() -> list[tuple[str, str]]:
    """Return the commands of the session with what the page shows of each."""
    text = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)


def test_session_prints_what_the_page_shows(deployment: Deployment) -> None:
    (deployment.folder / "jobs.yaml").write_text(block("yaml"), encoding="utf-8")
    (deployment.folder / "guests.csv").write_text(block("csv"), encoding="utf-8")
    found = steps()
    assert len(found) > 8
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # A terminal of a person, not the log of a pipeline.
    environ = deployment.environ() | {"PATH": path, "CI": "", "GITHUB_ACTIONS": ""}
    for command, shown in found:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=deployment.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert VARYING.sub("?", done.stdout) == VARYING.sub("?", shown), command
