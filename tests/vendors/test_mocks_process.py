"""The process of the bundled mocks inherits no credentials, tokens or descriptors, and only its own tokens open it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from batchsync.errors import UnavailableError
from batchsync.system_clock import SystemClock
from batchsync.vendors.bundled_mocks import MockedTime, bundled_mocks, mocks_environ, running_mocks

if TYPE_CHECKING:
    from collections.abc import Iterator

CDP = "sitecore-cdp"
CLOCK = SystemClock(lambda duration: time.sleep(duration.total_seconds()))
FIXED = "a-token-of-the-operator"
#: Variables of a user's environment that the mocks do not need.
SECRETS = {
    "SITECORE_API_TOKEN": "a",
    "MOTORWEB_CLIENT_SECRET": "b",
    "AWS_SECRET_ACCESS_KEY": "c",
    "GITHUB_TOKEN": "d",
    "SSH_AUTH_SOCK": "e",
    "HTTPS_PROXY": "http://user:password@proxy.example:3128",
    "BATCHSYNC_STATE": "f",
    "PYTHONSTARTUP": "g",
    "PYTHONINSPECT": "",
    "PATHS": "h",
    "MYLANG": "i",
    "pypi_token": "j",
}
NEEDED = {"LC_NUMERIC": "C", "TZ": "UTC", "VIRTUAL_ENV": "/nowhere", "PYTHONUTF8": "1"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {**SECRETS, **NEEDED, "BATCHSYNC_MOCKS_TOKEN": FIXED}.items():
        monkeypatch.setenv(name, text)


def environ_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; Linux alone shows it."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs)


def files_of(pid: int) -> set[str]:
    """Return the files and pipes that a process holds open, besides sockets and its own event polls."""
    names = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return {name for name in names if not name.startswith(("socket:", "anon_inode:"))}


@contextmanager
def inheritable_file(folder: Path) -> Iterator[str]:
    """Open a file whose descriptor a child would inherit if it was allowed to."""
    descriptor = os.open(folder / "secret", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(descriptor, 1)
    try:
        yield str(folder / "secret")
    finally:
        os.close(descriptor)


@contextmanager
def served(folder: Path) -> Iterator[dict[str, Any]]:
    """Run `batchsync mocks serve` in a folder; yield its ready information."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "batchsync", "-o", "json", "mocks", "serve", CDP, "--ready-file", str(ready)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while not ready.exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield json.loads(ready.read_text(encoding="utf-8"))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def test_sync_passes_on_neither_secrets_nor_descriptors(tmp_path: Path) -> None:
    with inheritable_file(tmp_path) as secret, bundled_mocks([CDP], tmp_path / "mocks", CLOCK) as mocks:
        pid = json.loads((tmp_path / "mocks" / "ready.json").read_text())["pid"]
        environ, files = environ_of(pid), files_of(pid)
        assert FIXED not in mocks.control_token
    assert not environ.keys() & {*SECRETS, "BATCHSYNC_MOCKS_TOKEN"}
    assert NEEDED.items() <= environ.items()
    assert environ["PATH"] == os.environ["PATH"]
    assert not any("secret" in name for name in files), (secret, files)


def test_mocks_serve_passes_on_its_token_but_no_secrets(tmp_path: Path) -> None:
    with inheritable_file(tmp_path) as secret, served(tmp_path) as ready:
        environ, files = environ_of(ready["pid"]), files_of(ready["pid"])
    assert ready["control_token"] == environ["BATCHSYNC_MOCKS_TOKEN"] == FIXED
    assert not environ.keys() & SECRETS.keys()
    assert NEEDED.items() <= environ.items()
    assert secret not in files


def test_environment_of_the_mocks_has_no_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in SECRETS:
            monkeypatch.delenv(name)
    assert mocks_environ() == {}
    assert mocks_environ("GITHUB_TOKEN") == {"GITHUB_TOKEN": "d"}


def test_module_in_the_working_directory_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("batchsync_mocks", "werkzeug", "json", "argparse"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    with bundled_mocks([CDP], tmp_path / "mocks", CLOCK) as mocks:
        assert CDP in mocks.base_urls
    assert not (tmp_path / "imported").exists()


def test_clock_of_the_mocks_needs_their_token(tmp_path: Path) -> None:
    with bundled_mocks([CDP], tmp_path / "mocks", CLOCK) as mocks:
        assert mocks.control_token not in repr(mocks)
        assert mocks.control_token not in (tmp_path / "mocks" / "mocks.log").read_text()
        before = MockedTime(mocks, CLOCK).now()
        with pytest.raises(UnavailableError, match="responds with status 401"):
            MockedTime(replace(mocks, control_token=FIXED), CLOCK)
        assert requests.post(mocks.clock_url, json={"advance": 60}, timeout=10).status_code == 401
        assert (MockedTime(mocks, CLOCK).now() - before).total_seconds() < 30


class RecordingClock(SystemClock):
    """The wall clock, whose waits are recorded instead of made."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        super().__init__(lambda duration: self.waits.append(duration.total_seconds()))


def test_clock_of_the_mocks_waits_at_their_rate_unless_waits_are_skipped(tmp_path: Path) -> None:
    options = ["--rate", "60", "--clock", "2026-03-01T12:00:00Z"]
    with bundled_mocks([CDP], tmp_path / "mocks", CLOCK, options) as mocks:
        real = RecordingClock()
        waiting = MockedTime(mocks, real, skips_waits=False)
        waiting.sleep(timedelta(hours=30))
        assert real.waits == [1800]
        assert waiting.now() < datetime(2026, 3, 2, 18, tzinfo=UTC)
        skipping = MockedTime(mocks, real)
        skipping.sleep(timedelta(hours=30))
        assert real.waits == [1800, 0]
        assert skipping.now() > datetime(2026, 3, 2, 18, tzinfo=UTC)


def test_ready_file_of_sync_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "mocks"
    with bundled_mocks([CDP], folder, CLOCK):
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {"mocks": 0o700, "state": 0o700, "ready.json": 0o600, "mocks.log": 0o600}


def test_ready_file_without_token_is_reported(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps({"vendors": {}, "clock_url": "http://127.0.0.1:1/_mock/clock"}))
    with pytest.raises(UnavailableError, match="is not the ready file of running mocks"):
        running_mocks(ready)
