"""Alerts in the journal: which conditions hold, the messages about their transitions, and what is judged by history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.core.alert_conditions import Active, Cause, Share
from batchsync.journal import codec
from batchsync.journal.model import PendingAlert, WaitingAlerts
from batchsync.journal.pruning import Pruning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from batchsync.core.alert_conditions import States
    from batchsync.journal.model import AlertChanges

#: Records by run, newest first: sent, rejected, selected, invalid.
_RECORDS = (
    "SELECT json_extract(runs.counts, '$.selected') AS selected, json_extract(runs.counts, '$.invalid') AS invalid, "
    "(SELECT coalesce(sum(rows), 0) FROM batches WHERE run = runs.id) AS sent, "
    "(SELECT coalesce(sum(json_extract(counts, '$.rejected')), 0) FROM batches WHERE run = runs.id) AS rejected "
    "FROM runs WHERE job = ? AND state = 'settled' ORDER BY serial DESC LIMIT ?"
)
_PENDING = (
    "SELECT * FROM alert_messages AS message WHERE state = 'pending' AND not_before <= :now AND NOT EXISTS "
    "(SELECT 1 FROM alert_messages AS older WHERE older.channel = message.channel AND older.state = 'pending' "
    "AND older.no < message.no AND older.not_before > :now) ORDER BY no"
)


class AlertLog(Pruning):
    """Conditions that hold, and messages about them; a base of `Journal`."""

    def alert_states(self) -> dict[str, States]:
        """Return the causes that hold, by job. Causes of newer versions are left out."""
        known = {cause.value for cause in Cause}
        found: dict[str, States] = {}
        for row in self._rows("SELECT * FROM alert_causes ORDER BY job, cause"):
            if row["cause"] in known:
                active = Active(codec.from_iso(row["since"]), codec.from_iso(row["seen"]))
                found.setdefault(row["job"], {})[Cause(row["cause"])] = active
        return found

    def change_alerts(self, decide: Callable[[Mapping[str, States]], AlertChanges], at: datetime) -> None:
        """Record transitions and the messages about them in one transaction.

        Args:
            decide: Returns the changes of the states that it is given, which are those of the transaction.
            at: Time of the changes; the messages may be sent from then on.
        """
        with self._write("change_alerts") as db:
            changes = decide(self.alert_states())
            for job, states in changes.states.items():
                db.execute("DELETE FROM alert_causes WHERE job = ?", [job])
                db.table("alert_causes").insert_all(
                    {
                        "job": job,
                        "cause": cause.value,
                        "since": codec.to_iso(active.since),
                        "seen": codec.to_iso(active.seen),
                    }
                    for cause, active in states.items()
                )
            time = codec.to_iso(at)
            for message in changes.messages:
                db.execute(
                    "INSERT OR IGNORE INTO alert_messages (id, channel, content, at, state, attempts, not_before) "
                    "VALUES (?, ?, ?, ?, 'pending', 0, ?)",
                    [message.id, message.channel, codec.canonical(dict(message.content)), time, time],
                )
            oldest = codec.to_iso(at - changes.keep)
            db.execute("DELETE FROM alert_messages WHERE state <> 'pending' AND at < ?", [oldest])
            self._reached("change_alerts:messages")

    def pending_alerts(self, now: datetime) -> tuple[PendingAlert, ...]:
        """Return the messages that are to be sent now, oldest first; none before an older one of its channel."""
        found = self._rows(_PENDING, {"now": codec.to_iso(now)})
        return tuple(
            PendingAlert(
                number=row["no"],
                id=row["id"],
                channel=row["channel"],
                content=json.loads(row["content"]),
                at=codec.from_iso(row["at"]),
                attempts=row["attempts"],
            )
            for row in found
        )

    def waiting_alerts(self) -> tuple[WaitingAlerts, ...]:
        """Return what was not sent yet, by channel."""
        found = self._rows(
            "SELECT channel, count(*) AS messages, min(at) AS since, max(attempts) AS attempts "
            "FROM alert_messages WHERE state = 'pending' GROUP BY channel ORDER BY channel"
        )
        return tuple(
            WaitingAlerts(
                channel=row["channel"],
                messages=row["messages"],
                since=codec.from_iso(row["since"]),
                attempts=row["attempts"],
            )
            for row in found
        )

    def claim_alert(self, alert: PendingAlert, now: datetime, until: datetime) -> bool:
        """Record that this process sends a message now.

        Args:
            alert: The message as it was read.
            now: Present time.
            until: When another process may send it, if this one does not record what became of it.

        Returns:
            False if another process sends it, or did.
        """
        with self._write("claim_alert") as db:
            claimed = db.execute(
                "UPDATE alert_messages SET attempts = attempts + 1, not_before = ? "
                "WHERE no = ? AND state = 'pending' AND attempts = ? AND not_before <= ?",
                [codec.to_iso(until), alert.number, alert.attempts, codec.to_iso(now)],
            )
        return bool(claimed.rowcount == 1)

    def end_alert(self, alert: PendingAlert, *, sent: bool) -> None:
        """Record that a message was sent, or is given up."""
        with self._write("end_alert") as db:
            state = "sent" if sent else "dropped"
            db.execute("UPDATE alert_messages SET state = ? WHERE no = ?", [state, alert.number])

    def postpone_alert(self, alert: PendingAlert, until: datetime) -> None:
        """Record that a message could not be sent, and when it is tried again."""
        with self._write("postpone_alert") as db:
            db.execute(
                "UPDATE alert_messages SET not_before = ? WHERE no = ? AND state = 'pending'",
                [codec.to_iso(until), alert.number],
            )

    def refused_shares(self, job: str, limit: int) -> tuple[Sequence[Share], Sequence[Share]]:
        """Return how many records of the newest settled runs of a job were rejected, and invalid, newest first.

        Args:
            job: Name of the job.
            limit: Number of runs to look at; runs without such records are left out.

        Returns:
            Rejected of the records sent, and invalid of the selected records.
        """
        found = self._rows(_RECORDS, [job, limit])
        rejected = tuple(Share(int(row["rejected"] or 0), int(row["sent"])) for row in found if row["sent"])
        invalid = tuple(Share(int(row["invalid"] or 0), int(row["selected"])) for row in found if row["selected"])
        return rejected, invalid

    def last_settled(self, job: str) -> str:
        """Return the id of the newest settled run of a job; empty if there is none."""
        query = "SELECT id FROM runs WHERE job = ? AND state = 'settled' ORDER BY serial DESC LIMIT 1"
        found = self._rows(query, [job])
        return str(found[0]["id"]) if found else ""
