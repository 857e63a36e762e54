"""Copies of revisions, each in a folder of its own below the state folder, and which of them was good last.

A copy is written elsewhere and renamed, so that it is complete or not there. A process that uses one holds a
shared lock of the kernel on its folder, which ends with the process: only unused copies are deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.deployments import RECORD
from batchsync.errors import UnavailableError
from batchsync.util.files import fsync_file, fsync_folder, make_private, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.deployments.origin import Origin

#: Characters of a revision in the name of its folder.
_SHOWN = 12
_NAME = re.compile(rf"[0-9a-f]{{{_SHOWN}}}")
#: Prefix of folders that are being written or deleted.
_PARTIAL = ".new-"
_CURRENT = "current"
_HINT = "check the disk and the permissions of the state folder"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of a revision.

    Attributes:
        revision: Its full id.
        folder: Its folder, which does not change.
    """

    revision: str
    folder: Path

    @property
    def short(self) -> str:
        """The beginning of the revision, for messages."""
        return self.revision[:_SHOWN]


class Checkouts:
    """The checkouts of one state folder; other processes may use the same."""

    def __init__(self, folder: Path) -> None:
        """Store the folder, which need not exist."""
        self.folder = folder
        self._locks: dict[Path, int] = {}

    @property
    def current(self) -> Path:
        """The link to the active checkout, for people and other commands."""
        return self.folder / _CURRENT

    def find(self, revision: str) -> Checkout | None:
        """Return the checkout of a revision, locked against deletion; None if there is none."""
        checkout = Checkout(revision, self.folder / revision[:_SHOWN])
        return checkout if self._hold(checkout.folder) else None

    def add(self, origin: Origin) -> Checkout:
        """Return the checkout of the newest revision, written unless it is there, and locked.

        Raises:
            UnavailableError: If it cannot be read or written.
        """
        with translate_os_errors(f"{self.folder}: cannot write a checkout", hint=_HINT):
            make_private(self.folder)
            work = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.folder))
            lock = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                revision, tree = origin.export(work)
                _flush(tree)
                checkout = Checkout(revision, self.folder / revision[:_SHOWN])
                with suppress(FileExistsError, OSError):  # it is there already, from this or another process
                    tree.rename(checkout.folder)
                fsync_folder(self.folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
                os.close(lock)
        if not self._hold(checkout.folder):
            raise UnavailableError(f"{checkout.folder}: another process deleted it", hint="it is tried again")
        return checkout

    def good(self, title: str) -> str:
        """Return the last good revision of an origin; empty if none is known."""
        try:
            found = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            revision = found["good"] if found["origin"] == title else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return revision if isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40,64}", revision) else ""

    def record_good(self, checkout: Checkout, title: str) -> None:
        """Record the last good revision, durably.

        Raises:
            UnavailableError: If it cannot be written.
        """
        text = json.dumps({"origin": title, "good": checkout.revision}, indent=2) + "\n"
        with translate_os_errors(f"{self.folder}: cannot record the revision", hint=_HINT):
            descriptor, name = tempfile.mkstemp(prefix=_PARTIAL, dir=self.folder)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            fsync_file(Path(name))
            Path(name).replace(self.folder / RECORD)
            fsync_folder(self.folder)

    def switch(self, checkout: Checkout) -> None:
        """Let the link `current` lead to a checkout, in one step.

        Raises:
            UnavailableError: If the link cannot be written.
        """
        if self.current.is_symlink() and self.current.readlink().name == checkout.folder.name:
            return
        with translate_os_errors(f"{self.current}: cannot switch the link", hint=_HINT):
            new = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.folder))
            (new / _CURRENT).symlink_to(checkout.folder.name)
            (new / _CURRENT).replace(self.current)
            new.rmdir()
            fsync_folder(self.folder)

    def release(self, keep: Iterable[Checkout]) -> None:
        """Unlock all checkouts but these, and delete what no process uses; failures are left for the next time."""
        kept = {checkout.folder for checkout in keep}
        for folder in self._locks.keys() - kept:
            os.close(self._locks.pop(folder))
        with suppress(OSError):
            for entry in sorted(self.folder.iterdir()):
                if entry not in kept and (_NAME.fullmatch(entry.name) or entry.name.startswith(_PARTIAL)):
                    self._delete(entry)

    def _delete(self, entry: Path) -> None:
        """Delete a folder, unless a process holds it."""
        if not entry.is_dir() or entry.is_symlink():
            entry.unlink(missing_ok=True)
            return
        lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Renamed first: a checkout that is partly deleted must not be found.
            gone = entry.with_name(f"{_PARTIAL}{entry.name.removeprefix(_PARTIAL)}")
            entry.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)

    def _hold(self, folder: Path) -> bool:
        """Lock a checkout against deletion; return False if there is none."""
        if folder in self._locks:
            return True
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            held = os.path.samestat(os.fstat(lock), folder.stat())
        except OSError:
            held = False
        if held:
            self._locks[folder] = lock
        else:
            os.close(lock)
        return held


def _flush(tree: Path) -> None:
    """Flush all files below a folder to the disk.

    Raises:
        OSError: If that fails.
    """
    for folder, _, files in os.walk(tree):
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                fsync_file(path)
        fsync_folder(Path(folder))
