"""Object store in a local folder: the key is the path below it. Folders are private, files are renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.ports import ObjectConflictError, ObjectInfo, check_key, is_damaged
from batchsync.util.files import fsync_file, fsync_folder, make_private, sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Names of what is not finished begin with a dot; names of objects do not.
_HIDDEN = "."
_WORKSPACE = ".batchsync-part-"
#: Errors of file systems without hard links.
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """`ObjectStore` in a folder, which is created with its first object."""

    root: Path

    @contextmanager
    def workspace(self, prefix: str) -> Iterator[Path]:
        """Yield a new, private folder in the folder of the prefix, and delete it afterwards.

        Args:
            prefix: Prefix of the keys under which its files will be put.

        Yields:
            The folder. Each writer has its own: a process that lost its lease must not touch files of the new holder.
        """
        folder = self._path(prefix)
        make_private(folder)
        self.discard_unfinished(prefix)
        with _temporary_folder(folder) as workspace:
            yield workspace

    def put(self, key: str, file: Path) -> ObjectInfo:
        """Flush a file to disk, move it to its key unless that exists undamaged, and flush the folder.

        Args:
            key: Key of the object.
            file: The finished file; copied only if it is on another file system.

        Returns:
            The object under the key.

        Raises:
            ObjectConflictError: If an object of other content has this key.
            OSError: If the file system refuses.
        """
        final = self._path(key)
        make_private(final.parent)
        fsync_file(file)
        try:
            move_if_free(file, final)
        except FileExistsError:
            digest, new_digest = sha256_of_file(final), sha256_of_file(file)
            if digest == new_digest:
                # Its writer may have been interrupted before it flushed the folder.
                fsync_file(final)
                file.unlink()
            elif is_damaged(key, digest=digest, new_digest=new_digest):
                file.replace(final)
            else:
                raise ObjectConflictError(key) from None
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with _temporary_folder(final.parent) as workspace:
                return self.put(key, Path(shutil.move(file, workspace / final.name)))
        fsync_folder(final.parent)
        return _info(key, final.stat())

    @contextmanager
    def get(self, key: str) -> Iterator[Path]:
        """Yield the file itself.

        Args:
            key: Key of the object.

        Yields:
            The path of the file.

        Raises:
            FileNotFoundError: If there is no such object.
        """
        path = self._path(key)
        path.stat()
        yield path

    def read(self, key: str, begin: int, size: int) -> bytes:
        """Return consecutive bytes of an object.

        Args:
            key: Key of the object.
            begin: Index of the first byte; negative counts from the end.
            size: Number of bytes.

        Raises:
            FileNotFoundError: If there is no such object.
            EOFError: If it has fewer bytes.
        """
        with self._path(key).open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            first = begin if begin >= 0 else end + begin
            if not 0 <= first <= end - size:
                message = f"{key}: bytes {begin} to {begin + size} of {end}"
                raise EOFError(message)
            stream.seek(first)
            return stream.read(size)

    def head(self, key: str) -> ObjectInfo | None:
        """Return the object under a key, or None."""
        try:
            return _info(key, self._path(key).stat())
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Return all objects below a prefix, sorted by key."""
        return sorted(self._walk(prefix), key=lambda item: item.key)

    def _walk(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix. Links are not followed."""
        with suppress(FileNotFoundError), os.scandir(self._path(prefix)) as entries:
            for entry in entries:
                key = f"{prefix}/{entry.name}"
                if entry.name.startswith(_HIDDEN):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(key)
                    continue
                with suppress(FileNotFoundError):
                    yield _info(key, entry.stat(follow_symlinks=False))

    def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        self._path(key).unlink(missing_ok=True)

    def discard_unfinished(self, prefix: str) -> None:
        """Delete everything in the folder of the prefix that is no object."""
        for left in self._path(prefix).glob(f"{_HIDDEN}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()

    def location(self, key: str) -> str:
        """Return the path of the object's file."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        """Return the path of a key or prefix."""
        check_key(key)
        return self.root / key


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new private folder in a folder, and delete it afterwards."""
    path = Path(tempfile.mkdtemp(prefix=_WORKSPACE, dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def move_if_free(file: Path, final: Path) -> None:
    """Give a file its final name, without a copy, if that name is free.

    Raises:
        FileExistsError: If it is not.
        OSError: If the file system refuses; EXDEV if it is another one than that of the file.
    """
    try:
        # Unlike a rename, a link never replaces an existing file.
        final.hardlink_to(file)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if final.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        file.replace(final)
    else:
        file.unlink()


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    """Return the description of an object from the status of its file."""
    return ObjectInfo(
        key=key, size=status.st_size, version=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    )
