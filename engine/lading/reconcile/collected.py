"""The folder in which the vendor's answers about one batch rest between collection and delivery.

It survives a crash: what `write` has returned from is on disk. It does not know what the files mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from lading.errors import EnvironmentProblem, StateError
from lading.ports import RowVerdicts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.batch import Batch

_MANIFEST = "collected.json"


def fresh(folder: Path) -> Path:
    """Return the folder, empty: what an earlier, unfinished collection left is gone.

    Raises:
        EnvironmentProblem: when our disk does not take it.
    """
    with _our_disk(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
    return folder


def remove(folder: Path) -> None:
    """Remove the folder: its answers are delivered. What cannot be removed now, the next sweep removes."""
    shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, verdicts: RowVerdicts) -> None:
    """Say in the folder which files hold the verdicts, durably and whole.

    Raises:
        EnvironmentProblem: when our disk does not take it; nothing counts as collected then.
    """
    manifest = {
        "verdicts": verdicts.path.name,
        "answers": verdicts.answers.name if verdicts.answers else None,
        "unattributed": verdicts.unattributed,
    }
    temporary = folder / (_MANIFEST + ".partial")
    with _our_disk(folder):
        with temporary.open("w", encoding="utf-8") as handle:
            json.dump(manifest, handle)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.rename(folder / _MANIFEST)
        for name in (manifest["verdicts"], manifest["answers"]):
            if isinstance(name, str):
                _fsync(folder / name)
        _fsync(folder)
        _fsync(folder.parent)


def read(folder: Path, batch: Batch) -> RowVerdicts:
    """Return what was written for this batch.

    Raises:
        StateError: when the folder was lost or changed after the journal had said that it is there.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        path = folder / manifest["verdicts"]
        answers = folder / manifest["answers"] if manifest["answers"] else None
    except (OSError, ValueError, KeyError, TypeError):
        raise _lost(folder, batch) from None
    if batch.books is None or not path.exists() or (answers is not None and not answers.exists()):
        raise _lost(folder, batch)
    return RowVerdicts(books=batch.books, path=path, answers=answers, unattributed=manifest["unattributed"])


def _lost(folder: Path, batch: Batch) -> StateError:
    return StateError(
        f"the answers collected for batch {batch.id} are gone or damaged: {folder}",
        hint="restore the state folder from a backup; the vendor's own log of the batch may still be had",
    )


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
