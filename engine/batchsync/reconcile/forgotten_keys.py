"""Keys that were forgotten: the secret of their hashes, and the suppression of their rows."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from batchsync.core.personal_data import hash_of_key
from batchsync.errors import StateError
from batchsync.ports import Suppression
from batchsync.util.files import create_private, make_private, translate_os_errors

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.reconcile.services import Services

_SECRET = re.compile(r"[0-9a-f]{64}\n")
_LOST_HINT = (
    "Restore the file from a backup of the state folder. Without it, forgotten keys that are still in a source would "
    "be sent again."
)
#: Job of the tombstone by which another secret is noticed; no job has this name.
_CHECK_JOB = ""


def suppression_of(job: Job, services: Services) -> Suppression | None:
    """Return the forgotten keys of a job; None if there are none.

    Raises:
        StateError: If the secret of their hashes is missing, or another one.
    """
    hashes = services.store.tombstones(job.all_names)
    if not hashes:
        return None
    return Suppression(secret=read_secret(services), hashes=hashes)


def read_secret(services: Services) -> str:
    """Return the secret of the hashes of forgotten keys.

    Raises:
        StateError: If it is missing, damaged, or not the one that the tombstones were made with.
    """
    path = services.paths.forget_secret
    try:
        secret = _read(path)
    except FileNotFoundError:
        raise StateError(f"{path} is missing, with which forgotten keys are recognized", hint=_LOST_HINT) from None
    if services.store.tombstone(_CHECK_JOB, check_hash(secret)) is None:
        raise StateError(f"{path} is not the file with which the keys were forgotten", hint=_LOST_HINT)
    return secret


def ensure_secret(services: Services) -> str:
    """Return the secret, created if no key was forgotten yet. Of concurrent creators, the first counts.

    Raises:
        StateError: If it is missing or damaged, and keys were forgotten already.
        UnavailableError: If it cannot be written.
    """
    if services.store.tombstones({_CHECK_JOB}):
        return read_secret(services)
    path = services.paths.forget_secret
    with translate_os_errors(f"{path}: cannot write the secret of forgotten keys", hint="Check the state folder."):
        make_private(path.parent)
        create_private(path, f"{secrets.token_hex(32)}\n")
        return _read(path)


def check_hash(secret: str) -> str:
    """Return the hash by which another secret is noticed."""
    return hash_of_key(secret, "")


def _read(path: Path) -> str:
    text = path.read_text(encoding="ascii", errors="replace")
    if not _SECRET.fullmatch(text):
        raise StateError(f"{path} is damaged", hint=_LOST_HINT)
    return text.strip()
