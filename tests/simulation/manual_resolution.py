"""Manual resolution in the simulation: all rows of unknown outcome are resolved by the ledgers of the vendors.

A resolution applies to all unknown rows of a batch. If only some of them arrived, all are sent again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import RowOutcome
from batchsync.reconcile.resolve import resolve
from simulation import oracle
from simulation.deployment import logical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.batch import Batch
    from simulation.deployment import RowVersion, Sources
    from simulation.oracle import VendorBatch
    from simulation.process_life import Process


@dataclass
class Resolutions:
    """Descriptions of the resolutions, and how often each row version must have arrived in the end."""

    descriptions: list[str] = field(default_factory=list)
    expected: Counter[tuple[str, RowVersion]] = field(default_factory=Counter)

    def check(self, at_vendors: Mapping[str, VendorBatch], sources: Sources) -> Iterator[str]:
        """Yield the rows that were to be sent again but were not."""
        arrivals = oracle.count_arrivals(at_vendors, sources)
        for (job, version), times in self.expected.items():
            if arrivals[job, version] < times:
                yield f"{job}: {version} was to be sent again, and arrived {arrivals[job, version]} times"


def resolve_all(process: Process, at_vendors: Mapping[str, VendorBatch], sources: Sources) -> Resolutions:
    """Resolve every batch with unknown rows by the vendors' ledgers."""
    resolutions, arrivals = Resolutions(), oracle.count_arrivals(at_vendors, sources)
    contexts = {logical(context.job.name): context for context in process.contexts}
    for batch in oracle.all_batches(process.journal, sources.journal_names):
        if batch.counts is None or not batch.counts[RowOutcome.UNKNOWN]:
            continue
        job, context = logical(batch.job), contexts[logical(batch.job)]
        keys = set(process.journal.unknown_keys(batch.id))
        outcomes = {
            key: (version, outcome) for key, version, outcome in _rows(batch, at_vendors, sources) if key in keys
        }
        delivered = {outcome for _, outcome in outcomes.values()} == {"accepted"} and len(outcomes) == len(keys)
        # Results cannot be resolved manually; they have to be requested again.
        delivered = delivered and context.job.results is None
        if not delivered:
            for key, (version, _) in outcomes.items():
                # Rows that the vendor accepted or rejected are then sent a second time.
                sources.allowed[job, version] += 1
                if _is_current(sources, job, key, version):
                    resolutions.expected[job, version] = arrivals[job, version] + 1
        with ExitStack() as leases:
            for name in dict.fromkeys((batch.job, process.journal.baseline_owner(batch.id))):
                leases.enter_context(process.services.lease(name))
            resolve(batch, context, process.services, delivered=delivered, reason="the vendor was asked")
        removals = any(version[0] == "delete" for version, _ in outcomes.values())
        resolutions.descriptions.append(
            f"unknown {'removals' if removals else 'rows'} were resolved as "
            f"{'delivered' if delivered else 'to be sent again'}"
        )
    return resolutions


def _is_current(sources: Sources, job: str, key: str, version: RowVersion) -> bool:
    """Return whether the source still holds the version that the vendor received."""
    if version[0] == "delete":
        return key not in sources.rows[job]
    return key in sources.rows[job] and sources.vendor_view(job, key) == version


def _rows(batch: Batch, at_vendors: Mapping[str, VendorBatch], sources: Sources) -> list[tuple[str, RowVersion, str]]:
    """Return key, version and outcome of each row that the vendor received with a batch."""
    at_vendor = at_vendors.get(batch.allocation.id.lower()) if batch.allocation else None
    key_of = oracle.keys_of(sources, logical(batch.job))
    return [(key_of(version), version, outcome) for version, outcome in at_vendor.rows] if at_vendor else []
