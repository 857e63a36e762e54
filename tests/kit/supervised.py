"""A server of its own for tests, which ends with the process that started it, however that ends.

This file is also the script of the process between the two: it starts the server, waits until its standard input is
closed (which the kernel does if the starting process is killed), then stops the server and deletes the server's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds between the signal that asks the server to stop and SIGKILL.
_GRACE_SECONDS = 10


@contextmanager
def supervised(
    command: Sequence[str | Path], folder: Path, *, stop: signal.Signals = signal.SIGTERM, user: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, or until this process does.

    Args:
        command: Program and arguments of the server; it has to stay in the foreground. Its output goes to `log` in the
            folder.
        folder: Existing folder of the server, which is deleted when the server has ended.
        stop: Signal that asks the server to stop.
        user: Account that the server runs under; empty for that of this process.

    Yields:
        The process that supervises the server; it ends with the server.
    """
    supervisor = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(int(stop)), user, *map(str, command)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a signal to the process group of pytest must not end it before the server
    )
    try:
        yield supervisor
    finally:
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        supervisor.wait()


def _supervise(folder: Path, stop: int, user: str, command: list[str]) -> int:
    """Run a server until standard input is closed; return its exit code."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user or None,
                group=user or None,
                extra_groups=[] if user else None,
            )
        threading.Thread(target=_stop_at_end_of_input, args=(server, stop), daemon=True).start()
        return server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop_at_end_of_input(server: subprocess.Popen[bytes], stop: int) -> None:
    """Stop the server when standard input is closed; kill its process group if it does not end in time."""
    os.read(sys.stdin.fileno(), 1)
    server.send_signal(stop)
    try:
        server.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_supervise(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
