"""The folder in which the vendor's answers about one batch rest between collection and delivery.

It survives a crash: what `write` has returned from is on disk, and `read` gives nothing that has changed since. It does
not know what the files mean.

Each collection has a numbered folder of its own below that of its batch. A process whose job was taken over, and which
wakes in the middle of a collection, can so not spoil what the new holder of the job has collected.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lading.errors import EnvironmentProblem
from lading.folders import make_private
from lading.ports import RowVerdicts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.batch import Batch, Books

_MANIFEST = "collected.json"


class AnswersGoneError(Exception):
    """What was collected is not on our disk any more as it was written. The vendor can be asked for it again."""


def fresh(folder: Path) -> Path:
    """Return a new, empty folder below that of the batch; nobody else has it.

    Raises:
        EnvironmentProblem: when our disk does not take it.
    """
    with _our_disk(folder):
        make_private(folder)
        number = 1
        while not _made(folder / str(number)):
            number += 1
    return folder / str(number)


def remove(folder: Path) -> None:
    """Remove the folder: its answers are delivered. What cannot be removed now, the next sweep removes."""
    shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, verdicts: RowVerdicts) -> None:
    """Say in the folder that `fresh` gave which files hold the verdicts, durably and whole.

    Raises:
        EnvironmentProblem: when our disk does not take it; nothing counts as collected then.
    """
    temporary = folder / (_MANIFEST + ".partial")
    files = {"verdicts": verdicts.path, "answers": verdicts.answers}
    with _our_disk(folder):
        manifest = {
            "files": {role: [file.name, _digest(file)] for role, file in files.items() if file is not None},
            "books": asdict(verdicts.books),
            "unattributed": verdicts.unattributed,
            "key": verdicts.key,
        }
        with temporary.open("w", encoding="utf-8") as handle:
            json.dump(manifest, handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.rename(folder / _MANIFEST)
        for file in files.values():
            if file is not None:
                _fsync(file)
        for one in (folder, folder.parent, folder.parent.parent):
            _fsync(one)


def read(folder: Path, batch: Batch) -> RowVerdicts:
    """Return what was written for this batch, of its collections the newest that is whole.

    Raises:
        AnswersGoneError: when there is none whose books are those that the journal remembers.
    """
    numbers = sorted((int(one.name) for one in folder.glob("*") if one.name.isdecimal()), reverse=True)
    for number in numbers:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((folder / str(number) / _MANIFEST).read_text(encoding="utf-8"))
            if batch.books is not None and manifest["books"] == asdict(batch.books):
                return _whole(folder / str(number), manifest, batch.books)
    raise AnswersGoneError(f"the answers collected for batch {batch.id} are gone or damaged: {folder}")


def _whole(folder: Path, manifest: dict[str, Any], books: Books) -> RowVerdicts:
    """Return what a manifest names, if each file is byte for byte what was written; a ValueError otherwise."""
    files = {role: folder / name for role, (name, _) in manifest["files"].items()}
    for role, (_, digest) in manifest["files"].items():
        if _digest(files[role]) != digest:
            message = f"{files[role]} has changed"
            raise ValueError(message)
    return RowVerdicts(
        books=books,
        path=files["verdicts"],
        answers=files.get("answers"),
        unattributed=manifest["unattributed"],
        key=tuple(manifest["key"]),
    )


def _made(folder: Path) -> bool:
    """Make the folder, or say that somebody has made it before."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def _our_disk(folder: Path) -> Iterator[None]:
    """Say what it means when the disk fails: a full one, or a folder that somebody took away."""
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"the vendor's answers cannot be kept in {folder}: {error.strerror or error}",
            hint="make room on the disk of the state folder, then `lading resume`: the answers are fetched anew",
        ) from None


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
