"""Run of one seed with the job of a vendor that is data alone, under the same faults as the other seeds.

Such a vendor does not know a batch of ours again, so that no older state is restored. Where its policy is to stop, a
person resolves the batches that need attention, by the ledger, before the last checks.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase, Verdict
from batchsync.reconcile.resolve import resolve
from batchsync_mocks.faults import Fault
from simulation import oracle
from simulation.data_vendors import BY_VENDOR, DataSources
from simulation.deployment import logical
from simulation.fault_plan import ANYWHERE, PAGES, PlannedFault, draw_parameters
from simulation.network import NetworkFault
from simulation.process_life import CrashPoint, process
from simulation.seed_run import SeedRun

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from batchsync.journal import Journal
    from batchsync_mocks.vendor import Vendor
    from simulation.data_vendors import DataVendor
    from simulation.report import Report

_SENDING = ("allocate", "upload", "commit")
_ANSWERS = ("results", "errors", "look-up")
#: seconds within which a late request arrives, and of which an older answer is at most, as for other vendors
_LATEST, _LAG = 45.0, 10.0
#: seconds until all that is in flight has arrived and every batch was processed
_PROCESSED = 5 * 3600.0


class _DataFault(PlannedFault):
    """A fault at a call of a vendor that is data alone."""

    @property
    def leaves_unknown(self) -> bool:
        """Whether rows may end unknown because of it: an answer about the rows is empty, or is denied."""
        return self.call in _ANSWERS and self.name in {"404", "blank", "cut"}


class DataSeedRun(SeedRun):
    """One seed with a vendor that is data alone."""

    restores = False

    def __init__(self, seed: int, folder: Path, vendor: DataVendor) -> None:
        """Set up source, vendor, clock and network."""
        self.vendor = vendor
        self.ports = ((vendor.name, vendor.port),)
        super().__init__(seed, folder)

    def _kinds(self) -> Mapping[str, type[Vendor]]:
        return {self.vendor.name: self.vendor.mock}

    def _draw_sources(self) -> DataSources:
        return DataSources(self.folder, self.draw, (self.vendor.job,))

    def _draw_answers(self, _seed: int) -> None:
        """Draw how long the vendor takes, and the pages of its row log."""
        if self.draw.random() < 0.5:
            switches = {"visible_after": self.draw.choice([0, 20]), "processing": self.draw.choice([0, 60, 900])}
            switches["logs_after"] = self.draw.choice([0, 0, 30])
            self.vendors[self.vendor.name].set_switches({**switches, "page_size": self.draw.choice([None, 1, 2])})

    def _draw_faults(self) -> list[PlannedFault]:
        found = [_draw_fault(self.draw, self.vendor) for _ in range(self.draw.choice([0, 1, 1, 2, 2, 3, 4]))]
        return found if self.draw.random() < 0.85 else [*found, *_draw_pair(self.draw, self.vendor)]

    def _replace_state(self) -> Iterable[str]:
        return ()

    def _settle(self) -> None:
        """Let a person resolve the batches about which the vendor cannot be asked; settle the rest."""
        self.run_process(CrashPoint(log=self.log), new_run=True, wait=True, trusted=True)
        self.run_process(CrashPoint(log=self.log), new_run=False, wait=True, trusted=True)
        self.time.advance(_PROCESSED)
        for batch in self.batches(lambda batch: batch.phase is Phase.NEEDS_ATTENTION):
            if batch.pending_intent is None or batch.pending_intent is not self.vendor.stops_at:
                self.violated(f"{batch.id} needs attention: {batch.reason}")
            self._resolve(batch)
        self.parked.clear()
        super()._settle()

    def _resolve(self, batch: Batch) -> None:
        """Resolve a batch that needs attention by the ledger of the vendor."""
        known = {item.allocation.id.lower() for item in self.batches() if item.allocation and item.id != batch.id}
        at_vendors = oracle.vendor_batches(self.vendors).values()
        arrived = [item for item in at_vendors if item.md5 == batch.file.md5 and item.id not in known]
        if len(arrived) > 1:
            self.violated(f"{batch.id} was sent {len(arrived)} times by itself")
        outcomes = [(version, outcome) for item in arrived for version, outcome in item.rows]
        delivered = bool(outcomes) and all(outcome == "accepted" for _, outcome in outcomes)
        if not delivered:
            for version, _ in outcomes:
                # Rows that the vendor accepted or rejected are then sent a second time.
                self.sources.allowed[self.vendor.job, version] += 1
        credentials, rows_max = self.credentials(), self.rows_max
        with process(self.state, self.sources, self.time, CrashPoint(), credentials, rows_max) as engine:
            context = next(item for item in engine.contexts if logical(item.job.name) == logical(batch.job))
            with engine.services.lease(batch.job):
                resolve(batch, context, engine.services, delivered=delivered, reason="the vendor was asked")
        word = "delivered" if delivered else "to be sent again"
        self.reached(f"a batch in doubt that {'arrived' if arrived else 'did not arrive'} was resolved as {word}")

    def _check_batches(
        self, at_vendors: Mapping[str, oracle.VendorBatch], batches: list[Batch], _journal: Journal
    ) -> Iterator[str]:
        """Yield the violations about the batches: each was submitted once, and its counts are those of the ledger."""
        ours = [item for item in batches if item.verdict not in (Verdict.DECLARED, Verdict.RESENT)]
        yield from oracle.check_row_counts(at_vendors, ours, doubtful=self.may_be_unknown)
        submitted = Counter(item.md5 for item in at_vendors.values() if item.md5)
        sent = Counter(item.file.md5 for item in batches if item.verdict is not Verdict.CANCELLED)
        for md5, count in submitted.items():
            if count > sent[str(md5)]:
                yield f"the same content was submitted {count} times for {sent[str(md5)]} batches"
        for batch in ours:
            at_vendor = at_vendors.get(batch.allocation.id.lower()) if batch.allocation else None
            if batch.submitted_at is not None and (at_vendor is None or at_vendor.md5 != batch.file.md5):
                yield f"batch {batch.id} counts as submitted, but the vendor does not have its file"


def _draw_fault(draw: random.Random, vendor: DataVendor) -> PlannedFault:
    """Draw a fault of a call; those that send or answer about rows are frequent."""
    frequent = [name for name in (*_SENDING, "poll", *_ANSWERS) if name in vendor.calls]
    call = draw.choice(frequent if draw.random() < 0.75 else sorted(vendor.calls))
    method, path = vendor.calls[call]
    if draw.random() < 0.04:
        seconds, nth = draw.choice([1800.0, 36_000.0]), draw.choice([2, 3, 4, 5, 6])
        return _DataFault("outage", call, network_fault=NetworkFault("outage", vendor.name, "", "", nth, 0, seconds))
    kinds = list(ANYWHERE)
    if call in _SENDING:
        kinds += [*["late"] * 4, "refused_after", *(["page"] if call == "upload" else [])]
    if path.startswith("^/_storage"):
        kinds += ["expire"] * 2
    if call == "poll":
        kinds += ["vanish", "rewind", "rewind"]
    if call in _ANSWERS:
        kinds += ["blank"] * 3
    if "token" in vendor.calls:
        kinds.append("revoke")
    kind = draw.choice(kinds)
    match = {"vendor": vendor.name, "method": method, "path": path}
    if kind == "page":
        # A text in answer to an upload through the API may be the vendor's; only an HTML page cannot.
        pages = PAGES if path.startswith("^/_storage") else PAGES[:1]
        page = Fault.from_json({"kind": "status", "status": 200, "text": draw.choice(pages), **match})
        return _DataFault(kind, call, fault=page)
    if kind == "refused_after":
        status = draw.choice([400, 403, 503])
        refusal = {"kind": "replace_answer", "status": status, "text": '{"message": "Forbidden"}', **match}
        return _DataFault(kind, call, fault=Fault.from_json(refusal))
    at = (vendor.name, method, path)
    return draw_parameters(draw, _DataFault(kind, call), at, _LATEST, _LAG)


def _draw_pair(draw: random.Random, vendor: DataVendor) -> list[PlannedFault]:
    """Draw a call in doubt whose status request is then refused."""
    call = draw.choice([name for name in _SENDING if name in vendor.calls])
    pair = ((call, draw.choice(["lose_answer", "reset_answer"]), 1), ("poll", draw.choice(["refuse", "throttle"]), 3))
    faults: list[PlannedFault] = []
    for name, kind, times in pair:
        method, path = vendor.calls[name]
        fault = {"kind": kind, "vendor": vendor.name, "method": method, "path": path, "times": times}
        faults.append(_DataFault(kind, name, fault=Fault.from_json(fault)))
    return faults


def play(seed: int, folder: Path, vendor: str) -> Report:
    """Play one seed with a vendor that is data alone, in a folder of its own."""
    return DataSeedRun(seed, folder, BY_VENDOR[vendor]).run()
