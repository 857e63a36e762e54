"""Marks of journals outside their state folders, by which a restored or copied state folder is detected.

Each journal has one file, named after its id. It is written after each commit and not fsynced: it may lag behind the
journal but is never ahead of it. A missing, unreadable or unwritable file is no error; nothing is detected then.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4  # noqa: TID251 - ids of journals, in no idempotency key and sent to no vendor

from batchsync.core.state_age import JournalMark, OlderState, older_state
from batchsync.errors import BatchsyncError, StateError
from batchsync.journal import files
from batchsync.journal.journal import Journal
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.ports import ObjectStore

#: Names of files; other ids, from a foreign or edited journal, have no mark.
_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
#: Files are padded to a multiple of this many bytes, so that one write replaces the content.
_BLOCK = 512
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Anchor:
    """The recorded mark of an open journal."""

    journal: Journal
    path: Path

    @staticmethod
    def of(journal: Journal, folder: Path) -> Anchor | None:
        """Return the anchor of a journal in a folder of anchors, or None if its id cannot name a file."""
        return Anchor(journal, folder / journal.journal_id) if _SAFE_ID.fullmatch(journal.journal_id) else None

    def older(self) -> OlderState | None:
        """Return how the journal is older than its recorded mark, or None."""
        recorded = self._read()
        if recorded is None:
            return None
        return older_state(
            replace(self.journal.mark(), runs=self.journal.runs_with_batches()),
            recorded,
            holds_event=not recorded.event or self.journal.holds_link(recorded.event, recorded.chain),
            holds_acceptance=not recorded.acceptance or self.journal.holds_acceptance(recorded.acceptance),
            copy_serial=_copy_serial(self.journal, Path(recorded.folder)),
        )

    def refuse_older(self) -> None:
        """Refuse a journal that is older than its mark.

        Raises:
            StateError: If it is.
        """
        found = self.older()
        if found is not None:
            refusal = _older_error(self.journal.path.parent, self.path, found)
            raise refusal

    def follow(self, write: str) -> None:
        """Record the present mark, after a commit.

        Args:
            write: Name of the write transaction; runs are counted only when one begins.

        Raises:
            StateError: If a copy of the journal was used meanwhile, or accepted instead of this one.
        """
        mark, recorded = self.journal.mark(), self._read()
        if recorded is not None and (recorded.folder, recorded.acceptance) != (mark.folder, mark.acceptance):
            self.refuse_older()
        elif recorded is not None and recorded.serial >= mark.serial:
            return  # another process committed meanwhile
        # After a commit that was not recorded, because its process died, a run may have begun that is not counted.
        counted = recorded is not None and write != "start_run" and recorded.serial + 1 == mark.serial
        self.write(replace(mark, runs=recorded.runs if recorded and counted else self.journal.runs_with_batches()))

    def write(self, mark: JournalMark) -> None:
        """Record a mark. A failure only makes it lag."""
        content = json.dumps(asdict(mark)).encode()
        content = content.ljust(-(-len(content) // _BLOCK) * _BLOCK - 1) + b"\n"
        with suppress(OSError):
            make_private(self.path.parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, content, 0)
                os.ftruncate(descriptor, len(content))
            finally:
                os.close(descriptor)

    def _read(self) -> JournalMark | None:
        """Return the recorded mark, or None if there is no readable one."""
        return Anchor.recorded(self.path)

    @staticmethod
    def recorded(path: Path) -> JournalMark | None:
        """Return the mark in a file of a folder of anchors, or None if there is no readable one."""
        try:
            with path.open(encoding="utf-8") as file:
                found = json.loads(file.read(_LONGEST))
            return JournalMark(
                folder=str(found["folder"]),
                serial=int(found["serial"]),
                event=int(found["event"]),
                chain=str(found["chain"]),
                acceptance=str(found["acceptance"]),
                runs={str(job): int(runs) for job, runs in found["runs"].items()},
            )
        except (OSError, ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
            return None


def open_anchored(folder: Path, anchors: Path | None, objects: ObjectStore | None = None) -> Journal:
    """Return the journal of a state folder for writing, checked against its anchor; each commit moves the anchor.

    Args:
        folder: The state folder. A missing journal is created.
        anchors: Folder of anchors; None for no check.
        objects: Store of the rejects of a run beyond the first ones; None keeps all in the journal.

    Raises:
        StateError: If the state was restored from a backup, or is a copy of one that was used since, or see
            `Journal.open`.
    """
    journal = _open_identified(folder, objects)
    try:
        anchor = Anchor.of(journal, anchors) if anchors is not None else None
        if anchor is not None:
            anchor.refuse_older()
            journal.on_commit = anchor.follow
    except BaseException:
        journal.close()
        raise
    return journal


def accept_older(folder: Path, anchors: Path | None, *, reason: str, at: datetime) -> OlderState | None:
    """Continue with a state folder that is older than its anchor, on a person's word.

    Args:
        folder: The state folder.
        anchors: Folder of anchors; None if there is none.
        reason: Why this state is to be used; kept in the journal.
        at: Time of the acceptance.

    Returns:
        What was accepted, or None if the state is not older than its anchor; nothing is recorded then.
    """
    with _open_identified(folder) as journal:
        anchor = Anchor.of(journal, anchors) if anchors is not None else None
        found = anchor.older() if anchor is not None else None
        if anchor is not None and found is not None:
            journal.accept_older(uuid4().hex, found, reason, at)
            anchor.write(replace(journal.mark(), runs=journal.runs_with_batches()))
        return found


def accept_restored(folder: Path, anchors: Path | None, *, reason: str, at: datetime) -> int:
    """Record the mark of a journal that was restored from a backup, and the reason if it is to be used though older.

    Args:
        folder: The state folder.
        anchors: Folder of anchors; None if there is none.
        reason: Why it is to be used; empty if it is not older. Kept in the journal.
        at: Time of the restore.

    Returns:
        The number of its transactions.

    Raises:
        StateError: If the journal is damaged.
    """
    with Journal.open(folder) as journal:
        anchor = Anchor.of(journal, anchors) if anchors is not None else None
        if reason:
            older = anchor.older() if anchor is not None else None
            found = older or OlderState(serial=journal.serial, newest=journal.serial, other="")
            journal.accept_older(uuid4().hex, found, f"restored from a backup: {reason}", at)
        if anchor is not None:
            anchor.write(replace(journal.mark(), runs=journal.runs_with_batches()))
        return journal.serial


def _open_identified(folder: Path, objects: ObjectStore | None = None) -> Journal:
    """Return the journal of a folder with an id of its own; journals of earlier versions have none."""
    journal = Journal.open(folder, journal_id=uuid4().hex, objects=objects)
    if not journal.journal_id:
        try:
            journal.identify(uuid4().hex)
        except BaseException:
            journal.close()
            raise
    return journal


def _copy_serial(journal: Journal, folder: Path) -> int | None:
    """Return the number of transactions of another copy of a journal, in a folder, or None if there is none."""
    path = folder / files.NAME
    with suppress(OSError, BatchsyncError):
        if path.samefile(journal.path):
            return None
        with Journal.open(folder, read_only=True) as other:
            return other.serial if other.journal_id == journal.journal_id else None
    return None


def _older_error(folder: Path, anchor: Path, found: OlderState) -> StateError:
    facts = (
        f"it has {found.serial} transactions"
        + (f", {found.newest} were committed" if found.newest > found.serial else ", not those that were committed")
        + f", as recorded in {anchor}"
    )
    if found.other:
        return StateError(
            f"{folder} is a copy of the state in {found.other}, which was used since: {facts}. Used next to each "
            "other, both would send the same rows",
            hint=f"Use the state in {found.other}. To continue with this one instead, and never with the other: "
            "`batchsync state accept --reason TEXT`.",
            name="state.restored",
        )
    return StateError(
        f"{folder} is older than it was: {facts}. It was restored from a backup, or a copy of it was used meanwhile; "
        "what was sent since would be sent again",
        hint="Put back the newest state folder. If it is lost, `batchsync state accept --reason TEXT` continues with "
        "this one: vendors that can be asked are asked before anything is sent (docs/guarantees.md).",
        name="state.restored",
    )
