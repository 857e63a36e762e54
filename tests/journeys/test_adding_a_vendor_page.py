"""The tutorial docs/adding-a-vendor.md is true: with its files, its commands print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-vendor.md").read_text(encoding="utf-8")
#: Marks with the code block that follows each.
BLOCK = re.compile(r"<!-- (file|run|output)(?:: ([\w./-]+))? -->\n```\w+\n(.*?)```", re.DOTALL)


def run(folder: Path, script: str, *, expect: int = 0) -> str:
    """Run commands of the page in a shell; return what they print."""
    scripts = Path(sys.executable).parent
    environ = {name: text for name, text in os.environ.items() if not name.startswith("BATCHSYNC_")}
    environ |= {"PATH": f"{scripts}:{os.environ['PATH']}", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_tutorial_leads_to_a_settled_sync(tmp_path: Path) -> None:
    found = BLOCK.findall(PAGE)
    assert len(found) == len(re.findall(r"^```\w", PAGE, re.MULTILINE)), "every block of the page has a mark"
    printed = ""
    for kind, name, text in found:
        if kind == "file":
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif kind == "run":
            printed = run(tmp_path, text)
        elif name == "deviation":
            upload = tmp_path / "birdmail" / "exchanges" / "upload.yaml"
            good = upload.read_text(encoding="utf-8")
            upload.write_text(good.replace("text/csv", "text/plain"), encoding="utf-8")
            assert text in run(tmp_path, "batchsync vendors check ./birdmail --no-mock", expect=9)
            upload.write_text(good, encoding="utf-8")
        else:
            assert [line for line in text.splitlines() if line not in printed] == [], printed
