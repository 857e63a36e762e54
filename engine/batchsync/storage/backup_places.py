"""Places of backups: a local folder, and a folder of an object storage."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.errors import SourceError, UnavailableError
from batchsync.storage.local_folder import move_if_free
from batchsync.util.files import fsync_file, fsync_folder, make_private, os_error_reason
from batchsync.util.object_client import ObjectChangedError, ObjectClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = ".batchsync-part-"
#: Bytes of the largest object, which one request writes.
OBJECT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """`BackupPlace` in a local folder, which is created with its first file. Files are renamed into place."""

    root: Path

    @property
    def label(self) -> str:
        """The folder, for messages."""
        return str(self.root)

    def names(self, prefix: str) -> list[str]:
        """Return the names of all files below a prefix; parts of interrupted writes are none."""
        return sorted(self._walk(self.root / prefix))

    def _walk(self, folder: Path) -> Iterator[str]:
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
            elif not entry.name.startswith("."):
                yield str(Path(entry.path).relative_to(self.root))

    def put(self, name: str, file: Path) -> None:
        """Copy a file, flush it to disk and rename it, unless there is one of the name."""
        final = self.root / name
        try:
            if final.exists():
                return
            make_private(final.parent)
            descriptor, part = tempfile.mkstemp(prefix=_PART, dir=final.parent)
            os.close(descriptor)
            try:
                shutil.copyfile(file, part)
                fsync_file(Path(part))
                move_if_free(Path(part), final)
            except FileExistsError:
                return
            finally:
                Path(part).unlink(missing_ok=True)
            fsync_folder(final.parent)
        except OSError as error:
            raise self._unusable(error) from None

    def get(self, name: str, into: Path) -> None:
        """Copy a file to a new local file."""
        try:
            shutil.copyfile(self.root / name, into)
        except OSError as error:
            raise self._unusable(error, name) from None

    def delete(self, name: str) -> bool:
        """Delete a file, if there is one.

        Returns:
            True: it is gone.
        """
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from None
        return True

    def _unusable(self, error: OSError, name: str = "") -> UnavailableError:
        path = self.root / name if name else self.root
        hint = "check that the folder of the backup is mounted, yours, and has space"
        return UnavailableError(f"{path} cannot be used: {os_error_reason(error)}", hint=hint)


@dataclass(frozen=True, slots=True)
class BackupBucket:
    """`BackupPlace` in a folder of an object storage. Nothing is deleted: rules of the bucket do that."""

    client: ObjectClient
    storage: str
    folder: str

    @property
    def label(self) -> str:
        """The connection and the folder, for messages."""
        return f"{self.storage}: {self.folder}"

    def names(self, prefix: str) -> list[str]:
        """Return the names of all objects below a prefix."""
        begin = f"{self.folder}/"
        found = self.client.objects(f"{begin}{prefix}")
        return sorted(item.path.removeprefix(begin) for item in found if item.path.startswith(begin))

    def put(self, name: str, file: Path) -> None:
        """Write an object by one request, unless there is one of the name.

        Raises:
            UnavailableError: If the file is too large for one request, or the storage cannot be used.
        """
        if file.stat().st_size > OBJECT_BYTES:
            message = f"{self.label}: a file of the state is larger than {OBJECT_BYTES >> 20:,} MiB"
            raise UnavailableError(message, hint="back up to a folder: state: {backup: {path: ...}}")
        try:
            self.client.put(f"{self.folder}/{name}", file.read_bytes(), None)
        except ObjectChangedError:
            return  # names state the content

    def get(self, name: str, into: Path) -> None:
        """Download an object to a new local file.

        Raises:
            UnavailableError: If there is no such object, or the storage cannot be used.
        """
        try:
            found = self.client.look_at(f"{self.folder}/{name}")
            with into.open("xb") as out:
                for data in self.client.read(found, 0, found.size):
                    out.write(data)
        except SourceError as error:
            raise UnavailableError(error.message, hint=error.hint) from None

    def delete(self, name: str) -> bool:  # noqa: ARG002 - the signature is that of the port
        """Return False: objects are kept."""
        return False
