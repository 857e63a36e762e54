"""Subprocesses of measurements."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder and return its exit code and output; on failure, print the end of its stderr."""
    return asyncio.run(_run(command, folder))


async def _run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    if process.returncode:
        print(errors.decode(errors="replace")[-2000:], file=sys.stderr)
    return process.returncode or 0, output.decode()
