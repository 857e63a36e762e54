"""Completion in the shell: what the program prints for it, and that a real bash completes a line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kit.deployment import Deployment

SHELLS = {"bash": "bash_source", "zsh": "zsh_source", "fish": "fish_source"}
BIN = Path(sys.executable).parent


def completed(deployment: Deployment, line: str, shell: str = "bash") -> list[str]:
    """Return what completes the last word of a command line."""
    words = line.split(" ")
    last = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    environ = deployment.environ() | last | {"_BATCHSYNC_COMPLETE": f"{shell}_complete"}
    command = [sys.executable, "-m", "batchsync"]
    done = subprocess.run(
        command, cwd=deployment.folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [item for item in done.stdout.splitlines() if item]
    return lines[1::3] if shell == "zsh" else [item.split(",", 1)[1].partition("\t")[0] for item in lines]


def test_tags_and_jobs_of_a_line(deployment: Deployment) -> None:
    file = deployment.folder / "jobs.yaml"
    file.write_text(file.read_text().replace("  guests:\n", "  guests:\n    tags: [nightly]\n"), encoding="utf-8")
    assert completed(deployment, "batchsync sync g") == ["guests"]
    assert completed(deployment, "batchsync sync ")[:2] == ["vehicles", "guests"]
    assert completed(deployment, "batchsync sync tag:") == ["tag:nightly"]
    assert completed(deployment, "batchsync sync tag:nightly,g") == ["tag:nightly,guests"]
    assert completed(deployment, "batchsync sync +g") == ["+guests"]
    assert completed(deployment, "batchsync plan --exclude con") == ["connection:motorweb", "connection:sitecore"]
    assert completed(deployment, "batchsync status result:f") == ["result:failed"]
    assert completed(deployment, "batchsync approve v") == ["vehicles"]


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_codes_in_every_shell(shell: str, deployment: Deployment) -> None:
    assert completed(deployment, "batchsync sy", shell) == ["sync"]
    environ = deployment.environ() | {"_BATCHSYNC_COMPLETE": SHELLS[shell]}
    done = subprocess.run(
        [sys.executable, "-m", "batchsync"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert "_batchsync_completion" in done.stdout
    assert not list(deployment.folder.rglob("crash-*"))


def test_options_and_codes(deployment: Deployment) -> None:
    assert completed(deployment, "batchsync sync --no-w") == ["--no-wait"]
    assert completed(deployment, "batchsync explain bs-y01")[:2] == ["BS-Y010", "BS-Y011"]


def test_runs_and_open_batches_are_completed(deployment: Deployment) -> None:
    assert completed(deployment, "batchsync show guests-") == []
    deployment.run("sync", "guests", "--no-wait", expect=5)
    assert completed(deployment, "batchsync show guests-") == ["guests-1"]
    (batch,) = completed(deployment, "batchsync cancel guests-")
    assert batch in deployment.run("status")


def test_options_before_the_command_name_the_file(deployment: Deployment) -> None:
    other = deployment.folder / "other.yaml"
    other.write_text((deployment.folder / "jobs.yaml").read_text().replace("  guests:", "  people:"), encoding="utf-8")
    assert completed(deployment, "batchsync -f other.yaml sync p") == ["people"]
    assert completed(deployment, "batchsync sync -f other.yaml p") == ["people"]


@pytest.mark.parametrize("content", ["", "jobs: [", "jobs:\n  guests: {recrod: 1}\n", "\x00", "jobs: {guests: , x: }"])
def test_invalid_jobs_files_print_nothing_and_leave_no_crash_file(content: str, deployment: Deployment) -> None:
    (deployment.folder / "jobs.yaml").write_text(content, encoding="utf-8")
    assert completed(deployment, "batchsync sync g") in ([], ["guests"])
    (deployment.folder / "jobs.yaml").unlink()
    assert completed(deployment, "batchsync sync g") == []
    assert not list(deployment.folder.rglob("crash-*"))


def test_a_real_bash_completes_a_line(deployment: Deployment) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = """
    eval "$(_BATCHSYNC_COMPLETE=bash_source batchsync)"
    complete -p batchsync
    COMP_WORDS=(batchsync sync ve); COMP_CWORD=2
    _batchsync_completion batchsync
    echo "reply: ${COMPREPLY[*]}"
    """
    environ = deployment.environ() | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], cwd=deployment.folder, env=environ, capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "reply: vehicles"
    assert "-F _batchsync_completion batchsync" in done.stdout
    assert "error" not in done.stderr
