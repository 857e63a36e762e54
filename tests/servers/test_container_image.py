"""The container image is built and runs, where a container engine is there; tests/house/test_deploy.py lints it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def docker() -> str:
    """The command of a container engine that runs."""
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "info"], check=False, capture_output=True).returncode:
        pytest.skip("no container engine runs here")
    return found


@pytest.mark.timeout(900)
def test_image_is_built_and_runs(docker: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    build = [docker, "build", "--quiet", "--file", ROOT / "deploy/Dockerfile", "--iidfile", image, ROOT]
    subprocess.run(build, check=True, timeout=800)
    run = [docker, "run", "--rm", "--network", "none", image.read_text(encoding="utf-8"), "--version"]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)
    assert "batchsync" in done.stdout
