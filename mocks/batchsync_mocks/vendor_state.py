"""Persistent state of a vendor in a folder: batches as JSON files, uploads, and the files generated from them."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import threading
import uuid
from typing import TYPE_CHECKING

from batchsync_mocks import disk
from batchsync_mocks.batches import Batch, BatchTable

if TYPE_CHECKING:
    from pathlib import Path


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
        """Load the state from the folder; remove files that an earlier process left incomplete."""
        for name in ("batches", "uploads", "made"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for incomplete in self._folder.glob("*/.*"):
            incomplete.unlink()
        snapshots = (disk.read_json(file) for file in (self._folder / "batches").glob("*.json"))
        self.batches = BatchTable([Batch.from_json(saved) for saved in snapshots])
        self._load_secret()

    def save(self, batch: Batch) -> Batch:
        """Save a batch, first on disk, then in the table; return it.

        Returns:
            The batch.
        """
        disk.write_json(self._folder / "batches" / f"{batch.id}.json", batch.as_json())
        self.batches.put(batch)
        return batch

    def upload_file(self, batch: Batch, number: int) -> Path:
        """Return the path of a batch's n-th upload."""
        return self._folder / "uploads" / f"{batch.id}.{number}"

    def incoming(self) -> Path:
        """Return a new path for a body that is being received."""
        return self._folder / "uploads" / f".incoming.{uuid.uuid4().hex}"

    def output_file(self, batch: Batch, suffix: str) -> Path:
        """Return the path of a file generated for a batch: results, errors, a log."""
        return self._folder / "made" / f"{batch.id}.{suffix}"

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
            for name in ("batches", "uploads", "made"):
                shutil.rmtree(self._folder / name)
                (self._folder / name).mkdir()
            self.batches.clear()
            (self._folder / "secret.json").unlink()
            self._load_secret()

    def _load_secret(self) -> None:
        """Load secret and token generation, or create them."""
        saved = disk.read_json(self._folder / "secret.json")
        if saved is not None:
            self.secret, self.generation = bytes.fromhex(saved["secret"]), int(saved["generation"])
            return
        drawn = os.urandom(32) if self._seed is None else f"batchsync mocks, seed {self._seed}".encode()
        self.secret, self.generation = hashlib.sha256(drawn).digest(), 0
        self._save_secret()

    def _save_secret(self) -> None:
        """Save secret and token generation."""
        saved = {"secret": self.secret.hex(), "generation": self.generation}
        disk.write_json(self._folder / "secret.json", saved)
