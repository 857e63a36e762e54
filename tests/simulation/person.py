"""Operator of the simulation: resolves every row of unknown outcome by the vendors' ledgers.

What a person says is about all unknown rows of a batch. Where some arrived and some did not, they have them sent again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.reconcile.resolve import resolve
from simulation import oracle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.batch import Batch
    from simulation.deployment import Seen, Sources
    from simulation.life import Process
    from simulation.oracle import Slot


@dataclass
class Said:
    """What a person said in words, and how often each row must have come by the time that all is done."""

    words: list[str] = field(default_factory=list)
    owed: Counter[tuple[str, Seen]] = field(default_factory=Counter)

    def broken(self, slots: Mapping[str, Slot], sources: Sources) -> Iterator[str]:
        """Complain of rows that were to be sent again, and were not."""
        came = oracle.came(slots, sources)
        for (job, seen), times in self.owed.items():
            if came[job, seen] < times:
                yield f"{job}: {seen} was to be sent again, and came {came[job, seen]} times"


def speak(one: Process, slots: Mapping[str, Slot], sources: Sources) -> Said:
    """Resolve every batch with unknown rows by the vendors' own books; return what was said."""
    said, came = Said(), oracle.came(slots, sources)
    contexts = {context.job.name: context for context in one.contexts}
    for batch in oracle.all_batches(one.journal, sources.names):
        if batch.counts is None or not batch.counts.unknown:
            continue
        keys = set(one.journal.unknown_keys(batch.id))
        fates = {key: (seen, fate) for key, seen, fate in _rows(batch, slots, sources) if key in keys}
        delivered = {fate for _, fate in fates.values()} == {"accepted"} and len(fates) == len(keys)
        # Answers come by no word: they have to be asked for anew.
        delivered = delivered and contexts[batch.job].job.results is None
        if not delivered:
            for key, (seen, _) in fates.items():
                # Who says "send them again" wants those a second time that the vendor took or refused.
                sources.allowed[batch.job, seen] += 1
                if _stands(sources, batch.job, key, seen):
                    said.owed[batch.job, seen] = came[batch.job, seen] + 1
        with one.world.lease(batch.job):
            resolve(batch, contexts[batch.job], one.world, delivered=delivered, reason="the vendor was asked")
        removals = any(seen[0] == "delete" for seen, _ in fates.values())
        word = "delivered" if delivered else "to be sent again"
        said.words.append(f"a person said that unknown {'removals' if removals else 'rows'} are {word}")
    return said


def _stands(sources: Sources, job: str, key: str, seen: Seen) -> bool:
    """Whether the source still says what the vendor saw in this version."""
    if seen[0] == "delete":
        return key not in sources.rows[job]
    return key in sources.rows[job] and sources.seen(job, key) == seen


def _rows(batch: Batch, slots: Mapping[str, Slot], sources: Sources) -> list[tuple[str, Seen, str]]:
    """Return key, version and fate of each row that the vendor had from a batch."""
    slot = slots.get(batch.allocation.id.lower()) if batch.allocation else None
    keys = oracle.keys_of(sources, batch.job)
    return [(keys(seen), seen, fate) for seen, fate in slot.rows] if slot else []
