"""The container image is built and runs, where a container engine is there; tests/house/test_deploy.py lints it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = shutil.which("docker") or "docker"
HAS_ENGINE = (
    shutil.which("docker") is not None
    and not subprocess.run([DOCKER, "info"], check=False, capture_output=True).returncode
)


@pytest.mark.skipif(not HAS_ENGINE, reason="no container engine runs here")
@pytest.mark.timeout(900)
def test_image_is_built_and_runs(tmp_path: Path) -> None:
    image = tmp_path / "image"
    build = [DOCKER, "build", "--quiet", "--file", ROOT / "deploy/Dockerfile", "--iidfile", image, ROOT]
    subprocess.run(build, check=True, timeout=800)
    run = [DOCKER, "run", "--rm", "--network", "none", image.read_text(encoding="utf-8"), "--version"]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)
    assert "batchsync" in done.stdout
