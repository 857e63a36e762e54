"""moto's server of S3 on loopback, from an environment of its own beside that of the tests."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kit import local_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_READY = re.compile(r"Running on (http://127\.0\.0\.1:[0-9]+)")


@contextmanager
def running() -> Iterator[str]:
    """Start the server.

    Yields:
        Its URL.

    Raises:
        ServerMissingError: If it is not installed, or does not start.
    """
    program = Path(f"{sys.prefix}-moto") / "bin" / "moto_server"
    with local_server.running(program, ["-H", "127.0.0.1", "-p", "0"], _READY) as url:
        yield url
