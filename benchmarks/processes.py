"""A measurement runs in a process of its own. It knows no measurement."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return the exit code and the output of a command in a folder; what it complains of goes to our own stderr."""
    return asyncio.run(_run(command, folder))


async def _run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run it."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    said, complained = await process.communicate()
    if process.returncode:
        print(complained.decode(errors="replace")[-2000:], file=sys.stderr)
    return process.returncode or 0, said.decode()
