"""One vendor's memory in a folder: small JSON snapshots, uploaded files, and what was made of them.

It does not know the vendor, and it decides nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import threading
import uuid
from typing import TYPE_CHECKING

from lading_mocks import disk
from lading_mocks.world import Batch, World

if TYPE_CHECKING:
    from pathlib import Path


class Memory:
    """What a vendor knows, kept in `folder` so that a killed mock goes on where it was.

    `seed` makes the secret, and with it every id and token, the same in each run; without it they are drawn.
    `lock` guards the world: whoever reads and then writes holds it.
    """

    def __init__(self, folder: Path, *, seed: int | None = None) -> None:
        """Open the folder, reading what an earlier mock left there."""
        self.lock = threading.RLock()
        self._folder, self._seed = folder, seed
        self.load()

    def load(self) -> None:
        """Read what the folder holds, dropping what an earlier mock left half written."""
        for name in ("batches", "uploads", "made"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        for half_written in self._folder.glob("*/.*"):
            half_written.unlink()
        snapshots = (disk.read_json(file) for file in (self._folder / "batches").glob("*.json"))
        self.world = World([Batch.from_json(kept) for kept in snapshots])
        self._open_secret()

    def keep(self, batch: Batch) -> Batch:
        """Remember a batch, on disk first."""
        disk.write_json(self._folder / "batches" / f"{batch.id}.json", batch.as_json())
        self.world.put(batch)
        return batch

    def upload_file(self, batch: Batch, number: int) -> Path:
        """Name the file of a batch's n-th upload."""
        return self._folder / "uploads" / f"{batch.id}.{number}"

    def incoming(self) -> Path:
        """Name a place for a body that is still arriving."""
        return self._folder / "uploads" / f".incoming.{uuid.uuid4().hex}"

    def made_file(self, batch: Batch, what: str) -> Path:
        """Name a file that the vendor made of a batch: results, errors, a log."""
        return self._folder / "made" / f"{batch.id}.{what}"

    def identity(self, label: str, number: int) -> uuid.UUID:
        """Give the id of the n-th thing of a kind: drawn to look at, the same again after a restart."""
        return uuid.UUID(bytes=self.keyed(f"{label}:{number}".encode())[:16], version=4)

    def keyed(self, message: bytes) -> bytes:
        """Give the keyed digest of a message; only this memory can make it."""
        return hmac.digest(self.secret, message, "sha256")

    def revoke(self) -> int:
        """Make every token given out so far worthless; gives the new generation."""
        with self.lock:
            self.generation += 1
            self._keep_secret()
            return self.generation

    def forget(self) -> None:
        """Start over: no batches, no files, and a new secret unless there is a seed."""
        with self.lock:
            for name in ("batches", "uploads", "made"):
                shutil.rmtree(self._folder / name)
                (self._folder / name).mkdir()
            self.world.clear()
            (self._folder / "secret.json").unlink()
            self._open_secret()

    def _open_secret(self) -> None:
        kept = disk.read_json(self._folder / "secret.json")
        if kept is not None:
            self.secret, self.generation = bytes.fromhex(kept["secret"]), int(kept["generation"])
            return
        drawn = os.urandom(32) if self._seed is None else f"lading mocks, seed {self._seed}".encode()
        self.secret, self.generation = hashlib.sha256(drawn).digest(), 0
        self._keep_secret()

    def _keep_secret(self) -> None:
        kept = {"secret": self.secret.hex(), "generation": self.generation}
        disk.write_json(self._folder / "secret.json", kept)
