"""Restore a state folder from a backup. The present state stays as it is until the journal is replaced, in one step."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from batchsync.core.backup import JOURNAL, Snapshot, restore_objection
from batchsync.errors import StateError, UnavailableError, UsageError
from batchsync.ports import ObjectConflictError
from batchsync.reconcile.backup import ENVIRONMENT, BackupSource, back_up, scratch_folder
from batchsync.util.files import sha256_of_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from batchsync.ports.backup_place import BackupPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTarget:
    """The state folder to restore, and what its journal needs.

    Attributes:
        source: The state folder as it is, which is backed up before it is replaced.
        environment: The chosen environment of the jobs file; empty for none.
        recorded: Return the number of transactions recorded of a journal outside of the state folder; 0 if none is.
        hold: Keep other processes from running these jobs, until the context is left.
        install: Replace the journal by a file, with the person's reason if one is needed; return its transactions.
    """

    source: BackupSource
    environment: str
    recorded: Callable[[str], int]
    hold: Callable[[Collection[str]], AbstractContextManager[object]]
    install: Callable[[Path, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Result of a restore: the snapshot, that of the state before (None without one), and what spoke against it."""

    snapshot: Snapshot
    before: Snapshot | None
    objection: str
    serial: int


def restore(target: RestoreTarget, place: BackupPlace, snapshot: Snapshot, *, reason: str, at: datetime) -> Restored:
    """Replace a state folder by a snapshot.

    The present state is backed up to the same place before, as far as it can be read.

    Args:
        target: The state folder.
        place: The place of the snapshot.
        snapshot: The snapshot.
        reason: A person's reason to lose what happened since; empty for none.
        at: Time of the restore.

    Returns:
        What was restored.

    Raises:
        UsageError: If the state is newer, and no reason is given. Nothing was changed.
        StateError: If the backup is damaged, or of another environment. Nothing was changed but objects that nothing
            refers to.
        LockedError: If a job is running.
        UnavailableError: If the place or the state folder cannot be used.
    """
    state, recorded = target.source.state, snapshot.contents.get(ENVIRONMENT)
    if recorded is not None and recorded.digest != sha256(f"{target.environment}\n".encode()).hexdigest():
        raise StateError(
            f"{place.label}: the snapshot is of another environment; nothing was restored",
            hint="name its environment with --env, and the state folder that it has there",
            name="state.environment",
        )
    with scratch_folder(state) as folder:
        present = _present(target, folder)
        facts = present[:2] if present is not None else None
        objection = restore_objection(snapshot, present=facts, recorded=target.recorded(snapshot.journal_id))
        if objection and not reason:
            raise UsageError(
                f"{state}: {objection}; nothing was restored",
                hint="`batchsync state restore --reason TEXT` restores it nevertheless",
            )
        with ExitStack() as stack:
            before = None
            if present is not None:
                stack.enter_context(target.hold(present[2]))
                before = back_up(target.source, place, at)
            journal = _download(place, snapshot, folder, target)
            serial = target.install(journal, reason if objection else "")
    return Restored(snapshot=snapshot, before=before, objection=objection, serial=serial)


def _present(target: RestoreTarget, folder: Path) -> tuple[str, int, frozenset[str]] | None:
    """Return id, transactions and jobs of the present journal; None if there is none that can be read."""
    copies = folder / "present"
    copies.mkdir(mode=0o700)
    with suppress(StateError), target.source.copy_journal(copies) as copy:
        return copy.journal_id, copy.serial, frozenset({*copy.store.jobs(), *copy.store.baseline_jobs()})
    return None


def _download(place: BackupPlace, snapshot: Snapshot, folder: Path, target: RestoreTarget) -> Path:
    """Bring the objects of a snapshot into the state folder, and return a copy of its journal.

    Raises:
        StateError: If a file of the backup is missing or damaged.
    """
    objects, journal = target.source.objects, folder / "restored.db"
    for number, (key, content) in enumerate(snapshot.contents.items()):
        file = journal if key == JOURNAL else folder / f"object-{number}"
        info = None if key == JOURNAL else objects.head(key)
        if info is not None:
            with objects.get(key) as path:
                if sha256_of_file(path) == content.digest:
                    continue
        try:
            place.get(content.name, file)
        except UnavailableError as error:
            raise UnavailableError(f"the backup lacks {key}: {error.message}", hint=error.hint) from None
        if sha256_of_file(file) != content.digest:
            raise StateError(
                f"{place.label}: {content.name} ({key}) is damaged; nothing was restored",
                hint="`batchsync state restore --list` shows other snapshots",
            )
        if key != JOURNAL:
            try:
                objects.put(key, file)
            except ObjectConflictError:
                # Only the secret of forgotten keys has a key without a digest.
                objects.delete(key)
                objects.put(key, file)
    return journal


def choose(found: list[Snapshot], serial: int | None, place: BackupPlace) -> Snapshot:
    """Return the newest snapshot, or that with a number of transactions.

    Raises:
        UsageError: If there is none.
    """
    chosen = [item for item in found if serial is None or item.serial == serial]
    if not chosen:
        which = "" if serial is None else f" with {serial} transactions"
        raise UsageError(
            f"{place.label} has no snapshot{which}", hint="`batchsync state restore --list` shows the snapshots"
        )
    return chosen[0]
