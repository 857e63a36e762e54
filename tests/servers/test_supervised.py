"""A server of the tests ends, and its folder is deleted, however the process that started it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KIT = Path(__file__).parents[1]
#: Starts PostgreSQL, prints the folder and the process of the server, and waits.
STARTED = """
import sys, time
from pathlib import Path
from kit import postgresql
with postgresql.database() as database:
    [[folder]] = database.results(["current_setting('data_directory')"], postgresql.pl.DataFrame({"x": ["1"]}))
    print(folder.text, Path(folder.text, "postmaster.pid").read_text().split()[0], flush=True)
    time.sleep(600)
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_server_ends_with_the_process_that_started_it(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(KIT)},
        text=True,
    ) as started:
        assert started.stdout is not None
        folder, process = started.stdout.readline().split()
        assert is_running(int(process))
        assert Path(folder).exists()

        started.send_signal(ending)
        started.wait()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (is_running(int(process)) or Path(folder).parent.exists()):
        time.sleep(0.05)
    assert not is_running(int(process))
    assert not Path(folder).parent.exists()
