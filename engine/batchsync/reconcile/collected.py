"""Collected results: files with the vendor's results of one batch, kept between collection and delivery.

`write` returns after everything is durable, and `read` verifies digests, so that results survive a crash or are
detected as damaged. Each collection has a numbered folder below that of its batch: a process that lost its lease
during a collection cannot overwrite the collection of the new lease holder.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING, Any

from batchsync.core.row_outcome import BATCH_OUTCOMES
from batchsync.ports import RowVerdicts
from batchsync.util.files import (
    fsync_and_rename,
    fsync_file,
    fsync_folder,
    make_private,
    sha256_of_file,
    translate_os_errors,
)

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.row_outcome import OutcomeCounts

_MANIFEST = "collected.json"
_DISK_HINT = "free space on the disk of the state folder, then run `batchsync resume` to download them again"


class ResultsMissingError(Exception):
    """Collected results are missing or changed on disk. They can be collected from the vendor again."""


def new_results_dir(folder: Path) -> Path:
    """Create a new, empty results folder below that of the batch.

    Returns:
        The new folder.

    Raises:
        UnavailableError: If the folder cannot be created.
    """
    with translate_os_errors(f"{folder}: cannot write the vendor's results", hint=_DISK_HINT):
        make_private(folder)
        number = 1
        while not _create(folder / str(number)):
            number += 1
    return folder / str(number)


def remove(folder: Path) -> None:
    """Remove the results of a delivered batch. Files that cannot be removed now are removed by the next sweep."""
    shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, verdicts: RowVerdicts) -> None:
    """Write the manifest of a folder from `new_results_dir`, with digests of the verdict files, durably.

    Args:
        folder: The folder; the files of `verdicts` are in it.
        verdicts: Row verdicts of the batch.

    Raises:
        UnavailableError: If the disk refuses the write; the results then do not count as collected.
    """
    temporary = folder / (_MANIFEST + ".partial")
    files = {"verdicts": verdicts.path, "answers": verdicts.answers}
    with translate_os_errors(f"{folder}: cannot write the vendor's results", hint=_DISK_HINT):
        manifest = {
            "files": {role: [file.name, sha256_of_file(file)] for role, file in files.items() if file is not None},
            "counts": verdicts.counts.by_name(BATCH_OUTCOMES),
            "unattributed": verdicts.unattributed,
            "key": verdicts.key,
        }
        temporary.write_text(json.dumps(manifest), encoding="utf-8")
        fsync_and_rename(temporary, folder / _MANIFEST)
        for file in files.values():
            if file is not None:
                fsync_file(file)
        for directory in (folder, folder.parent, folder.parent.parent):
            fsync_folder(directory)


def read(folder: Path, batch: Batch) -> RowVerdicts:
    """Return the newest intact collection of the batch.

    Args:
        folder: The batch's folder of collections.
        batch: The batch; its journaled counts must equal those of the collection.

    Raises:
        ResultsMissingError: If no intact collection has the journaled counts.
    """
    numbers = sorted((int(path.name) for path in folder.glob("*") if path.name.isdecimal()), reverse=True)
    for number in numbers:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((folder / str(number) / _MANIFEST).read_text(encoding="utf-8"))
            if batch.counts is not None and manifest["counts"] == batch.counts.by_name(BATCH_OUTCOMES):
                return _verified(folder / str(number), manifest, batch.counts)
    raise ResultsMissingError(f"the results collected for batch {batch.id} are missing or damaged: {folder}")


def _verified(folder: Path, manifest: dict[str, Any], counts: OutcomeCounts) -> RowVerdicts:
    """Return the verdicts that a manifest names; raise ValueError if a file changed since it was written."""
    files = {role: folder / name for role, (name, _) in manifest["files"].items()}
    for role, (_, digest) in manifest["files"].items():
        if sha256_of_file(files[role]) != digest:
            message = f"{files[role]} has changed"
            raise ValueError(message)
    return RowVerdicts(
        counts=counts,
        path=files["verdicts"],
        answers=files.get("answers"),
        unattributed=manifest["unattributed"],
        key=tuple(manifest["key"]),
    )


def _create(folder: Path) -> bool:
    """Create the folder; return False if it exists."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True
