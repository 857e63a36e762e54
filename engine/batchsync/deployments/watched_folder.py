"""A folder whose files others replace: a mounted ConfigMap, a link that is switched, files that are copied over.

A revision is the digest of all files. A copy counts only if its digest is that of the folder before and after, so that
a folder which is being written is left for later.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.deployments.origin import BYTES_MAX, FILES_MAX, TOO_LARGE
from batchsync.errors import UnavailableError, UsageError
from batchsync.util.files import os_error_reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

#: Entries that are not part of a revision: the repository of a working tree, and a state folder. Entries that begin
#: with two dots are those of a ConfigMap, which its files link to.
_LEFT_OUT = frozenset({".git", ".batchsync"})
_DEPTH_MAX = 32


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder; the origin of jobs that `serve --watch` follows."""

    folder: Path

    @classmethod
    def of(cls, path: Path) -> WatchedFolder:
        """Return the folder with an absolute path, whose links are resolved each time.

        Raises:
            UsageError: If it is no folder.
        """
        if not path.is_dir():
            raise UsageError(f"--watch: {path} is no folder", hint="name the folder that contains jobs.yaml")
        return cls(path.absolute())

    @property
    def title(self) -> str:
        """The path."""
        return str(self.folder)

    def newest(self) -> str:
        """Return the digest of the files.

        Raises:
            UnavailableError: If they cannot be read, or are too many or too large.
        """
        try:
            return self._digest(self.folder.resolve(strict=True))
        except OSError as error:
            raise self._unreadable(error) from error

    def export(self, work: Path) -> tuple[str, Path]:
        """Copy the files below a folder; see `Origin.export`.

        Args:
            work: Existing, empty folder.

        Returns:
            The digest, and the folder with the copies.

        Raises:
            UnavailableError: If they cannot be read, are too large, or are being replaced.
        """
        tree = work / "tree"
        try:
            real = self.folder.resolve(strict=True)
            before = self._digest(real)
            tree.mkdir(mode=0o700)
            for name, path, kind in _entries(real, self.title):
                target = tree / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if kind is None:
                    target.symlink_to(path.resolve())
                else:
                    shutil.copyfile(path, target)
                    target.chmod(0o700 if kind & stat.S_IXUSR else 0o600)
            unchanged = before == self._digest(tree) == self._digest(self.folder.resolve(strict=True))
        except OSError as error:
            raise self._unreadable(error) from error
        if not unchanged:
            raise UnavailableError(
                f"{self.title} is being changed", hint="nothing to do if it is complete soon: it is read again"
            )
        return before, tree

    def _digest(self, folder: Path) -> str:
        """Return the SHA-256 of the names and contents of all files below a folder."""
        found = hashlib.sha256()
        for name, path, kind in _entries(folder, self.title):
            if kind is None:
                text = f"link {path.resolve()}".encode(errors="surrogateescape")
            else:
                with path.open("rb") as file:
                    text = hashlib.file_digest(file, "sha256").hexdigest().encode()
            found.update(name.encode(errors="surrogateescape") + b"\0" + text + b"\0")
        return found.hexdigest()

    def _unreadable(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"{self.title} cannot be read: {os_error_reason(error)}",
            hint="check that the folder is mounted and readable",
        )


def _entries(folder: Path, title: str) -> Iterator[tuple[str, Path, int | None]]:
    """Yield the files below a folder in order: relative name, path, and mode; None for a link that leads out of it.

    Raises:
        UnavailableError: If there are too many files, or they are too large.
        OSError: If they cannot be read.
    """
    count, size = 0, 0
    for name, path, info in _walk(folder, folder, "", _DEPTH_MAX):
        count, size = count + 1, size + (info.st_size if info is not None else 0)
        if count > FILES_MAX or size > BYTES_MAX:
            limits = f"more than {FILES_MAX:,} files or {BYTES_MAX >> 20} MiB"
            raise UnavailableError(f"{title} has {limits}, and is not followed", hint=TOO_LARGE)
        yield name, path, info.st_mode if info is not None else None


def _walk(root: Path, folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path, os.stat_result | None]]:
    """Yield the files of a folder and its subfolders; links that lead out of the root are yielded without a status.

    Raises:
        OSError: If a folder cannot be read, is too deep, or has a file that is neither a file nor a folder.
    """
    if depth == 0:
        raise OSError(0, "folders are nested too deeply, or a link leads back")
    for entry in sorted(folder.iterdir()):
        if entry.name in _LEFT_OUT or entry.name.startswith(".."):
            continue
        name = f"{prefix}{entry.name}"
        if entry.is_symlink() and not entry.resolve().is_relative_to(root):
            yield name, entry, None
            continue
        info = entry.stat()
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(root, entry, f"{name}/", depth - 1)
        elif stat.S_ISREG(info.st_mode):
            yield name, entry, info
        else:
            raise OSError(0, f"{name} is no regular file")
