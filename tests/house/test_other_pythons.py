"""tools/test-other-pythons.sh tests each supported Python version of the machine and reports skipped versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "test-other-pythons.sh"
#: Versions other than that of the running interpreter, which is not tested again.
OTHERS = sorted({"3.11", "3.12", "3.13"} - {f"3.{sys.version_info.minor}"})


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the only programs that the script finds; its `make` prints its arguments."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sed", "sort", "ls", "dirname"):
        (programs / name).symlink_to(str(which(name)))
    write(programs / "make", 'echo "make $*"')
    return tmp_path


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["#!/bin/bash", *lines, ""]), encoding="utf-8")
    file.chmod(0o755)


def python(file: Path, version: str, *, venv: bool = True) -> None:
    """Write a fake interpreter that prints its version and succeeds or fails to import ensurepip."""
    write(
        file,
        'case "$*" in',
        f"  *version_info*) echo {version} ;;",
        f"  *ensurepip*) exit {0 if venv else 1} ;;",
        f"  *) echo Python {version}.7 ;;",
        "esac",
    )


def run(machine: Path) -> subprocess.CompletedProcess[str]:
    command = [str(which("bash")), str(SCRIPT)]
    environ = {"PATH": str(machine / "bin"), "HOME": str(machine), "VENV": sys.prefix}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_missing_versions_are_reported(machine: Path) -> None:
    # A shim of pyenv fails if its version is not selected.
    write(machine / "bin" / f"python{OTHERS[0]}", "exit 127")
    done = run(machine)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"Python {version}: skipped, not on this machine" for version in OTHERS]


def test_version_without_ensurepip_is_reported(machine: Path) -> None:
    program = machine / "bin" / f"python{OTHERS[0]}"
    python(program, OTHERS[0], venv=False)
    done = run(machine)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == (f"Python {OTHERS[0]}: skipped, {program} cannot make a virtual environment")


def test_pyenv_version_is_found_behind_its_shim(machine: Path) -> None:
    write(machine / "bin" / f"python{OTHERS[0]}", "exit 127")
    real = machine / ".pyenv" / "versions" / f"{OTHERS[0]}.7" / "bin" / f"python{OTHERS[0]}"
    python(real, OTHERS[0])
    write(machine / "bin" / "make", 'echo "make $*"', "exit 3")
    done = run(machine)
    assert done.returncode != 0, "a failing version must not be skipped"
    assert done.stdout.splitlines() == [
        f"Python {OTHERS[0]}: Python {OTHERS[0]}.7 at {real}",
        f"make .venv-{OTHERS[0]}/.installed-dev VENV=.venv-{OTHERS[0]} PYTHON={real}",
    ]
