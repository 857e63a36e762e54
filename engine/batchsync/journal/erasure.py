"""Erasure of forgotten keys from the journal, and the tombstones that remain of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from batchsync.core.personal_data import REMOVED_TEXT, KeySearch, Tombstone
from batchsync.journal import codec
from batchsync.journal.chain import PREPARED, redaction_payload
from batchsync.journal.coordination import Coordination, set_baseline
from batchsync.journal.reject_filter import Erased, RejectFilter
from batchsync.journal.schema_fourth import REDACTED
from batchsync.journal.sqlite_errors import checkpoint_refused, translate_sqlite_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlite_utils import Database

    from batchsync.core.batch import Batch, BatchId
    from batchsync.journal.codec import Row
    from batchsync.ports import Erasure

#: Free texts of an event.
_TEXTS = ("reason", "vendor_status")
#: Reasons that many rows of a job may share: how to list and to replace them.
_REASONS = (
    ("SELECT DISTINCT reason FROM rejects WHERE job = ?", "UPDATE rejects SET reason = ? WHERE job = ? AND reason = ?"),
    ("SELECT reason FROM approvals WHERE job = ?", "UPDATE approvals SET reason = ? WHERE job = ? AND reason = ?"),
)


class ErasureWrites(Coordination):
    """Tombstones, erasure of keys, and removal of deleted content from the file; a base of `Journal`."""

    def tombstones(self, jobs: Collection[str]) -> frozenset[str]:
        """Return the hashes of the forgotten keys of some jobs."""
        found = self._rows("SELECT job, key_hash FROM tombstones")
        return frozenset(str(row["key_hash"]) for row in found if row["job"] in jobs)

    def tombstone(self, job: str, key_hash: str) -> Tombstone | None:
        """Return the tombstone of a key of a job, or None."""
        found = self._rows("SELECT * FROM tombstones WHERE job = ? AND key_hash = ?", [job, key_hash])
        if not found:
            return None
        row = found[0]
        return Tombstone(
            key_hash=row["key_hash"], at=codec.from_iso(row["at"]), by=str(row["by"]), reason=str(row["reason"])
        )

    def revoke(self, job: str, hashes: Collection[str], *, epoch: int | None = None) -> int:
        """Delete tombstones, so that rows of these keys are sent again.

        Args:
            job: Name of the job.
            hashes: Hashes of the keys.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The number of tombstones deleted.
        """
        with self._write("revoke", job, epoch) as db:
            return db.conn.executemany(
                "DELETE FROM tombstones WHERE job = ? AND key_hash = ?", [[job, key_hash] for key_hash in hashes]
            ).rowcount

    def kept_files(self, job: str, since: datetime) -> tuple[Batch, ...]:
        """Return the batches of a job that were delivered at a time or later."""
        return self._batches(
            "WHERE job = ? AND phase = 'delivered' AND EXISTS (SELECT 1 FROM events WHERE batch = batches.id "
            "AND kind = 'Delivered' AND at >= ?) ORDER BY no",
            [job, codec.to_iso(since)],
        )

    def pending_erasures(self, job: str) -> tuple[tuple[Batch, tuple[str, ...]], ...]:
        """Return the delivered batches of a job whose removals erased keys that are not forgotten yet.

        Each comes with the operations that erase, of add, change and remove.
        """
        ops = {row["batch"]: tuple(row["ops"].split(" ")) for row in self._rows("SELECT batch, ops FROM erasures")}
        batches = self._batches("WHERE job = ? AND id IN (SELECT batch FROM erasures) ORDER BY no", [job])
        return tuple((batch, ops[batch.id]) for batch in batches)

    def begin_erasure(self, batch: Batch, erasing: Sequence[str], *, epoch: int | None = None) -> None:
        """Record that accepted rows of a delivered batch, of these operations, erased their keys for good."""
        if erasing:
            with self._write("begin_erasure", batch.job, epoch) as db:
                add_erasure(db, batch, erasing)

    def finish_erasure(self, batch: Batch, *, epoch: int | None = None) -> None:
        """Record that the keys which a batch erased are forgotten."""
        with self._write("finish_erasure", batch.job, epoch) as db:
            db.execute("DELETE FROM erasures WHERE batch = ?", [batch.id])

    def erase(self, erasure: Erasure, *, epoch: int | None = None) -> int:
        """Forget keys of a job, in one transaction: tombstones, baselines, row manifests, rejects and texts.

        A text that mentions a key is replaced as a whole. Of an event, the chain value of its former content stays, and
        an event `Redacted` documents its new content.

        Args:
            erasure: What to erase.
            epoch: Epoch of the job's lease; None for the one held through this journal.

        Returns:
            The number of rejects deleted and texts replaced.
        """
        keys = {codec.lossless_text(key) for key in erasure.keys}
        search = KeySearch([*erasure.keys, *keys])
        with self._write("erase", erasure.job, epoch) as db:
            facts = [codec.to_iso(erasure.at), codec.clean(erasure.by), codec.clean(erasure.reason)]
            rows = [[erasure.job, key_hash, *facts] for key_hash in erasure.hashes]
            rows.append(["", erasure.check, facts[0], "", ""])
            db.conn.executemany("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?, ?, ?)", rows)
            self._reached("erase:tombstones")
            for baseline in erasure.baselines:
                set_baseline(db, baseline)
            self._reached("erase:baselines")
            found = sum(self._erase_from(db, name, keys, search, erasure) for name in erasure.names)
            self._reached("erase:texts")
            for row in self._rows("SELECT no, reason FROM acceptances"):
                if search.found_in(row["reason"]):
                    db.execute("UPDATE acceptances SET reason = ? WHERE no = ?", [REMOVED_TEXT, row["no"]])
                    found += 1
        return found

    def vacuum(self) -> None:
        """Rewrite the file without deleted content, and empty its -wal file.

        Raises:
            LockedError: If another process uses the journal too long.
            UnavailableError: If the disk is full or fails.
        """
        self._reached("vacuum:begin")
        with translate_sqlite_errors(self.path):
            self._db.execute("VACUUM")
            self._reached("vacuum:done")
            self._checkpoint()
        self._reached("vacuum:checkpoint")

    def _erase_from(self, db: Database, job: str, keys: Collection[str], search: KeySearch, erasure: Erasure) -> int:
        """Erase the keys from everything that the journal has of a job; return the number of changed rows."""
        deleted: int = db.conn.executemany(
            "DELETE FROM rejects WHERE job = ? AND key = ?", [[job, key] for key in keys]
        ).rowcount
        for select, update in _REASONS:
            for row in self._rows(select, [job]):
                if search.found_in(row["reason"]):
                    deleted += db.execute(update, [REMOVED_TEXT, job, row["reason"]]).rowcount
        erased = Erased(keys=keys, is_replaced=search.found_in, text=REMOVED_TEXT)
        deleted += self._erase_from_objects(self._objects_of(RejectFilter(job=job)), erased)
        self._reached("erase:rejects")
        deleted += self._redact_events(db, job, search, erasure.manifests)
        deleted += _redact_rows(db, "batches", self._rows("SELECT * FROM batches WHERE job = ?", [job]), search)
        return deleted + _redact_rows(db, "runs", self._rows("SELECT * FROM runs WHERE job = ?", [job]), search)

    def _redact_events(self, db: Database, job: str, search: KeySearch, manifests: Mapping[BatchId, str]) -> int:
        """Redact the events of a job, and let its batches refer to rewritten row manifests."""
        found = self._rows("SELECT events.* FROM events JOIN batches ON batches.id = batch WHERE job = ?", [job])
        changed = 0
        for event in found:
            payload = json.loads(event["payload"])
            after = _redacted(payload, search)
            if event["kind"] == PREPARED and event["batch"] in manifests:
                after = _with_checksum(after | {"row_manifest": manifests[event["batch"]]})
            if after != payload:
                self._redact_event(db, event | {"payload": codec.canonical(after)}, job)
                changed += 1
        for batch, location in manifests.items():
            for row in self._rows("SELECT * FROM batches WHERE id = ? AND job = ?", [batch, job]):
                _update_checked(db, "batches", row | {"row_manifest": location})
        return changed

    def _redact_event(self, db: Database, event: Row, job: str) -> None:
        """Append the documentation of a redaction, then change the event."""
        payload = redaction_payload(event["no"], codec.chain_hash("", event))
        row: Row = {"batch": event["batch"], "at": event["at"], "kind": REDACTED, "payload": payload}
        row |= {"epoch": self._epochs.get(job)}
        db.table("events").insert(row | {"chain": codec.chain_hash(self.chain_head(), row)})
        db.execute("UPDATE events SET payload = ? WHERE no = ?", [event["payload"], event["no"]])

    def _checkpoint(self) -> None:
        """Move the -wal file into the journal and empty it.

        Raises:
            LockedError: If a reader of another process prevents it.
        """
        if self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]["busy"]:
            refused = checkpoint_refused(self.path)
            raise refused


def add_erasure(db: Database, batch: Batch, erasing: Sequence[str]) -> None:
    """Keep in mind that keys of a batch are to be forgotten: those of accepted rows with these operations."""
    if erasing:
        row = {"batch": batch.id, "job": batch.job, "ops": " ".join(erasing)}
        db.table("erasures").insert(row, replace=True)


def _redacted(payload: dict[str, object], search: KeySearch) -> dict[str, object]:
    """Return the payload of an event without texts that mention a key."""
    texts = {name: payload[name] for name in _TEXTS if isinstance(payload.get(name), str)}
    removed = {name: REMOVED_TEXT for name, text in texts.items() if search.found_in(str(text))}
    if not removed:
        return payload
    return _with_checksum(payload | removed) if "checksum" in payload else payload | removed


def _redact_rows(db: Database, table: str, rows: Sequence[Row], search: KeySearch) -> int:
    """Remove texts that mention a key from rows of batches or runs; a watermark that is a key goes, too."""
    changed = 0
    for row in rows:
        after = row | {
            name: REMOVED_TEXT for name in _TEXTS if isinstance(row.get(name), str) and search.found_in(row[name])
        }
        if row.get("watermark") is not None and search.found_in(row["watermark"]):
            after |= {"watermark": None}
        if after != row:
            _update_checked(db, table, after)
            changed += 1
    return changed


def _update_checked(db: Database, table: str, row: Row) -> None:
    db.table(table).update(row["no"], {name: value for name, value in _with_checksum(row).items() if name != "no"})


def _with_checksum(row: Row) -> Row:
    return row | {"checksum": codec.row_checksum(row)}
