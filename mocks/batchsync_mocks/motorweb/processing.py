"""Motorweb behind its API: look through uploads when their time has come, and give account of every row.

It does not know HTTP; what makes a row good, its neighbours know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lading_mocks import moments
from lading_mocks.motorweb import files, phases
from lading_mocks.motorweb.switches import MotorwebSwitches
from lading_mocks.vendor import Vendor
from lading_mocks.world import Batch, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading_mocks.clock import Clock
    from lading_mocks.memory import Memory

SERVICE = {
    "id": "8600aa22-e4bf-4fe3-96be-7978832807a0",
    "name": "Vehicle ID WOVR Batch",
    "description": "Looks vehicles up in the Australian written-off vehicle registers.",
}
SERVICE_CODE = "VEHICLE_ID_WOVR"


class BackOffice(Vendor):
    """The part of `motorweb-bdp` that works on files."""

    kind = MotorwebSwitches
    hashes_uploads = False

    def __init__(self, memory: Memory, clock: Clock, *, switches: MotorwebSwitches | None = None) -> None:
        """Take memory and clock; `switches` are the readings to follow."""
        super().__init__(memory, clock)
        self.switches = switches or MotorwebSwitches()

    def settle(self) -> None:
        """Look through every uploaded file whose time has come."""
        now = self.clock.now()
        with self.memory.lock:
            for batch in self.memory.world.all():
                due = phases.examined_at(batch, self.switches)
                if batch.outcome is None and batch.cancelled is None and due is not None and due <= now:
                    self._examine(batch, due)

    def wants(self, batch: Batch) -> bool:
        """Take uploads until the file has been looked through (assumption 25)."""
        alive = self.clock.now() < batch.created + phases.KEPT_FOR
        return batch.outcome is None and batch.cancelled is None and alive

    def batches(self) -> list[dict[str, Any]]:
        """List every batch as the API shows it, with what was uploaded and why it failed."""
        with self.memory.lock:
            self.settle()
            return [
                self._view(batch) | {"uploads": batch.uploads, "note": batch.outcome.note if batch.outcome else ""}
                for batch in self.memory.world.all()
            ]

    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Give one entry per delivered row; the columns are what the row is, so `values` changes nothing.

        `fate` is `accepted`, `rejected`, `pending` (its batch is not finished) or `unprocessed` (it never will be).
        """
        del values
        with self.memory.lock:
            self.settle()
            delivered = [(batch, self._status(batch)) for batch in self.memory.world.all() if batch.upload]
        for batch, status in delivered:
            done = self._was_completed(batch, status)
            waiting = status in phases.WAITING
            otherwise = "pending" if waiting else "unprocessed"
            for row in _readable(self._upload_of(batch), files.Rules(short_chassis=self.switches.short_chassis)):
                error = row.error if done else None
                yield {
                    "batch": batch.id,
                    "reference": batch.reference,
                    "line": row.line,
                    "columns": row.columns(),
                    "fate": ("rejected" if error else "accepted") if done else otherwise,
                    "errorType": error.type if error else None,
                    "errorDescription": error.description if error else None,
                }

    def _status(self, batch: Batch) -> str:
        return phases.status(batch, self.clock.now(), self.switches)

    def _was_completed(self, batch: Batch, status: str) -> bool:
        starts = phases.starts_at(batch, self.switches)
        in_time = starts is not None and starts + self.switches.processing < batch.created + phases.KEPT_FOR
        return status == phases.DONE or (status == "EXPIRED" and in_time)

    def next_change(self, batch: Batch) -> float | None:
        """Tell when a batch that waits on the service will show its next status."""
        return phases.next_change(batch, self.clock.now(), self.switches)

    def _shown(self, status: str) -> str:
        return self.switches.done_word if status == phases.DONE else status

    def _view(self, batch: Batch) -> dict[str, Any]:
        status = self._status(batch)
        return {
            "batchId": batch.id,
            "userBatchRef": batch.reference,
            "createdDatetime": moments.seconds(batch.created),
            "requestedDatetime": moments.seconds(batch.facts["scheduled"] or batch.created),
            **self._counters(batch, status),
            "batchService": SERVICE_CODE,
            "batchServiceName": SERVICE["name"],
            "status": self._shown(status),
        }

    def _counters(self, batch: Batch, status: str) -> dict[str, int | None]:
        counts = batch.outcome.counts if batch.outcome else {}
        done = self._was_completed(batch, status)
        looked = done or status in {"SCHEDULED", "PROCESSING"}
        told: dict[str, int | None] = {"rowsInBatch": counts.get("rowsInBatch") if looked else None}
        told |= {name: counts.get(name) if done else None for name in files.COUNTERS[1:]}
        if done and self.switches.liar:
            told |= {"rowsProcessed": told["rowsInBatch"], "validationErrors": 0, "processingErrors": 0}
        if self.switches.counters_early == "absent":
            return {name: count for name, count in told.items() if count is not None}
        if self.switches.counters_early == "zero":
            return {name: count or 0 for name, count in told.items()}
        return told

    def _examine(self, batch: Batch, at: float) -> None:
        starts = phases.starts_at(batch, self.switches) or at
        number = self.memory.world.next_outcome()
        try:
            checked = moments.seconds(starts + self.switches.processing)
            upload, made = self._upload_of(batch), self._made(batch)
            rules = files.Rules(max_rows=self.switches.max_rows, short_chassis=self.switches.short_chassis)
            counts = files.process(upload, made, batch_id=batch.id, checked_at=checked, rules=rules)
            outcome = Outcome(number=number, at=at, word="DONE", counts=counts)
        except files.Unusable as error:
            outcome = Outcome(number=number, at=at, word=phases.FAILED, note=str(error))
        self.memory.keep(replace(batch, outcome=outcome))

    def _upload_of(self, batch: Batch) -> Path:
        return self.memory.upload_file(batch, batch.upload.number if batch.upload else 0)

    def _made(self, batch: Batch) -> files.Paths:
        result, errors, errors_csv = (
            self.memory.made_file(batch, what) for what in ("result.csv", "errors.jsonl", "errors.csv")
        )
        return files.Paths(result=result, errors=errors, errors_csv=errors_csv)


def _readable(file: Path, rules: files.Rules) -> Iterator[files.Row]:
    # A file that turns out unusable half way still delivered the rows before that point.
    try:
        yield from files.read(file, rules)
    except files.Unusable:
        return
