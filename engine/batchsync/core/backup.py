"""Backups of a state folder: where they are, what a snapshot lists, and when a restore is refused. Pure values.

A backup holds objects by the digest of their content, and a manifest for each snapshot: the journal and the objects
that it refers to. The manifest is written last, so that what it names is there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batchsync.core.mapping import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from batchsync.core.object_storage import Storage

FORMAT = 1
SNAPSHOTS = "snapshots"
OBJECTS = "objects"
#: Key of the journal in a manifest.
JOURNAL = "journal.db"
#: Number of snapshots that are kept in a folder. Storage deletes nothing: its own rules for old objects apply.
KEPT = 20
_NAME = re.compile(r"snapshots/([0-9A-Za-z_-]{1,64})/([0-9]{20})\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")
#: Keys of objects of a state folder: no part leads elsewhere.
_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupTarget:
    """Where a state folder is backed up after each settlement.

    Attributes:
        path: Absolute path of a folder, or folder of the storage.
        storage: The storage; None for a folder of this machine.
        place: Location in jobs.yaml.
    """

    path: str
    storage: Storage | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContent:
    """Content of an object in a backup: its SHA-256 digest, and its size in bytes."""

    digest: str
    size: int

    @property
    def name(self) -> str:
        """Name of the content in the backup."""
        return f"{OBJECTS}/{self.digest[:2]}/{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot of a state folder.

    Attributes:
        journal_id: Id of the journal.
        serial: Number of its transactions.
        at: When it was taken.
        contents: The journal and the objects that it refers to, by key.
    """

    journal_id: str
    serial: int
    at: datetime
    contents: Mapping[str, StoredContent]

    @property
    def name(self) -> str:
        """Name of its manifest in the backup."""
        return f"{SNAPSHOTS}/{self.journal_id}/{self.serial:020d}.json"

    @property
    def size(self) -> int:
        """Bytes of all contents."""
        return sum(item.size for item in self.contents.values())

    def to_json(self) -> str:
        """Return the manifest."""
        contents = {key: [item.digest, item.size] for key, item in sorted(self.contents.items())}
        at = self.at.astimezone(UTC).isoformat()
        facts = {"format": FORMAT, "journal_id": self.journal_id, "serial": self.serial, "at": at}
        return json.dumps(facts | {"contents": contents}, indent=1) + "\n"


def read_snapshot(name: str, text: str) -> Snapshot:
    """Return the snapshot of a manifest.

    Args:
        name: Name of the manifest in the backup.
        text: Its content.

    Returns:
        The snapshot.

    Raises:
        ValueError: If it is no manifest of this format, or not that of its name.
    """
    try:
        found = json.loads(text)
        contents = {
            str(key): StoredContent(digest=str(digest), size=int(size))
            for key, (digest, size) in found["contents"].items()
        }
        snapshot = Snapshot(
            journal_id=str(found["journal_id"]),
            serial=int(found["serial"]),
            at=datetime.fromisoformat(str(found["at"])),
            contents=contents,
        )
        is_valid = found["format"] == FORMAT and snapshot.name == name and JOURNAL in contents
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("no manifest of a backup") from error
    is_valid = is_valid and snapshot.at.tzinfo is not None
    if not is_valid or not all(
        _KEY.fullmatch(key) and _DIGEST.fullmatch(item.digest) for key, item in contents.items()
    ):
        raise ValueError("no manifest of a backup of this version")
    return snapshot


def snapshot_names(names: Iterable[str]) -> list[str]:
    """Return those of the names that are names of manifests, those of each journal by the number of transactions."""
    return sorted(name for name in names if _NAME.fullmatch(name))


def journal_of(name: str) -> str:
    """Return the id of the journal that the name of a manifest states."""
    found = _NAME.fullmatch(name)
    return found[1] if found else ""


def to_prune(names: Iterable[str], journal_id: str) -> list[str]:
    """Return the manifests of a journal that are no longer kept, oldest first."""
    own = [name for name in snapshot_names(names) if journal_of(name) == journal_id]
    return own[:-KEPT]


def restore_objection(snapshot: Snapshot, *, present: tuple[str, int] | None, recorded: int) -> str:
    """Return why a snapshot does not replace a state without a person's reason; empty if it may.

    Args:
        snapshot: The snapshot.
        present: Id of the present journal and number of its transactions; None if there is no state.
        recorded: The greatest number of transactions of the snapshot's journal that is recorded outside of the state
            folder; 0 if none is.
    """
    if present is not None and present[0] != snapshot.journal_id:
        return "the state folder holds another journal, which the snapshot would replace"
    if present is not None and present[1] > snapshot.serial:
        later = present[1] - snapshot.serial
        return f"the state folder is newer by {later:,} transactions, which would be lost"
    if recorded > snapshot.serial:
        later = recorded - snapshot.serial
        return f"{later:,} transactions were committed since the snapshot: what was sent in them would be sent again"
    return ""
