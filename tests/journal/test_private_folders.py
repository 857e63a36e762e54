"""Every folder of the state is private to its owner, whatever the umask."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.deployment import Deployment


@pytest.fixture
def lax() -> Iterator[None]:
    """Set a umask that lets the group write, as on many systems."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of a folder and of each folder below it."""
    below = (path for path in folder.rglob("*") if path.is_dir())
    return {str(item.relative_to(folder.parent)): stat.S_IMODE(item.stat().st_mode) for item in (folder, *below)}


@pytest.mark.usefixtures("lax")
def test_missing_folders_are_created_private(tmp_path: Path) -> None:
    (tmp_path / "existing").mkdir(mode=0o775)

    make_private(tmp_path / "existing" / "a" / "b")
    make_private(tmp_path / "existing" / "a" / "b")

    assert modes(tmp_path / "existing") == {"existing": 0o775, "existing/a": 0o700, "existing/a/b": 0o700}


def test_non_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    for path in (tmp_path / "file", tmp_path / "file" / "a", tmp_path / "link", tmp_path / "link" / "a", Path("a/b")):
        with pytest.raises(OSError, match=r"exists|Not a directory|No such file"):
            make_private(path)


@pytest.mark.usefixtures("lax")
def test_first_mock_run_creates_private_folders_only(deployment: Deployment) -> None:
    bare = {name: text for name, text in os.environ.items() if not name.startswith("BATCHSYNC_")}
    command = deployment.command("sync", "--mocks", "-q")
    subprocess.run(command, cwd=deployment.folder, env=bare, stdout=subprocess.PIPE, check=True)

    found = modes(deployment.folder / ".batchsync")
    assert {name for name, mode in found.items() if mode != 0o700} == set()
    assert {".batchsync/mocks/vendors/state", ".batchsync/mocks/baselines/guests"} <= found.keys()
