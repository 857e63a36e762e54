"""Backup of the state folder, taken while a process runs and restored after its end.

The restored journal is older than the state at the vendors. Rows that were packed into other files meanwhile cannot be
distinguished from new rows, so a backup is restored only if no batch was added or lost its allocation since.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.journal import Journal
from simulation import oracle
from simulation.deployment import BDP, vendor_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: checkpoints at which no transaction is open, so that the files of the journal can be copied
BACKUP_POINTS = (
    r"^record:committed",
    r"^record:committed",
    r"^add_batch:committed",
    r"^vendor\.(allocate|upload):(before|after)",
)
#: seconds that a restore takes: no request is in flight any more after that
RESTORE_SECONDS = 900.0


@dataclass(frozen=True)
class StateBackup:
    """Backup of a state folder at `backup`."""

    state: Path
    backup: Path

    def take(self) -> None:
        """Copy the state folder."""
        shutil.rmtree(self.backup, ignore_errors=True)
        if self.state.exists():
            # Partial files that threads are still writing are in no journal.
            shutil.copytree(
                self.state, self.backup, ignore=shutil.ignore_patterns(".batchsync-*"), copy_function=_copy_existing
            )

    def batches(self, names: tuple[str, ...]) -> list[Batch]:
        """Return the batches in the journal of the backup; empty if it was not taken."""
        if not (self.backup / "journal.db").exists():
            return []
        with Journal.open(self.backup) as journal:
            return oracle.all_batches(journal, names)

    def restore(self, names: tuple[str, ...], current: Sequence[Batch]) -> bool:
        """Replace the state folder by the backup if that is older than the `current` batches; return whether it is."""
        older = is_older(self.batches(names), current)
        if older:
            shutil.rmtree(self.state)
            self.backup.rename(self.state)
        shutil.rmtree(self.backup, ignore_errors=True)
        return older


def _copy_existing(source: str, target: str) -> None:
    """Copy a file, unless it disappears meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def is_older(backup: Sequence[Batch], current: Sequence[Batch]) -> bool:
    """Return whether the backup is older than the journal, and the vendors can be asked for all changes since."""
    after = {batch.id: batch for batch in current}
    if {batch.id for batch in backup} != set(after) or list(backup) == list(current):
        return False
    return all(_can_be_asked(batch, after[batch.id]) for batch in backup)


def _can_be_asked(before: Batch, after: Batch) -> bool:
    """Return whether the vendor can be asked for the outcome of a batch with what the backup contains of it."""
    if before.attempt != after.attempt:
        return False
    # Motorweb cannot look up a batch by its idempotency key.
    unknown_id = vendor_of(before.job) == BDP and before.allocation is None
    return not unknown_id or (
        after.allocation is None
        and after.pending_intent is before.pending_intent
        and after.phase in (Phase.PREPARED, before.phase)
    )


def clear_folder(folder: Path) -> None:
    """Empty the folder, except for the specs, which are the same for every seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".yaml":
            path.unlink()
