"""`lading mocks serve`: where the mocks are, how they end, and what keeps them from starting."""

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


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_mocks_say_where_they_are_and_end_with_whoever_started_them(tmp_path: Path, form: str) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "lading", "-o", form, "mocks", "serve", CDP, "--ready-file", str(ready)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not ready.exists() or not ready.stat().st_size:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        told = json.loads(ready.read_text(encoding="utf-8"))
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        out, err = first + process.stdout.read(), process.stderr.read()

    assert (process.returncode, err) == (0, "")
    url = told["vendors"][CDP]["base_url"]
    if form == "json":
        assert json.loads(out)["result"]["vendors"][CDP]["base_url"] == url
    else:
        assert out.startswith(f"{CDP}: {url} (")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("nobody", 2, "No mock of nobody"),
        (f"{CDP} --profile no-such-profile", 2, "no-such-profile"),
        (f"--switch {CDP}.nothing=1", 2, "nothing"),
        ("--clock banana", 2, "banana"),
        ("--ready-file no/such/folder/ready.json", 3, "ready.json"),
    ],
)
def test_mocks_that_cannot_start_say_so_once(tmp_path: Path, words: str, code: int, said: str) -> None:
    command = [sys.executable, "-m", "lading", "mocks", "serve", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("error: the mocks ") == 1
    assert "Traceback" not in done.stderr
