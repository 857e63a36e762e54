"""What the private servers of tests share: the account that they run as, and the wait for their start."""

from __future__ import annotations

import pwd
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

#: Account that is not root, where a server has none of its own.
_OTHER_ACCOUNT = 65534
_START_SECONDS = 60


class ServerMissingError(Exception):
    """A server is not installed, or does not start."""


def account_of(name: str) -> str:
    """Return the name of an account that is not root: that of a server, or else the account without rights."""
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return pwd.getpwuid(_OTHER_ACCOUNT).pw_name


def wait_until_ready(server: subprocess.Popen[bytes], log: Path, ready: str, title: str) -> None:
    """Wait until a server has written to its log that it accepts connections.

    Args:
        server: Its process.
        log: Its log.
        ready: What it writes then.
        title: Its name, for messages.

    Raises:
        ServerMissingError: If it ends or does not accept them in time, with the end of its log.
    """
    deadline = time.monotonic() + _START_SECONDS
    written = ""
    while ready not in written:
        time.sleep(0.02)
        written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else written
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServerMissingError(f"{title} did not start:\n{written[-2000:]}")
