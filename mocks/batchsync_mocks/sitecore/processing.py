"""Batch processing of the Sitecore mock: applies uploads when they are due, and reports the outcome of every record."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from batchsync_mocks import datetimes, disk
from batchsync_mocks.batches import Batch, BatchOutcome
from batchsync_mocks.sitecore import bulk, files, phases, refusals
from batchsync_mocks.sitecore.gzip_lines import UnusableFileError
from batchsync_mocks.sitecore.store import Store
from batchsync_mocks.sitecore.switches import SitecoreSwitches
from batchsync_mocks.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor_state import SavedState, VendorState


class BatchProcessor(Vendor):
    """Batch processing of `sitecore-cdp`, with its store."""

    switches_type = SitecoreSwitches
    detail_types: ClassVar[Mapping[str, Any]] = {"checksum": str, "size": int}
    row_counter = "read"

    def __init__(self, state: VendorState, clock: Clock, *, switches: SitecoreSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock)
        self.switches = switches or SitecoreSwitches()
        # The store is rebuilt from the uploads on first use, which keeps starting fast.
        self._store: Store | None = None

    def process_due(self) -> None:
        """Apply every uploaded file that is due, in order of arrival."""
        now = self.clock.now()
        with self.state.lock:
            unfinished = [(b, phases.due_at(b, self.switches)) for b in self.state.batches.all() if b.outcome is None]
            due = [(at, b.upload.sequence, b) for b, at in unfinished if b.upload and at is not None and at <= now]
            for at, _, batch in sorted(due, key=lambda item: item[:2]):
                self._apply(batch, at)

    def accepts_upload(self, batch: Batch) -> bool:
        """Return whether the batch accepts uploads: until processing starts, unless it is corrupted."""
        return phases.status(batch, self.clock.now(), self.switches) in {"uploading", "file_uploaded"}

    def batches(self, last: int = 0) -> list[dict[str, Any]]:
        """Return every batch: `ref`, `status`, `createdAt`, `uploads` (number), `counts`, `note` and `refused`."""
        with self.state.lock:
            self.process_due()
            return [
                {
                    "ref": batch.reference,
                    "status": self._status(batch),
                    "createdAt": datetimes.format_millis(batch.created),
                    "uploads": batch.uploads,
                    "counts": batch.outcome.counts if batch.outcome else {},
                    "note": self._note(batch),
                    "refused": self.refused.get(batch.id, ""),
                }
                for batch in self.state.batches.all()[-last:]
            ]

    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Yield an entry per delivered record line; `values` adds the record's value.

        `outcome` is `accepted`, `rejected`, `pending` (its batch is not finished) or `unprocessed` (its
        batch is corrupted, or not gzip).
        """
        with self.state.lock:
            self.process_due()
            self._loaded_store()
            delivered = [(batch, self._status(batch)) for batch in self.state.batches.all() if batch.upload]
        for batch, status in delivered:
            for entry in self._entries_of(batch, status, values=values):
                yield {"batch": batch.reference, **entry}

    def rows(self, batch: Batch, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of one batch by line, without values and the number of the delivery."""
        with self.state.lock:
            self.process_due()
            self._loaded_store()
            current, status = self.state.batches.get(batch.id), self._status(batch)
        if current is not None and current.upload is not None:
            yield from self._entries_of(current, status, skip=skip)

    def with_values(self, batch: Batch, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return rows of a batch with the `value` of each record."""
        values = files.values_of(self._upload_of(batch), {row["line"] for row in rows})
        return [row | {"value": values.get(row["line"])} for row in rows]

    def _entries_of(
        self, batch: Batch, status: str, *, values: bool = False, skip: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Return an iterator over the ledger entries of a batch in a status, without those to skip."""
        paths = self._output_paths(batch)
        processed = paths if batch.outcome is not None and paths.ledger.exists() else None
        outcome = "pending" if status in {"file_uploaded", "processing"} else "unprocessed"
        return files.entries(self._upload_of(batch), processed, outcome=outcome, values=values, skip=skip)

    def summary(self) -> dict[str, int]:
        """Return the numbers of deliveries by outcome; for batches counted in bulk only the refs are read."""
        with self.state.lock:
            self.process_due()
            paths = [self._output_paths(batch) for batch in self.state.batches.all() if batch.upload]
            if not all(item.refs.exists() for item in paths):
                return super().summary()
            return bulk.summary((item.refs, item.ledger) for item in paths)

    def stored_objects(self) -> Iterator[dict[str, Any]]:
        """Return an iterator over the guests, orders and tracking events stored now."""
        with self.state.lock:
            self.process_due()
            objects = list(self._loaded_store().objects())
        return iter(objects)

    def reset(self) -> None:
        """Delete all state, and the store."""
        with self.state.lock:
            super().reset()
            self._store = None

    def adopt(self, saved: SavedState) -> None:
        """Take over a restored state; the store is rebuilt on next use."""
        super().adopt(saved)
        self._store = None

    def next_change(self, batch: Batch) -> float | None:
        """Return when the status of a batch changes next, in epoch seconds; None if it does not wait for the vendor."""
        return phases.next_change(batch, self.clock.now(), self.switches)

    def _status(self, batch: Batch) -> str:
        """Return the status of a batch at the clock's time."""
        return phases.status(batch, self.clock.now(), self.switches)

    def _note(self, batch: Batch) -> str:
        """Return why a batch was not processed; empty if it was, or may still be."""
        if self._status(batch) == "corrupted":
            return refusals.difference(batch)
        return batch.outcome.note if batch.outcome else ""

    def upload_problem(self, batch: Batch) -> str:
        """Return what is wrong with the upload of a batch; empty if nothing is."""
        return refusals.difference(batch) if phases.corrupted(batch, self.switches) else ""

    def _apply(self, batch: Batch, at: float) -> None:
        """Apply an uploaded file, and save the outcome of its batch."""
        number = self.state.batches.next_outcome()
        try:
            counts = self._bulk_counts(batch) if self.switches.bulk else self._process(batch, self._loaded_store(), at)
            status = "error" if counts["failed"] else "success"
            outcome = BatchOutcome(number=number, at=at, status=status, counts=counts)
        except UnusableFileError as error:
            outcome = BatchOutcome(number=number, at=at, status="error", note=str(error))
        except BaseException:
            # A full disk may leave a partly applied file; the store is then rebuilt from the finished batches.
            self._store = None
            raise
        self.state.save(replace(batch, outcome=outcome))

    def _loaded_store(self) -> Store:
        """Return the store, rebuilt from the processed uploads if needed."""
        # The uploads are applied again in their original order.
        if self._store is None:
            store = Store()
            applied = [(b.outcome, b) for b in self.state.batches.all() if b.outcome and b.outcome.counts]
            applied = [(outcome, b) for outcome, b in applied if not self._output_paths(b).refs.exists()]
            for outcome, batch in sorted(applied, key=lambda item: item[0].number):
                self._process(batch, store, outcome.at)
            self._store = store
        return self._store

    def _record_upload(self, batch: Batch, received: disk.Received, *, stored: Path | None) -> None:
        """Record an upload; in bulk mode, start counting it."""
        super()._record_upload(batch, received, stored=stored)
        arrived = self.state.batches.get(batch.id)
        if self.switches.bulk and stored is not None and arrived and not phases.corrupted(arrived, self.switches):
            self.eager_work.begin(self._upload_of(arrived), self._bulk_count(arrived))

    def _bulk_counts(self, batch: Batch) -> dict[str, int]:
        """Return the counts of an upload in bulk mode."""
        self._check_size(batch)
        return self.eager_work.result(self._upload_of(batch), self._bulk_count(batch))

    def _bulk_count(self, batch: Batch) -> Callable[[], dict[str, int]]:
        """Return the function that counts an upload."""
        return partial(files.count, self._upload_of(batch), self._output_paths(batch), self.switches)

    def _check_size(self, batch: Batch) -> None:
        """Raise if a file is larger than the switch `largest` allows."""
        if batch.details["size"] > self.switches.largest:
            msg = f"the file has more than {self.switches.largest} bytes"
            raise UnusableFileError(msg)

    def _process(self, batch: Batch, store: Store, at: float) -> dict[str, int]:
        """Apply an upload to a store; return its counts."""
        self._check_size(batch)
        return files.process(self._upload_of(batch), store, self._output_paths(batch), now=at, switches=self.switches)

    def _upload_of(self, batch: Batch) -> Path:
        """Return the path of the current upload of a batch."""
        return self.state.upload_file(batch, batch.upload.number if batch.upload else 0)

    def _output_paths(self, batch: Batch) -> files.OutputPaths:
        """Return the paths of the files generated for a batch."""
        log, ledger, refs = (self.state.output_file(batch, suffix) for suffix in ("log.gz", "ledger.jsonl", "refs"))
        return files.OutputPaths(log=log, ledger=ledger, refs=refs)
