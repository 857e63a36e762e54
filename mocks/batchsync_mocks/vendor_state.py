"""Persistent state of a vendor in a folder: batches as JSON files, uploads, and the files generated from them."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync_mocks import disk
from batchsync_mocks.batches import Batch, BatchTable

if TYPE_CHECKING:
    from pathlib import Path

BATCHES, UPLOADS, OUTPUTS = FOLDERS = ("batches", "uploads", "made")
KEY_FILE = "secret.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """State of a vendor as read from a folder: batches, secret and token generation."""

    batches: list[Batch]
    secret: bytes
    generation: int


class VendorState:
    """State of a vendor, saved in a folder from which a killed mock resumes.

    `lock` guards the state: hold it from a read to the write that depends on it.

    Args:
        folder: Folder of the state; created if needed.
        seed: Makes the secret, and with it every id and token, the same in each run; drawn at random if None.
    """

    def __init__(self, folder: Path, *, seed: int | None = None) -> None:
        """Open the folder, and load the state of an earlier process."""
        self.lock = threading.RLock()
        self._folder, self._seed = folder, seed
        self.load()

    def load(self) -> None:
        """Load the state from the folder; remove files that an earlier process left incomplete.

        Raises:
            ValueError: If a file is not one of the mocks.
        """
        for name in FOLDERS:
            disk.make_private(self._folder / name)
        for incomplete in self._folder.glob("*/.*"):
            incomplete.unlink()
        self.batches = BatchTable(_read_batches(self._folder))
        self._load_secret()

    def adopt(self, saved: SavedState) -> None:
        """Take over a state whose files already are in the folder."""
        self.batches = BatchTable(saved.batches)
        self.secret, self.generation = saved.secret, saved.generation

    def save(self, batch: Batch) -> Batch:
        """Save a batch, first on disk, then in the table; return it.

        Returns:
            The batch.
        """
        disk.write_json(self._folder / BATCHES / f"{batch.id}.json", batch.as_json())
        self.batches.put(batch)
        return batch

    def upload_file(self, batch: Batch, number: int) -> Path:
        """Return the path of a batch's n-th upload."""
        return self._folder / UPLOADS / f"{batch.id}.{number}"

    def incoming(self) -> Path:
        """Return a new path for a body that is being received."""
        return self._folder / UPLOADS / f".incoming.{uuid.uuid4().hex}"

    def output_file(self, batch: Batch, suffix: str) -> Path:
        """Return the path of a file generated for a batch: results, errors, a log."""
        return self._folder / OUTPUTS / f"{batch.id}.{suffix}"

    def stable_uuid(self, label: str, number: int) -> uuid.UUID:
        """Return the UUID of the n-th object of a kind; stable across restarts."""
        return uuid.UUID(bytes=self.hmac_digest(f"{label}:{number}".encode())[:16], version=4)

    def hmac_digest(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of a message under the secret of this state."""
        return hmac.digest(self.secret, message, "sha256")

    def revoke_tokens(self) -> int:
        """Revoke every token issued so far.

        Returns:
            The new token generation.
        """
        with self.lock:
            self.generation += 1
            self._save_secret()
            return self.generation

    def clear(self) -> None:
        """Delete batches and files, and draw a new secret unless there is a seed."""
        with self.lock:
            for name in FOLDERS:
                shutil.rmtree(self._folder / name)
                disk.make_private(self._folder / name)
            self.batches.clear()
            (self._folder / KEY_FILE).unlink()
            self._load_secret()

    def _load_secret(self) -> None:
        """Load secret and token generation, or create them."""
        saved = _read_secret(self._folder)
        if saved is not None:
            self.secret, self.generation = saved
            return
        drawn = os.urandom(32) if self._seed is None else f"batchsync mocks, seed {self._seed}".encode()
        self.secret, self.generation = hashlib.sha256(drawn).digest(), 0
        self._save_secret()

    def _save_secret(self) -> None:
        """Save secret and token generation."""
        saved = {"secret": self.secret.hex(), "generation": self.generation}
        disk.write_json(self._folder / KEY_FILE, saved)


def read_saved(folder: Path) -> SavedState:
    """Return the state of a vendor in a folder; nothing in the folder changes.

    Raises:
        ValueError: If a file or folder is missing, or is not one of the mocks.
    """
    secret = _read_secret(folder)
    if secret is None or not all((folder / name).is_dir() for name in FOLDERS):
        msg = f"The state of {folder.name} has the folders {', '.join(FOLDERS)} and the file {KEY_FILE}."
        raise ValueError(msg)
    batches = _read_batches(folder)
    for batch in batches:
        if batch.upload is not None and not (folder / UPLOADS / f"{batch.id}.{batch.upload.number}").is_file():
            msg = f"The state of {folder.name} lacks the upload of batch {batch.id}."
            raise ValueError(msg)
    return SavedState(batches=batches, secret=secret[0], generation=secret[1])


def _read_batches(folder: Path) -> list[Batch]:
    """Return the saved batches of a vendor."""
    found = []
    for file in (folder / BATCHES).glob("*.json"):
        try:
            batch = Batch.from_json(disk.read_json(file))
        except (ValueError, TypeError) as error:
            msg = f"{file.name} is not a batch of {folder.name}: {error}"
            raise ValueError(msg) from None
        # The id is part of file names.
        if batch.id != file.stem:
            msg = f"{file.name} is not a batch of {folder.name}: its id is another one."
            raise ValueError(msg)
        found.append(batch)
    return found


def _read_secret(folder: Path) -> tuple[bytes, int] | None:
    """Return the saved secret and token generation; None if there are none."""
    saved = disk.read_json(folder / KEY_FILE)
    if saved is None:
        return None
    try:
        return bytes.fromhex(saved["secret"]), int(saved["generation"])
    except (KeyError, TypeError, ValueError):
        msg = f"{KEY_FILE} of {folder.name} is not a state file of the mocks."
        raise ValueError(msg) from None
