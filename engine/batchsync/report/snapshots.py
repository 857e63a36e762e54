"""Report of `batchsync state restore --list`: the snapshots of a place of backups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, columns, iso, markdown, markdown_table, moment, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.backup import Snapshot

_HEADER = ("taken at", "transactions", "files", "bytes", "journal")
_RIGHT = frozenset({1, 2, 3})


def snapshot_data(snapshot: Snapshot) -> dict[str, object]:
    """Return a snapshot as a JSON-compatible dictionary."""
    return {
        "at": iso(snapshot.at),
        "transactions": snapshot.serial,
        "journal": snapshot.journal_id,
        "files": len(snapshot.contents),
        "bytes": snapshot.size,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotsReport:
    """The snapshots of a place of backups, newest first."""

    place: str
    snapshots: tuple[Snapshot, ...]

    def text(self, paint: Style) -> str:
        """Return a table."""
        if not self.snapshots:
            return f"no snapshots in {self.place}"
        return columns(_HEADER, self._rows(), paint, right=_RIGHT)

    def markdown(self) -> str:
        """Return a Markdown table."""
        return f"### Snapshots in {markdown(self.place)}\n\n{markdown_table(_HEADER, self._rows(), right=_RIGHT)}"

    def data(self) -> dict[str, object]:
        """Return the snapshots as a JSON-compatible dictionary."""
        return {"place": self.place, "snapshots": [snapshot_data(item) for item in self.snapshots]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per snapshot."""
        for item in self.snapshots:
            yield {"event": "snapshot"} | snapshot_data(item)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (moment(item.at), f"{item.serial:,}", f"{len(item.contents):,}", size(item.size), item.journal_id[:8])
            for item in self.snapshots
        ]
