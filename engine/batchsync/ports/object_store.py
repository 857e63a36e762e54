"""Port of the store of immutable files: batch files, row manifests, landed parts of sources and baseline segments.

A key is a path of `/`-separated names, such as `staging/guests/<digest>.json.gz`; `core.naming` derives all keys. A
prefix is a key without its last names: the objects below it are those whose key continues with `/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from batchsync.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """An object as listed: its key, its size in bytes, and its version.

    `version` stays the same as long as the object does, and distinguishes it from earlier objects of its key.
    """

    key: str
    size: int
    version: str


def check_key(key: str) -> None:
    """Check a key or prefix: no name is empty or begins with a dot, which leaves such names to implementations.

    Raises:
        ValueError: If it is invalid.
    """
    if "\0" in key or any(not name or name.startswith(".") for name in key.split("/")):
        message = f"invalid key of an object: {key!r}"
        raise ValueError(message)


def is_damaged(key: str, *, digest: str, new_digest: str) -> bool:
    """Return whether the object of a key is damaged: the key names the content of the new object, not its own.

    Keys of batch files, row manifests and baseline segments contain the digest of the content, so that equal content
    has equal keys. Of keys without a digest nothing is known: their objects are never called damaged.

    Args:
        key: Key of both objects.
        digest: SHA-256 digest of the content that the store holds, in hexadecimal digits.
        new_digest: That of the content to put.
    """
    name = key.rpartition("/")[2]
    return new_digest in name and digest not in name


class ObjectConflictError(StateError):
    """The key of a new object belongs to an object of other content, which was left unchanged."""

    def __init__(self, key: str) -> None:
        """Create the error for a key."""
        super().__init__(
            f"{key} in the state folder exists with other content",
            hint="Run the same command again; if that does not help, restore the state folder from a backup.",
        )


class ObjectStore(Protocol):
    """Store of immutable objects, used by several threads and processes at once.

    All methods raise ValueError for an invalid key (see `check_key`), and OSError (FileNotFoundError for a missing
    object) if the store cannot be reached, is full, or refuses the operation.
    """

    def workspace(self, prefix: str) -> AbstractContextManager[Path]:
        """Return a context with a new, private, empty local folder in which files to put below the prefix are written.

        Its files can be put without being copied. It is deleted when the context is left. Entering it deletes what
        interrupted writers left (see `discard_unfinished`).
        """
        ...

    def put(self, key: str, file: Path) -> ObjectInfo:
        """Put a finished local file under a key, if there is no object yet. The file is moved away.

        When this returns, the object is complete and survives a crash of the machine. Before, it is not visible at all:
        an interrupted put leaves no object. Putting the same content again succeeds and leaves the first object. An
        object that was damaged in the store (see `is_damaged`) is replaced.

        Args:
            key: Key of the object.
            file: A file that nothing writes any more, preferably in a `workspace` of the key's prefix.

        Returns:
            The object under the key.

        Raises:
            ObjectConflictError: If an object of other content has this key. Of several writers one wins.
        """
        ...

    def get(self, key: str) -> AbstractContextManager[Path]:
        """Return a context with a local file of the object's bytes, named by the last name of the key.

        The file may be memory-mapped. It is read only, and only valid while the context is open; entering the context
        raises FileNotFoundError if there is no such object.
        """
        ...

    def read(self, key: str, begin: int, size: int) -> bytes:
        """Return consecutive bytes of an object, without reading the others.

        Args:
            key: Key of the object.
            begin: Index of the first byte; negative counts from the end.
            size: Number of bytes.

        Raises:
            EOFError: If the object has fewer bytes.
        """
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Return the object under a key without its content, or None if there is none."""
        ...

    def list(self, prefix: str) -> Sequence[ObjectInfo]:
        """Return all objects below a prefix, at any depth, sorted by key."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object. Deleting a missing object succeeds."""
        ...

    def discard_unfinished(self, prefix: str) -> None:
        """Delete workspaces below a prefix that were left by killed processes; what cannot be deleted stays.

        Workspaces in use are deleted, too. The caller holds the lease under which objects are put there.
        """
        ...

    def location(self, key: str) -> str:
        """Return where the object is, for people and the journal: a path or URL that ends with the key's last name."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectFolder:
    """Destination of new objects: a store, and the prefix of their keys."""

    store: ObjectStore
    prefix: str

    def workspace(self) -> AbstractContextManager[Path]:
        """Return a workspace of the store for this prefix."""
        return self.store.workspace(self.prefix)

    def put(self, file: Path, name: str) -> str:
        """Put a finished file under a name.

        Returns:
            The location of the object.

        Raises:
            ObjectConflictError: If an object of other content has this name.
            OSError: If the store cannot be reached, is full, or refuses the object.
        """
        key = f"{self.prefix}/{name}"
        self.store.put(key, file)
        return self.store.location(key)
