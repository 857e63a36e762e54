"""A toy object store: objects in memory, by key, copied to a temporary folder while they are open."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from batchsync.ports import ObjectConflictError, ObjectInfo, check_key, is_damaged

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryStore:
    """`ObjectStore` in the memory of this process. `calls` counts the calls of each method."""

    def __init__(self, scratch: Path) -> None:
        """Start without objects; temporary files are created below the folder `scratch`."""
        self.calls: Counter[str] = Counter()
        self._scratch, self._lock, self._versions = scratch, Lock(), count(1)
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._workspaces: list[tuple[str, Path]] = []

    def damage(self, key: str) -> None:
        """Change the content of an object."""
        self._objects[key] = b"damaged", self._objects[key][1]

    @contextmanager
    def workspace(self, prefix: str) -> Iterator[Path]:
        """Yield a temporary folder."""
        self.discard_unfinished(prefix)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        self._workspaces.append((prefix, folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, key: str, file: Path) -> ObjectInfo:
        """Read the file into memory and delete it."""
        check_key(key)
        self.calls["put"] += 1
        content = file.read_bytes()
        with self._lock:
            new = content, ObjectInfo(key=key, size=len(content), version=str(next(self._versions)))
            held, info = self._objects.setdefault(key, new)
            if is_damaged(key, digest=sha256(held).hexdigest(), new_digest=sha256(content).hexdigest()):
                held, info = self._objects[key] = new
        if held != content:
            raise ObjectConflictError(key)
        file.unlink()
        return info

    @contextmanager
    def get(self, key: str) -> Iterator[Path]:
        """Write the object to a temporary file, which is deleted afterwards."""
        check_key(key)
        self.calls["get"] += 1
        if key not in self._objects:
            raise FileNotFoundError(2, "No such file or directory", key)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder) / key.rpartition("/")[2]
            path.write_bytes(self._objects[key][0])
            yield path

    def read(self, key: str, begin: int, size: int) -> bytes:
        """Return consecutive bytes of the object."""
        check_key(key)
        self.calls["read"] += 1
        if key not in self._objects:
            raise FileNotFoundError(2, "No such file or directory", key)
        content = self._objects[key][0]
        first = begin if begin >= 0 else len(content) + begin
        if not 0 <= first <= len(content) - size:
            raise EOFError(key)
        return content[first : first + size]

    def head(self, key: str) -> ObjectInfo | None:
        """Return the object, or None."""
        check_key(key)
        return self._objects[key][1] if key in self._objects else None

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return the objects below the prefix."""
        check_key(prefix)
        self.calls["list"] += 1
        return [self._objects[key][1] for key in sorted(self._objects) if key.startswith(f"{prefix}/")]

    def delete(self, key: str) -> None:
        """Forget the object."""
        check_key(key)
        self.calls["delete"] += 1
        self._objects.pop(key, None)

    def discard_unfinished(self, prefix: str) -> None:
        """Delete the workspaces of the prefix."""
        check_key(prefix)
        for _, folder in (item for item in self._workspaces if item[0] == prefix):
            shutil.rmtree(folder, ignore_errors=True)

    def location(self, key: str) -> str:
        """Return a URL."""
        check_key(key)
        return f"memory://objects/{key}"
