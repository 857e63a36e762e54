"""Back up a state folder: a consistent copy of the journal, and the immutable objects that it refers to.

Objects are written by the digest of their content, and only those that the last backup lacks; the manifest of the
snapshot is written last. A backup that is interrupted leaves files that no manifest names, which the next one uses.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.backup import (
    JOURNAL,
    OBJECTS,
    SNAPSHOTS,
    Snapshot,
    StoredContent,
    journal_of,
    read_snapshot,
    snapshot_names,
    to_prune,
)
from batchsync.errors import BatchsyncError, UnavailableError
from batchsync.reconcile.sweep import files_in_use, rejects_in_use, segments_in_use
from batchsync.util.files import fsync_and_rename, make_private, sha256_of_file, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from batchsync.ports import ObjectStore, StateStore
    from batchsync.ports.backup_place import BackupPlace, CopyJournal

#: Result of the last backup, in the state folder.
STATUS = "backup.json"
#: Secret with which forgotten keys are hashed; without it their rows would be sent again.
_FORGET_KEY = "forget.key"
#: File that names the environment of the state: a restore for another one is refused.
ENVIRONMENT = "environment"
#: How often a snapshot is restarted because an object of it was deleted meanwhile.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStatus:
    """Result of the last backup: when it was, the transactions of the newest snapshot, and why it failed."""

    at: datetime
    serial: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSource:
    """What is backed up: the state folder, its objects, and what copies its journal."""

    state: Path
    objects: ObjectStore
    copy_journal: CopyJournal


def back_up(source: BackupSource, place: BackupPlace, at: datetime, *, complete: bool = False) -> Snapshot:
    """Write a snapshot of the present state, unless there is one of it.

    Args:
        source: What is backed up. It may be in use by other processes.
        place: Where to.
        at: Time of the backup.
        complete: Whether the objects of the last snapshot are looked for, instead of taken to be there.

    Returns:
        The snapshot.

    Raises:
        StateError: If there is no state, or it is damaged.
        UnavailableError: If the place cannot be used.
    """
    for _ in range(_ATTEMPTS):
        # A run that ended after the journal was copied may have deleted what no later command needs.
        with suppress(FileNotFoundError):
            return _snapshot(source, place, at, complete=complete)
    raise UnavailableError(f"{source.state} changes too quickly to be backed up", hint="run the command again")


def _snapshot(source: BackupSource, place: BackupPlace, at: datetime, *, complete: bool) -> Snapshot:
    with scratch_folder(source.state) as folder, source.copy_journal(folder) as copy:
        names = snapshot_names(place.names(SNAPSHOTS))
        own = [name for name in names if journal_of(name) == copy.journal_id]
        last = _last(place, own, folder)
        known = dict(last.contents) if last is not None else {}
        present = set(place.names(OBJECTS)) if complete else {item.name for item in known.values()}
        contents = dict(_contents(source, copy.store, copy.file, known))
        snapshot = Snapshot(journal_id=copy.journal_id, serial=copy.serial, at=at, contents=contents)
        for key, content in contents.items():
            if content.name not in present:
                if key == JOURNAL:
                    place.put(content.name, copy.file)
                else:
                    with source.objects.get(key) as path:
                        place.put(content.name, path)
        if last is None or snapshot.serial != last.serial:
            manifest = folder / "manifest.json"
            manifest.write_text(snapshot.to_json(), encoding="utf-8")
            place.put(snapshot.name, manifest)
        _prune(place, [*names, snapshot.name], snapshot, folder)
    return snapshot


def _contents(
    source: BackupSource, store: StateStore, journal: Path, known: Mapping[str, StoredContent]
) -> Iterator[tuple[str, StoredContent]]:
    """Yield key and content of the journal and of the objects that it needs. Known objects are not read again."""
    yield JOURNAL, _content(journal)
    keys = set[str]()
    for job in {*store.jobs(), *store.baseline_jobs()}:
        keys |= files_in_use(job, store) | segments_in_use(job, store) | rejects_in_use(job, store)
    keys |= {key for key in (_FORGET_KEY, ENVIRONMENT) if source.objects.head(key) is not None}
    for key in sorted(keys):
        with source.objects.get(key) as path:
            content = known.get(key)
            # Objects of a key never change, but for one that was damaged, which has another size or is written again.
            if key == _FORGET_KEY or content is None or content.size != path.stat().st_size:
                content = _content(path)
        yield key, content


def _content(path: Path) -> StoredContent:
    return StoredContent(digest=sha256_of_file(path), size=path.stat().st_size)


def _last(place: BackupPlace, names: list[str], folder: Path) -> Snapshot | None:
    """Return the newest of some snapshots; None if there is none, or its manifest is damaged."""
    if not names:
        return None
    with suppress(ValueError):
        return load_snapshot(place, names[-1], folder)
    return None


def load_snapshot(place: BackupPlace, name: str, folder: Path) -> Snapshot:
    """Return a snapshot by the name of its manifest; `folder` is for a temporary copy.

    Raises:
        ValueError: If the manifest is damaged.
        UnavailableError: If it cannot be read.
    """
    copy = folder / "last.json"
    copy.unlink(missing_ok=True)
    place.get(name, copy)
    return read_snapshot(name, copy.read_text(encoding="utf-8"))


def snapshots(place: BackupPlace, folder: Path) -> list[Snapshot]:
    """Return the snapshots of a place, newest first; those with a damaged manifest are left out.

    Args:
        place: The place.
        folder: Existing folder below which temporary copies are made.
    """
    found = []
    with scratch_folder(folder) as scratch:
        for name in snapshot_names(place.names(SNAPSHOTS)):
            with suppress(ValueError):
                found.append(load_snapshot(place, name, scratch))
    return sorted(found, key=lambda item: (item.at, item.serial), reverse=True)


def _prune(place: BackupPlace, names: Iterable[str], newest: Snapshot, folder: Path) -> None:
    """Delete old snapshots of a journal, and the objects that no kept snapshot of any journal names."""
    old = to_prune(names, newest.journal_id)
    if not old or not all(place.delete(name) for name in old):
        return
    used = {item.name for item in newest.contents.values()}
    for name in snapshot_names(place.names(SNAPSHOTS)):
        try:
            used |= {item.name for item in load_snapshot(place, name, folder).contents.values()}
        except ValueError:
            return  # nothing is known of what it needs
    for name in place.names(OBJECTS):
        if name not in used:
            place.delete(name)


@contextmanager
def scratch_folder(state: Path) -> Iterator[Path]:
    """Yield a new private folder in the state folder, and delete it afterwards."""
    with translate_os_errors(f"{state} has no room for a copy of its journal", hint="batchsync doctor"):
        make_private(state)
        folder = Path(tempfile.mkdtemp(prefix=".batchsync-part-", dir=state))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def back_up_and_note(source: BackupSource, open_place: Callable[[], BackupPlace], at: datetime) -> str:
    """Back up after a settlement. A failure stops nothing: it is noted in the state folder, and `status` reports it.

    Returns:
        Why it failed; empty if it did not.
    """
    error, last = "", read_status(source.state)
    serial = last.serial if last is not None else 0
    try:
        serial = back_up(source, open_place(), at).serial
    except BatchsyncError as failure:
        error = failure.message
    except OSError as failure:
        error = f"{failure.strerror or failure}"
    with suppress(OSError):
        path = source.state / STATUS
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"at": at.isoformat(), "serial": serial, "error": error}) + "\n", encoding="utf-8")
        fsync_and_rename(new, path)
    return error


def read_status(state: Path) -> BackupStatus | None:
    """Return the result of the last backup; None if there was none, or the file cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads((state / STATUS).read_text(encoding="utf-8"))
        return BackupStatus(
            at=datetime.fromisoformat(str(found["at"])), serial=int(found["serial"]), error=str(found["error"])
        )
    return None
