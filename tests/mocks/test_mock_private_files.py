"""Files of the mocks belong to their user alone, whatever the umask, and existing ones are narrowed."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from mock_clients import GOOD_CSV, MOTORWEB, SITECORE, MotorwebClient, SitecoreClient, packed, record

from batchsync_mocks import Clock, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync_mocks import Running


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """Return the modes of the files and folders that are not private."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {
        str(path.relative_to(folder)): oct(mode)
        for path, mode in modes.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }


def wide_directory(folder: Path, mode: str) -> str:
    """Return the message about a directory that other users may enter."""
    warning = f"The state directory {folder} has mode {mode}: other users may enter it. Its files are private."
    return f"{warning} Next: chmod 700 {folder}"


def use_everything(running: Running) -> None:
    """Make the mocks write every kind of file."""
    good, bad = record("guest", "upsert", email="a@example.com"), record("guest", "delete", email="b@example.com")
    for _ in range(2):
        MotorwebClient(running).send(GOOD_CSV + b",MOCK404,ACT\r\n", f"cars {running.clock.now()}")
        SitecoreClient(running).send(packed(good, bad))
        running.advance(600)
        assert running.ledger(MOTORWEB)
        assert running.ledger(SITECORE)
    running.switch(SITECORE, bulk=True)
    SitecoreClient(running).send(packed(good))
    running.revoke_tokens(MOTORWEB)
    running.advance(600)
    assert running.batches(SITECORE)
    running.environ()


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
@pytest.mark.parametrize("existing", [False, True])
def test_state_directory_is_private_whatever_the_umask(tmp_path: Path, mask: int, *, existing: bool) -> None:
    folder = tmp_path / "deep" / "state"
    if existing:
        folder.mkdir(parents=True, mode=0o700)
    with umask(mask), serve(state_dir=folder, https=False, clock=Clock("2026-03-01T12:00:00Z", frozen=True)) as running:
        use_everything(running)
        assert open_to_others(folder) == {}
        saved = running.snapshot()
        running.restore(io.BytesIO(saved))
        assert open_to_others(folder) == {}
        running.reset()
        use_everything(running)
        assert open_to_others(folder) == {}
    assert existing or stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_temporary_state_directory_is_private() -> None:
    with umask(0), serve(https=True) as running:
        use = running.state_dir
        assert open_to_others(use) == {}


def test_wide_modes_in_a_snapshot_are_not_restored(tmp_path: Path) -> None:
    with serve([MOTORWEB], state_dir=tmp_path / "wide") as running:
        MotorwebClient(running).send(GOOD_CSV)
        for path in (tmp_path / "wide").rglob("*"):
            path.chmod(0o4777)
        saved = running.snapshot()
    with serve([MOTORWEB], state_dir=tmp_path / "other") as running:
        running.restore(io.BytesIO(saved))
        assert open_to_others(tmp_path / "other") == {}


def test_files_of_an_earlier_version_are_narrowed_and_a_wide_directory_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "state"
    with serve(state_dir=folder, https=True) as running:
        running.reset()
    (folder / "notes.txt").write_text("of its owner")
    outside = tmp_path / "outside"
    outside.write_text("not of the mocks")
    outside.chmod(0o644)
    (folder / MOTORWEB / "uploads" / "link").symlink_to(outside)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    with caplog.at_level(logging.WARNING), serve(state_dir=folder, https=True):
        found = open_to_others(folder)
    assert set(found) - {"motorweb-bdp/uploads/link"} == {".", "notes.txt", "ca.pem"}
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644
    assert [message for message in caplog.messages if "other users" in message] == [wide_directory(folder, "755")]


def test_private_directory_is_not_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve([SITECORE], state_dir=tmp_path / "new"), serve([SITECORE], state_dir=tmp_path / "new"):
        assert caplog.messages == []


@pytest.mark.parametrize("mask", [0, 0o022])
def test_ready_file_is_private_and_the_certificate_is_not_writable_by_others(tmp_path: Path, mask: int) -> None:
    ready, ca = tmp_path / "ready.json", tmp_path / "ca.pem"
    command = [sys.executable, "-m", "batchsync_mocks", SITECORE, "--https", "--exit-with-stdin"]
    command += ["--ready-file", str(ready), "--ca-out", str(ca)]
    for _ in range(2):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, umask=mask, timeout=60, check=True
        )
        assert json.loads(ready.read_text()) == json.loads(done.stdout)
        assert [stat.S_IMODE(file.stat().st_mode) for file in (ready, ca)] == [0o600, 0o644]
        # A file that an earlier version wrote.
        ready.chmod(0o666)
        ca.chmod(0o666)


def test_wide_directory_is_reported_on_standard_error(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    command = [sys.executable, "-m", "batchsync_mocks", SITECORE, "--exit-with-stdin", "--state-dir", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines() == [wide_directory(folder, "777")]
    assert open_to_others(folder) == {".": "0o777"}
