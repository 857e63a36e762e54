"""`batchsync mocks serve`: printed addresses, shutdown on a signal, and errors at the start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


CDP = "sitecore-cdp"


@pytest.mark.parametrize("output", ["text", "json"])
def test_mocks_print_addresses_and_end_on_sigint(tmp_path: Path, output: str) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "batchsync", "-o", output, "mocks", "serve", CDP, "--ready-file", str(ready)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not ready.exists() or not ready.stat().st_size:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        ready_info = json.loads(ready.read_text(encoding="utf-8"))
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        out, err = first + process.stdout.read(), process.stderr.read()

    assert (process.returncode, err) == (0, "")
    url = ready_info["vendors"][CDP]["base_url"]
    if output == "json":
        assert json.loads(out)["result"]["vendors"][CDP]["base_url"] == url
    else:
        assert out.startswith(f"{CDP}: {url} (")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ("acme", 2, "Unknown vendor acme"),
        (f"{CDP} --profile no-such-profile", 2, "no-such-profile"),
        (f"--switch {CDP}.nothing=1", 2, "nothing"),
        ("--clock banana", 2, "banana"),
        ("--allow-host mocks.internal:8080", 2, "is not a host"),
        ("--control-token-file no-such-file", 3, "no-such-file"),
        ("--ready-file no/such/folder/ready.json", 3, "ready.json"),
    ],
)
def test_mocks_start_failure_is_reported_once(tmp_path: Path, arguments: str, code: int, error: str) -> None:
    command = [sys.executable, "-m", "batchsync", "mocks", "serve", *arguments.split()]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    assert (completed.returncode, completed.stdout) == (code, "")
    assert error in completed.stderr
    assert completed.stderr.count("error: the mocks ") == 1
    assert "Traceback" not in completed.stderr
