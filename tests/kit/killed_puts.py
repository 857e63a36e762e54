"""`python -m kit.killed_puts`: the command line, which kills itself during the n-th put into the object store.

`KILL_PUT` is n, from 1. `KILL_WHEN` is `written` (the file is complete, and has no final name), `linked` (it has its
final name besides the temporary one), or `put` (the put has returned, and the journal does not name the object yet).
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

from batchsync.__main__ import main
from batchsync.storage import local_folder
from batchsync.storage.local_folder import LocalFolder

_put, _move, _unlink = LocalFolder.put, local_folder.move_if_free, Path.unlink
_puts = count(1)
_kills = False


def _kill(when: str) -> None:
    """Kill this process if that is when it dies."""
    if _kills and os.environ["KILL_WHEN"] == when:
        os.kill(os.getpid(), signal.SIGKILL)


def _killed_put(self: LocalFolder, key: str, file: Path) -> Any:
    global _kills  # noqa: PLW0603 - patched functions of one module share it
    _kills = next(_puts) == int(os.environ["KILL_PUT"])
    info = _put(self, key, file)
    _kill("put")
    return info


def _killed_move(file: Path, final: Path) -> None:
    _kill("written")
    _move(file, final)


def _killed_unlink(self: Path, **options: bool) -> None:
    _kill("linked")
    _unlink(self, **options)


if __name__ == "__main__":
    for owner, name, replacement in (
        (LocalFolder, "put", _killed_put),
        (local_folder, "move_if_free", _killed_move),
        (Path, "unlink", _killed_unlink),
    ):
        setattr(owner, name, replacement)
    sys.exit(main())
