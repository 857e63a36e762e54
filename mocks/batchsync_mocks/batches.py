"""What any vendor of file batches remembers: batches, what was uploaded to them, and what came of them.

It does not know files, sockets or clocks, nor what a vendor calls its states.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One whole file that arrived: its number within the batch, its place in the order of all uploads, its bytes."""

    number: int
    sequence: int
    size: int
    md5: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the file: its place in the order of processing, when, a word for it, and counted rows."""

    number: int
    at: float
    word: str
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch. `facts` is what the customer said and what the vendor noted, as JSON; moments are epoch seconds."""

    id: str
    number: int
    reference: str
    created: float
    facts: dict[str, Any]
    upload: Upload | None = None
    uploads: int = 0
    cancelled: float | None = None
    outcome: Outcome | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the batch as a JSON snapshot."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Batch:
        """Read a snapshot back."""
        upload, outcome = kept["upload"], kept["outcome"]
        rest = {name: value for name, value in kept.items() if name not in {"upload", "outcome"}}
        return cls(
            **rest,
            upload=Upload(**upload) if upload else None,
            outcome=Outcome(**outcome) if outcome else None,
        )


class World:
    """All batches of one vendor, in the order of their creation."""

    def __init__(self, batches: list[Batch]) -> None:
        """Start from what was remembered."""
        self._batches = {batch.id: batch for batch in sorted(batches, key=lambda batch: batch.number)}

    def put(self, batch: Batch) -> None:
        """Add a batch, or replace the one of the same id."""
        self._batches[batch.id] = batch

    def get(self, batch_id: str) -> Batch | None:
        """Find a batch by its id."""
        return self._batches.get(batch_id)

    def all(self) -> list[Batch]:
        """List the batches, oldest first."""
        return list(self._batches.values())

    def next_number(self) -> int:
        """Give the number of the next batch, from 1."""
        return max((batch.number for batch in self._batches.values()), default=0) + 1

    def next_upload(self) -> int:
        """Give the place of the next upload in the order of all uploads, from 1."""
        return max((b.upload.sequence for b in self._batches.values() if b.upload), default=0) + 1

    def next_outcome(self) -> int:
        """Give the place of the next processed batch in the order of processing, from 1."""
        return max((b.outcome.number for b in self._batches.values() if b.outcome), default=0) + 1

    def clear(self) -> None:
        """Forget everything."""
        self._batches.clear()
