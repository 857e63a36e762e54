"""Batch processing of the Motorweb mock: validates uploads when they are due, and reports the outcome of every row."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar

from batchsync_mocks import datetimes
from batchsync_mocks.batches import Batch, BatchOutcome
from batchsync_mocks.motorweb import files, phases
from batchsync_mocks.motorweb.switches import MotorwebSwitches
from batchsync_mocks.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batchsync_mocks.clock import Clock
    from batchsync_mocks.vendor_state import VendorState

SERVICE = {
    "id": "8600aa22-e4bf-4fe3-96be-7978832807a0",
    "name": "Vehicle ID WOVR Batch",
    "description": "Looks vehicles up in the Australian written-off vehicle registers.",
}
SERVICE_CODE = "VEHICLE_ID_WOVR"


class BatchProcessor(Vendor):
    """Batch processing of `motorweb-bdp`."""

    switches_type = MotorwebSwitches
    detail_types: ClassVar[Mapping[str, Any]] = {"object": str, "scheduled": (int, float, NoneType)}
    hashes_uploads = False
    row_counter = "rowsInBatch"

    def __init__(self, state: VendorState, clock: Clock, *, switches: MotorwebSwitches | None = None) -> None:
        """Create the vendor on its state and clock, with default switches if None."""
        super().__init__(state, clock)
        self.switches = switches or MotorwebSwitches()

    def process_due(self) -> None:
        """Validate every uploaded file that is due."""
        now = self.clock.now()
        with self.state.lock:
            for batch in self.state.batches.all():
                due = phases.validated_at(batch, self.switches)
                if batch.outcome is None and batch.cancelled is None and due is not None and due <= now:
                    self._validate(batch, due)

    def accepts_upload(self, batch: Batch) -> bool:
        """Return whether the batch accepts uploads: until its file has been validated (assumption 25)."""
        retained = self.clock.now() < batch.created + phases.RETENTION_SECONDS
        return batch.outcome is None and batch.cancelled is None and retained

    def batches(self, last: int = 0) -> list[dict[str, Any]]:
        """Return every batch as in the API, with `uploads` (their number), `note` (why it failed) and `refused`."""
        with self.state.lock:
            self.process_due()
            return [
                self._view(batch)
                | {
                    "uploads": batch.uploads,
                    "note": batch.outcome.note if batch.outcome else "",
                    "refused": self.refused.get(batch.id, ""),
                }
                for batch in self.state.batches.all()[-last:]
            ]

    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Yield an entry per delivered row; `values` is ignored, as entries always contain the columns.

        `outcome` is `accepted`, `rejected`, `pending` (its batch is not finished) or `unprocessed` (its batch
        will never be processed).
        """
        del values
        with self.state.lock:
            self.process_due()
            delivered = [(batch, self._status(batch)) for batch in self.state.batches.all() if batch.upload]
        for batch, status in delivered:
            for entry in self._entries_of(batch, status):
                yield {"batch": batch.id, "reference": batch.reference, **entry}

    def rows(self, batch: Batch, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of one batch by line, without the number of the delivery."""
        with self.state.lock:
            self.process_due()
            current, status = self.state.batches.get(batch.id), self._status(batch)
        if current is not None and current.upload is not None:
            yield from islice(self._entries_of(current, status), skip, None)

    def _entries_of(self, batch: Batch, status: str) -> Iterator[dict[str, Any]]:
        """Yield the ledger entries of a batch in a status."""
        done = self._was_completed(batch, status)
        unfinished = "pending" if status in phases.WAITING else "unprocessed"
        for row in _readable_rows(self._upload_of(batch), files.Rules(short_chassis=self.switches.short_chassis)):
            error = row.error if done else None
            yield {
                "line": row.line,
                "columns": row.columns(),
                "outcome": ("rejected" if error else "accepted") if done else unfinished,
                "errorType": error.type if error else None,
                "errorDescription": error.description if error else None,
            }

    def _status(self, batch: Batch) -> str:
        """Return the status of a batch at the clock's time."""
        return phases.status(batch, self.clock.now(), self.switches)

    def _was_completed(self, batch: Batch, status: str) -> bool:
        """Return whether a batch is completed, or was before it expired."""
        starts = phases.starts_at(batch, self.switches)
        in_time = starts is not None and starts + self.switches.processing < batch.created + phases.RETENTION_SECONDS
        return status == phases.DONE or (status == "EXPIRED" and in_time)

    def next_change(self, batch: Batch) -> float | None:
        """Return when the status of a batch changes next, in epoch seconds; None if it does not wait for the vendor."""
        return phases.next_change(batch, self.clock.now(), self.switches)

    def _displayed(self, status: str) -> str:
        """Return a status as the switch `done_status` spells it."""
        return self.switches.done_status if status == phases.DONE else status

    def _view(self, batch: Batch) -> dict[str, Any]:
        """Return a batch as `GET /batches/{id}` returns it (6.1)."""
        status = self._status(batch)
        return {
            "batchId": batch.id,
            "userBatchRef": batch.reference,
            "createdDatetime": datetimes.format_seconds(batch.created),
            "requestedDatetime": datetimes.format_seconds(batch.details["scheduled"] or batch.created),
            **self._counters(batch, status),
            "batchService": SERVICE_CODE,
            "batchServiceName": SERVICE["name"],
            "status": self._displayed(status),
        }

    def _counters(self, batch: Batch, status: str) -> dict[str, int | None]:
        """Return the four counters of a batch (6.1)."""
        counts = batch.outcome.counts if batch.outcome else {}
        done = self._was_completed(batch, status)
        validated = done or status in {"SCHEDULED", "PROCESSING"}
        counters: dict[str, int | None] = {"rowsInBatch": counts.get("rowsInBatch") if validated else None}
        counters |= {name: counts.get(name) if done else None for name in files.COUNTERS[1:]}
        if done and self.switches.false_success:
            counters |= {"rowsProcessed": counters["rowsInBatch"], "validationErrors": 0, "processingErrors": 0}
        if self.switches.counters_early == "absent":
            return {name: count for name, count in counters.items() if count is not None}
        if self.switches.counters_early == "zero":
            return {name: count or 0 for name, count in counters.items()}
        return counters

    def _validate(self, batch: Batch, at: float) -> None:
        """Process an uploaded file, and save the outcome of its batch."""
        starts = phases.starts_at(batch, self.switches) or at
        number = self.state.batches.next_outcome()
        try:
            checked = datetimes.format_seconds(starts + self.switches.processing)
            upload, paths = self._upload_of(batch), self._output_paths(batch)
            rules = files.Rules(max_rows=self.switches.max_rows, short_chassis=self.switches.short_chassis)
            counts = files.process(upload, paths, batch_id=batch.id, checked_at=checked, rules=rules)
            outcome = BatchOutcome(number=number, at=at, status="DONE", counts=counts)
        except files.UnusableFileError as error:
            outcome = BatchOutcome(number=number, at=at, status=phases.FAILED, note=str(error))
        self.state.save(replace(batch, outcome=outcome))

    def _upload_of(self, batch: Batch) -> Path:
        """Return the path of the current upload of a batch."""
        return self.state.upload_file(batch, batch.upload.number if batch.upload else 0)

    def _output_paths(self, batch: Batch) -> files.OutputPaths:
        """Return the paths of the files generated for a batch."""
        result, errors, errors_csv = (
            self.state.output_file(batch, suffix) for suffix in ("result.csv", "errors.jsonl", "errors.csv")
        )
        return files.OutputPaths(result=result, errors=errors, errors_csv=errors_csv)


def _readable_rows(file: Path, rules: files.Rules) -> Iterator[files.Row]:
    """Yield the rows of a file up to the first invalid place."""
    # The rows before the invalid place were delivered, too.
    try:
        yield from files.read(file, rules)
    except files.UnusableFileError:
        return
