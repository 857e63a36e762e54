"""The hash chain over all events: reading of verified events, its head, and how far the journal got.

The chain continues over events that were redacted or pruned; `schema_fourth` says how.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.core.state_age import JournalMark
from batchsync.journal import codec
from batchsync.journal.schema_fourth import REDACTED
from batchsync.journal.store import Store

if TYPE_CHECKING:
    from batchsync.core.events import Event

#: Kind of the first event of each batch; its payload is the prepared batch. Not an event of the lifecycle.
PREPARED = "Prepared"
#: Kinds of events that document others.
NOT_OF_LIFECYCLE = (PREPARED, REDACTED)
#: Chain value of an event by its number, if it is known: of a pruned range, only that of its last event is.
_LINK = "SELECT chain FROM events WHERE no = :event UNION ALL SELECT chain FROM pruned_events WHERE last = :event"
#: Newest event or pruned range; union and order would read every event.
_HEAD = (
    "SELECT no, chain FROM (SELECT * FROM (SELECT no, chain FROM events ORDER BY no DESC LIMIT 1) "
    "UNION ALL SELECT * FROM (SELECT last, chain FROM pruned_events ORDER BY first DESC LIMIT 1)) "
    "ORDER BY no DESC LIMIT 1"
)
_EVENTS = (
    "SELECT *, coalesce((SELECT chain FROM (SELECT * FROM (SELECT no AS at, chain FROM events AS earlier "
    "WHERE earlier.no < events.no ORDER BY earlier.no DESC LIMIT 1) UNION ALL "
    "SELECT * FROM (SELECT last, chain FROM pruned_events WHERE last < events.no ORDER BY first DESC LIMIT 1)) "
    "ORDER BY at DESC LIMIT 1), '') AS before FROM events WHERE batch = ? ORDER BY no"
)


class Chain(Store):
    """Read-only queries of events and their chain; a base of `Journal`."""

    def events(self, batch: str) -> tuple[Event, ...]:
        """Return the events of a batch in order. Polls without a change of status are not stored."""
        found = self._rows(_EVENTS, [batch])
        redacted = codec.redactions(found)
        return tuple(
            codec.read_linked_event(row["before"], row, redacted)
            for row in found
            if row["kind"] not in NOT_OF_LIFECYCLE
        )

    def chain_head(self) -> str:
        """Return the newest chain value, a hash over all events; empty if there are none."""
        found = self._rows(_HEAD)
        return str(found[0]["chain"]) if found else ""

    def holds_link(self, event: int, chain: str) -> bool:
        """Return whether the journal has, or had before it was pruned, an event of this number and chain value.

        Of events inside a pruned range, the chain values are not known any more.
        """
        found = self._rows(_LINK, {"event": event})
        if found:
            return str(found[0]["chain"]) == chain
        return bool(self._rows("SELECT 1 FROM pruned_events WHERE ? BETWEEN first AND last", [event]))

    def mark(self) -> JournalMark:
        """Return how far the journal got."""
        head: codec.Row = next(iter(self._rows(_HEAD)), {"no": 0, "chain": ""})
        row = self._rows(
            "SELECT serial, coalesce((SELECT id FROM acceptances ORDER BY no DESC LIMIT 1), '') AS acceptance FROM meta"
        )[0]
        folder = str(self.path.parent.resolve())
        return JournalMark(folder=folder, event=head["no"], chain=head["chain"], **row)

    def runs_with_batches(self) -> dict[str, int]:
        """Return the number of runs with batches, by job; runs that were pruned are counted."""
        found = self._rows(
            "SELECT job, sum(runs) AS runs FROM (SELECT job, count(DISTINCT run) AS runs FROM batches GROUP BY job "
            "UNION ALL SELECT job, runs FROM pruned_runs) GROUP BY job"
        )
        return {row["job"]: row["runs"] for row in found}


def redaction_payload(event: int, content: str) -> str:
    """Return the payload of an event `Redacted`.

    Args:
        event: Number of the redacted event.
        content: Digest of its new content.
    """
    return json.dumps({"content": content, "event": event}, sort_keys=True, separators=(",", ":"))
