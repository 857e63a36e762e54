"""Sitecore behind its API: apply uploads when their time has come, and give account of every record.

It does not know HTTP; what a record does to the store, its neighbours know.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lading_mocks import disk, moments
from lading_mocks.sitecore import bulk, files, phases
from lading_mocks.sitecore.store import Store
from lading_mocks.sitecore.switches import SitecoreSwitches
from lading_mocks.sitecore.unpack import Unusable
from lading_mocks.vendor import Vendor
from lading_mocks.world import Batch, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading_mocks.clock import Clock
    from lading_mocks.memory import Memory


class BackOffice(Vendor):
    """The part of `sitecore-cdp` that works on files and the store."""

    kind = SitecoreSwitches

    def __init__(self, memory: Memory, clock: Clock, *, switches: SitecoreSwitches | None = None) -> None:
        """Take memory and clock; `switches` are the readings to follow."""
        super().__init__(memory, clock)
        self.switches = switches or SitecoreSwitches()
        # The store is made again from the uploads when it is first needed, so that starting costs nothing.
        self._store: Store | None = None

    def settle(self) -> None:
        """Apply every uploaded file whose time has come, in the order in which the files arrived."""
        now = self.clock.now()
        with self.memory.lock:
            waiting = [(b, phases.due_at(b, self.switches)) for b in self.memory.world.all() if b.outcome is None]
            due = [(at, b.upload.sequence, b) for b, at in waiting if b.upload and at is not None and at <= now]
            for at, _, batch in sorted(due, key=lambda one: one[:2]):
                self._apply(batch, at)

    def wants(self, batch: Batch) -> bool:
        """Take an upload until processing starts; a corrupted batch stays so."""
        return phases.status(batch, self.clock.now(), self.switches) in {"uploading", "file_uploaded"}

    def batches(self) -> list[dict[str, Any]]:
        """List every batch with its state, what was uploaded, and how many records fared how."""
        with self.memory.lock:
            self.settle()
            return [
                {
                    "ref": batch.reference,
                    "status": self._status(batch),
                    "createdAt": moments.millis(batch.created),
                    "uploads": batch.uploads,
                    "counts": batch.outcome.counts if batch.outcome else {},
                    "note": batch.outcome.note if batch.outcome else "",
                }
                for batch in self.memory.world.all()
            ]

    def entries(self, *, values: bool = False) -> Iterator[dict[str, Any]]:
        """Give one entry per delivered record line.

        `fate` is `accepted`, `rejected`, `pending` (its batch is not finished) or `unprocessed` (it never will be:
        corrupted, or no gzip).
        """
        with self.memory.lock:
            self.settle()
            self._held()
            delivered = [(batch, self._status(batch)) for batch in self.memory.world.all() if batch.upload]
        for batch, status in delivered:
            made = self._made(batch)
            kept = made if batch.outcome is not None and made.ledger.exists() else None
            fate = "pending" if status in {"file_uploaded", "processing"} else "unprocessed"
            for entry in files.entries(self._upload_of(batch), kept, fate=fate, values=values):
                yield {"batch": batch.reference, **entry}

    def summary(self) -> dict[str, int]:
        """Count what was delivered; of what was counted in bulk only the refs are read."""
        with self.memory.lock:
            self.settle()
            made = [self._made(batch) for batch in self.memory.world.all() if batch.upload]
            if not all(one.refs.exists() for one in made):
                return super().summary()
            return bulk.summary((one.refs, one.ledger) for one in made)

    def holdings(self) -> Iterator[dict[str, Any]]:
        """Give the guests, orders and tracking events held now."""
        with self.memory.lock:
            self.settle()
            held = list(self._held().held())
        return iter(held)

    def reset(self) -> None:
        """Forget everything."""
        with self.memory.lock:
            super().reset()
            self._store = None

    def remembered(self) -> None:
        """Go on from what the folder holds now."""
        super().remembered()
        self._store = None

    def next_change(self, batch: Batch) -> float | None:
        """Tell when a batch that waits on the vendor will show its next status."""
        return phases.next_change(batch, self.clock.now(), self.switches)

    def _status(self, batch: Batch) -> str:
        return phases.status(batch, self.clock.now(), self.switches)

    def _apply(self, batch: Batch, at: float) -> None:
        number = self.memory.world.next_outcome()
        try:
            counts = self._counted(batch) if self.switches.bulk else self._process(batch, self._held(), at)
            word = "error" if counts["failed"] else "success"
            outcome = Outcome(number=number, at=at, word=word, counts=counts)
        except Unusable as error:
            outcome = Outcome(number=number, at=at, word="error", note=str(error))
        except BaseException:
            # A disk that is full may have stopped us half way; the store is then made again from what is done.
            self._store = None
            raise
        self.memory.keep(replace(batch, outcome=outcome))

    def _held(self) -> Store:
        # The uploads are applied again in the order in which they were first applied.
        if self._store is None:
            store = Store()
            done = [(b.outcome, b) for b in self.memory.world.all() if b.outcome and b.outcome.counts]
            done = [(outcome, b) for outcome, b in done if not self._made(b).refs.exists()]
            for outcome, batch in sorted(done, key=lambda one: one[0].number):
                self._process(batch, store, outcome.at)
            self._store = store
        return self._store

    def _note(self, batch: Batch, received: disk.Received, *, keep: Path | None) -> None:
        super()._note(batch, received, keep=keep)
        arrived = self.memory.world.get(batch.id)
        if self.switches.bulk and keep is not None and arrived and not phases.corrupted(arrived, self.switches):
            self.ahead.begin(self._upload_of(arrived), self._counting(arrived))

    def _counted(self, batch: Batch) -> dict[str, int]:
        self._check_size(batch)
        return self.ahead.result(self._upload_of(batch), self._counting(batch))

    def _counting(self, batch: Batch) -> Callable[[], dict[str, int]]:
        return partial(files.count, self._upload_of(batch), self._made(batch), self.switches)

    def _check_size(self, batch: Batch) -> None:
        if batch.facts["size"] > self.switches.largest:
            msg = f"the file has more than {self.switches.largest} bytes"
            raise Unusable(msg)

    def _process(self, batch: Batch, store: Store, at: float) -> dict[str, int]:
        self._check_size(batch)
        return files.process(self._upload_of(batch), store, self._made(batch), now=at, switches=self.switches)

    def _upload_of(self, batch: Batch) -> Path:
        return self.memory.upload_file(batch, batch.upload.number if batch.upload else 0)

    def _made(self, batch: Batch) -> files.Paths:
        log, ledger, refs = (self.memory.made_file(batch, what) for what in ("log.gz", "ledger.jsonl", "refs"))
        return files.Paths(log=log, ledger=ledger, refs=refs)
