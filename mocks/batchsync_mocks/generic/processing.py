"""Batch processing of the generic mock: uploads are processed when they are due, row by row."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar

from batchsync_mocks import datetimes
from batchsync_mocks.batches import Batch, BatchOutcome
from batchsync_mocks.generic import outcomes, phases, rows
from batchsync_mocks.generic.switches import GenericSwitches
from batchsync_mocks.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.generic.outcomes import RowOutcome
    from batchsync_mocks.generic.rows import Row
    from batchsync_mocks.generic.spec import Spec
    from batchsync_mocks.vendor_state import VendorState


class BatchProcessor(Vendor):
    """Batch processing of a vendor of a folder."""

    spec: ClassVar[Spec]
    switches_type = GenericSwitches
    row_counter = "rows"
    detail_types: ClassVar[Mapping[str, Any]] = {
        "ids": list,
        "committed": (int, float, NoneType),
        "given": dict,
    }

    def __init__(self, state: VendorState, clock: Clock, *, switches: GenericSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock)
        self.switches = switches or GenericSwitches()

    def process_due(self) -> None:
        """Process every uploaded file that is due, in order of arrival."""
        now = self.clock.now()
        with self.state.lock:
            waiting = [b for b in self.state.batches.all() if b.outcome is None and b.cancelled is None]
            due = [(at, b.number, b) for b in waiting if (at := self._due_at(b)) is not None and at <= now]
            for at, _, batch in sorted(due, key=lambda item: item[:2]):
                self._process(batch, at)

    def accepts_upload(self, batch: Batch) -> bool:
        """Return whether the batch accepts uploads: until it is committed, or processing begins."""
        if batch.outcome is not None or batch.cancelled is not None:
            return False
        at = phases.submitted_at(batch, self.spec)
        is_noticed = at is not None and ("commit" in self.spec.calls or self.clock.now() >= at + self._visible_after)
        return not is_noticed

    def batches(self, last: int = 0) -> list[dict[str, Any]]:
        """Return batches: `batchId`, `userBatchRef`, `status`, `createdAt`, `uploads`, `counts`, `note`, `refused`."""
        with self.state.lock:
            self.process_due()
            return [
                {
                    "batchId": self.id_of(batch),
                    "userBatchRef": batch.reference,
                    "status": self._status(batch),
                    "createdAt": datetimes.format_millis(batch.created),
                    "uploads": batch.uploads,
                    "counts": batch.outcome.counts if batch.outcome else {},
                    "note": batch.outcome.note if batch.outcome else "",
                    "refused": self.refused.get(batch.id, ""),
                }
                for batch in self.state.batches.all()[-last:]
            ]

    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Yield an entry per delivered row; `values` adds the record of a row with a reference.

        `outcome` is `accepted`, `rejected`, `pending` (its batch is not finished) or `unprocessed` (its batch will
        never be processed).
        """
        with self.state.lock:
            self.process_due()
            delivered = [batch for batch in self.state.batches.all() if batch.upload]
        for batch in delivered:
            for entry in self._entries_of(batch, values=values):
                yield {"batch": self.id_of(batch), "reference": batch.reference, **entry}

    def rows(self, batch: Batch, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of one batch by line, without values and the number of the delivery."""
        with self.state.lock:
            self.process_due()
            current = self.state.batches.get(batch.id)
        if current is not None and current.upload is not None:
            yield from islice(self._entries_of(current), skip, None)

    def with_values(self, batch: Batch, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of a batch with the `value` of each record."""
        wanted = {row["line"] for row in rows}
        values = {row.number: row.record for row, _ in self._rows(batch) if row.number in wanted}
        return [row | {"value": values.get(row["line"])} for row in rows]

    def batch_named(self, batch_id: str) -> Batch | None:
        """Return a batch by an id of the vendor, or None."""
        every = self.state.batches.all()
        return next((batch for batch in reversed(every) if batch_id in batch.details["ids"]), None)

    def stored_objects(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the records that the vendor stores now: the last accepted one of each reference."""
        with self.state.lock:
            self.process_due()
            done = [batch for batch in self.state.batches.all() if batch.outcome and batch.outcome.counts]
        stored: dict[str, dict[str, Any]] = {}
        for batch in sorted(done, key=lambda item: item.outcome.number if item.outcome else 0):
            for row, item in self._rows(batch):
                key = row.named.get("ref") if rows.has_reference(self.spec.file) else None
                identity = key or f"{self.id_of(batch)}:{row.number}"
                if item is None or item.outcome != "accepted":
                    continue
                stored.pop(identity, None)
                if self.spec.modes.get(item.mode) != "removals":
                    stored[identity] = {
                        "id": identity,
                        "schema": item.schema,
                        "mode": item.mode,
                        "value": row.record,
                    }
        return iter(stored.values())

    def next_change(self, batch: Batch) -> float | None:
        """Return when the status of a batch changes next, in epoch seconds; None if it does not wait for the vendor."""
        return phases.next_change(batch, self.clock.now(), self.spec, self.switches)

    @staticmethod
    def id_of(batch: Batch) -> str:
        """Return the id by which a client knows a batch now."""
        return str(batch.details["ids"][-1])

    @property
    def _visible_after(self) -> float:
        """Seconds until the vendor notices an uploaded file."""
        return float(self.switches.visible_after)

    def _due_at(self, batch: Batch) -> float | None:
        """Return when a batch ends; None if it does not wait for that."""
        return phases.due_at(batch, self.spec, self.switches)

    def _status(self, batch: Batch) -> str:
        """Return the status of a batch at the clock's time."""
        return phases.status(batch, self.clock.now(), self.spec, self.switches)

    def _has_logs(self, batch: Batch) -> bool:
        """Return whether the documents about the rows of a batch are available."""
        due, now = self._due_at(batch), self.clock.now()
        is_ended = phases.is_ended(batch, now, self.spec, self.switches)
        return is_ended and due is not None and now >= due + self.switches.logs_after

    def _process(self, batch: Batch, at: float) -> None:
        """Process an uploaded file, and save the outcome of its batch."""
        number = self.state.batches.next_outcome()
        end = self.switches.end
        if end != "by_rows":
            word = phases.word(self.spec, end, "refused", "mixed", "processed")
            outcome = BatchOutcome(number=number, at=at, status=word, note=f"{end} by the switch end")
        else:
            outcome = self._processed(batch, number, at)
        self.state.save(replace(batch, outcome=outcome))

    def _processed(self, batch: Batch, number: int, at: float) -> BatchOutcome:
        """Return the outcome of a batch by its rows, whose outcomes are written."""
        terms = outcomes.Terms(given=batch.details["given"], now=at, reject_every=self.switches.reject_every)
        try:
            counts = outcomes.process(self._upload_of(batch), self._outcomes_of(batch), self.spec, terms)
        except rows.UnusableFileError as error:
            word = phases.word(self.spec, "refused", "mixed", "processed")
            return BatchOutcome(number=number, at=at, status=word, note=str(error))
        meanings = ("mixed", "processed") if counts["rejected"] else ("processed", "mixed")
        return BatchOutcome(number=number, at=at, status=phases.word(self.spec, *meanings), counts=counts)

    def _rows(self, batch: Batch) -> Iterator[tuple[Row, RowOutcome | None]]:
        """Yield the rows of a batch with their outcomes, which are None for a batch that was not processed."""
        found = iter(outcomes.read(self._outcomes_of(batch))) if batch.outcome and batch.outcome.counts else None
        try:
            for row in rows.read(self._upload_of(batch), self.spec.file):
                yield row, next(found, None) if found is not None else None
        except rows.UnusableFileError:
            # The rows before the invalid place were delivered, too.
            return

    def _entries_of(self, batch: Batch, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of a batch by line."""
        # A batch that was cancelled, or refused as a whole, is never processed.
        is_over = batch.cancelled is not None or batch.outcome is not None
        for row, item in self._rows(batch):
            yield self._entry(row, item, "unprocessed" if is_over else "pending", values=values)

    def _entry(self, row: Row, item: RowOutcome | None, unfinished: str, *, values: bool) -> dict[str, Any]:
        """Return the ledger entry of a row."""
        entry: dict[str, Any] = {"line": row.number}
        if rows.has_reference(self.spec.file):
            entry |= {"ref": row.named.get("ref", "null")} | ({"value": row.record} if values else {})
        else:
            entry["columns"] = row.columns
        entry |= {
            "schema": item.schema if item else row.named.get("schema"),
            "mode": item.mode if item else row.named.get("mode"),
            "outcome": item.outcome if item else unfinished,
            "code": item.code or None if item else None,
            "message": item.message or None if item else None,
            "detail": "",
        }
        return entry

    def _upload_of(self, batch: Batch) -> Path:
        """Return the path of the current upload of a batch."""
        return self.state.upload_file(batch, batch.upload.number if batch.upload else 0)

    def _outcomes_of(self, batch: Batch) -> Path:
        """Return the path of the file with the outcomes of a batch's rows."""
        return self.state.output_file(batch, "outcomes.jsonl")
