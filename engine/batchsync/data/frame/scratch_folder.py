"""Where a task leaves its files, in the store that it shares with other tasks."""

from __future__ import annotations

import os
import platform
from threading import get_ident
from typing import TYPE_CHECKING

from batchsync.ports import ObjectFolder
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from batchsync.ports import ObjectStore


def scratch_folder(store: ObjectStore, prefix: str) -> ObjectFolder:
    """Return a destination below a prefix that no other thread uses: the same task may run twice at a time."""
    machine = sha256_of(platform.node().encode())[:8]
    return ObjectFolder(store, f"{prefix}/{machine}-{os.getpid()}-{get_ident()}")
