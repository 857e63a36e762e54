"""Compile `state: {backup: ...}` of jobs.yaml. Nothing is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from batchsync.core.backup import BackupTarget
from batchsync.core.object_storage import has_pattern
from batchsync.core.source_path import scheme_of
from batchsync.spec.compile_storage import BAD_PATH
from batchsync.spec.interpolate import TypedMap
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsync.core.object_storage import Storage
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_state import BackupModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence


def compile_backup(
    model: BackupModel | None,
    typed: TypedMap,
    folder: Path,
    storages: Mapping[str, Storage | None],
    problems: Problems,
    fence: PathFence,
) -> BackupTarget | None:
    """Compile the place of backups.

    Args:
        model: The validated block; None if there is none.
        typed: The whole file with places.
        folder: Absolute folder of jobs.yaml.
        storages: Storage by name; None where it is invalid.
        problems: Receives the problems.
        fence: Where the folder may be.

    Returns:
        The place; None if there is none, or after reporting a problem.
    """
    state = typed.get("state")
    node = state.get("backup") if isinstance(state, TypedMap) else None
    if model is None or not isinstance(node, TypedMap):
        return None
    before, at = len(problems), _at(node, "path")
    if model.connection is None:
        path = os.path.normpath(folder / model.path)
        if scheme := scheme_of(model.path):
            expected = "a folder, or connection: <storage> and a folder in it"
            problems.add("backup", at, f'"path" begins with {quoted(scheme + "://")}', expected)
        elif objection := fence.objection(path):
            problems.add("path", at, f'"path" {objection}', fence.advice)
        target = BackupTarget(path=path, place=problems.source.place(at))
        return target if len(problems) == before else None
    storage = storages.get(model.connection)
    known = [name for name, item in storages.items() if item is not None and item.kind != "http"]
    expected = one_of(known) if known else "a connection with storage: s3, gcs or azure"
    if model.connection not in storages:
        advice = problems.suggest(model.connection, known)
        message = f"{quoted(model.connection)} is no storage of connections"
        problems.add("unknown_connection", _at(node, "connection"), message, expected, advice)
    elif storage is not None and storage.kind == "http":
        message = f"{quoted(storage.name)} is a server of files, to which nothing is written"
        problems.add("backup", _at(node, "connection"), message, expected)
    folder_in_storage = model.path.rstrip("/")
    if BAD_PATH.search(folder_in_storage) or scheme_of(folder_in_storage) or has_pattern(folder_in_storage):
        problems.add("backup", at, '"path" is no folder of a storage', "a folder such as backups/batchsync")
    if storage is None or len(problems) > before:
        return None
    return BackupTarget(path=folder_in_storage, storage=storage, place=problems.source.place(at))


def _at(node: Typed, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start
