"""Values that many tasks share, kept once in an object store: a task carries their key and digest."""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from batchsync.errors import StateError
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from batchsync.ports import ObjectFolder, ObjectStore

Value = TypeVar("Value")

#: Values that a process keeps; each may hold joined files in memory.
_KEPT = 4


@dataclass(frozen=True, slots=True)
class StoredValue(Generic[Value]):
    """A picklable value in an object store.

    The digest came with the task, from the process that stored the value: what another process writes to the
    store is never unpickled.

    Attributes:
        store: The store.
        key: Key of the object.
        size: Its bytes.
        digest: SHA-256 digest of the object.
    """

    store: ObjectStore
    key: str
    size: int
    digest: str

    def load(self) -> Value:
        """Return the value, which a process loads once.

        Raises:
            StateError: If the object is not the stored one.
        """
        value: Value = _loaded(self)
        return value


def store_value(into: ObjectFolder, value: Value) -> StoredValue[Value]:
    """Put a value into an object store.

    Args:
        into: Destination of the object.
        value: The value.

    Returns:
        The reference for tasks.
    """
    data = zlib.compress(pickle.dumps(value), 1)
    digest = sha256_of(data)
    with into.workspace() as workspace:
        file = workspace / "value"
        file.write_bytes(data)
        into.put(file, f"{digest}.value")
    return StoredValue(into.store, f"{into.prefix}/{digest}.value", len(data), digest)


@lru_cache(maxsize=_KEPT)
def _loaded(value: StoredValue[Any]) -> Any:
    """Return a stored value."""
    data = value.store.read(value.key, 0, value.size)
    if sha256_of(data) != value.digest:
        message = f"{value.key} is damaged"
        raise StateError(message, hint="Run the same command again; check the disk or the object storage.")
    return unpickled(zlib.decompress(data))


def unpickled(data: bytes) -> Any:
    """Return a pickled value. The bytes are those of a process of ours: part of a task, or of a digest in one."""
    return pickle.loads(data)  # noqa: S301 - see above
