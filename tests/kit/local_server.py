"""Servers on loopback that choose a port and name it in their output."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kit.supervised import supervised

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence

_START_SECONDS = 60


class ServerMissingError(Exception):
    """A server is not installed, or did not start."""


@contextmanager
def running(program: Path, arguments: Sequence[str], ready: re.Pattern[str]) -> Iterator[str]:
    """Start a server in a private folder.

    Args:
        program: The program, installed by `make test-servers`.
        arguments: Its arguments.
        ready: What it writes when it is ready; the first group is its URL.

    Yields:
        Its URL.

    Raises:
        ServerMissingError: If it is not installed, or does not start.
    """
    if not program.exists():
        raise ServerMissingError(f"{program} is missing; run `make test-servers`, which installs it")
    home = Path(tempfile.mkdtemp(prefix="batchsync-server-"))
    with supervised([program, *arguments], home) as server:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            log = home / "log"
            written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            if found := ready.search(written):
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise ServerMissingError(f"{program} did not start:\n{written[-2000:]}")
            time.sleep(0.02)
        yield found[1]
