"""Memory of the storage that the files of an account went to: one small file per purpose in the state folder."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING

from batchsync.storage.local_folder import move_if_free
from batchsync.util.files import fsync_file, fsync_folder, make_private, sha256_of, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FOLDER = "storage"
#: More than the longest location: a host name of 253 characters and a bucket of 222.
_MAX_BYTES = 1000


@dataclass(frozen=True, slots=True)
class KnownLocations:
    """`StorageMemory` in a folder. Processes may share it: the first that writes a file decides its content.

    Attributes:
        state_folder: The state folder.
        account: What identifies the account: vendor, base URL, name of the account.
    """

    state_folder: Path
    account: Sequence[str]

    def first_seen(self, purpose: str, location: str) -> str:
        """Return the location first seen for a purpose; if there is none, remember this one durably.

        Args:
            purpose: Kind of the file, such as `upload` or `results.csv`.
            location: Host, or host and bucket, of its URL.

        Raises:
            UnavailableError: If the file cannot be read or written.
        """
        folder = self.state_folder / _FOLDER
        file = folder / f"{sha256_of(repr(tuple(self.account)).encode())[:16]}-{purpose}"
        with translate_os_errors(f"{file} cannot be used", hint="make the state folder readable and writable"):
            if not file.exists():
                self._remember(file, location)
            with file.open("rb") as stream:
                return stream.read(_MAX_BYTES).decode("ascii", "replace").strip()

    def _remember(self, file: Path, location: str) -> None:
        """Create a file with a location, complete or not at all, unless another process or thread was faster."""
        make_private(file.parent)
        part = file.with_name(f".{file.name}-{os.getpid()}-{get_ident()}.part")
        try:
            part.write_text(f"{location}\n", encoding="ascii")
            fsync_file(part)
            with suppress(FileExistsError):
                move_if_free(part, file)
        finally:
            part.unlink(missing_ok=True)
        fsync_folder(file.parent)
