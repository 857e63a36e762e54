"""Batches of a mocked vendor: their uploads, their outcomes, and a table of them by id."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A complete upload.

    Attributes:
        number: Number within the batch, from 1.
        sequence: Number among all uploads of the vendor, from 1.
        size: Size in bytes.
        md5: MD5 in lower-case hex; empty if it was not computed.
        at: Time of arrival, in epoch seconds.
    """

    number: int
    sequence: int
    size: int
    md5: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOutcome:
    """Outcome of a batch.

    Attributes:
        number: Number in the order of processing, from 1.
        at: Time of the outcome, in epoch seconds.
        status: Vendor status.
        counts: Row counts by the vendor's name for them.
        note: Reason, if the file was not processed.
    """

    number: int
    at: float
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch. `details` is vendor-specific JSON: request fields and notes. Times are in epoch seconds."""

    id: str
    number: int
    reference: str
    created: float
    details: dict[str, Any]
    upload: Upload | None = None
    uploads: int = 0
    cancelled: float | None = None
    outcome: BatchOutcome | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the batch as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Batch:
        """Return a batch built from its JSON object.

        Raises:
            ValueError: If a member is missing, unknown or of another type.
        """
        parts: dict[str, Any] = dict(saved)
        for name, part, types in (("upload", Upload, _UPLOAD_TYPES), ("outcome", BatchOutcome, _OUTCOME_TYPES)):
            parts[name] = _checked(part, parts[name], types) if parts.get(name) is not None else None
        batch: Batch = _checked(cls, parts, _BATCH_TYPES)
        return batch


_NUMBER = (int, float)
_UPLOAD_TYPES: Mapping[str, Any] = {"number": int, "sequence": int, "size": int, "md5": str, "at": _NUMBER}
_OUTCOME_TYPES: Mapping[str, Any] = {"number": int, "at": _NUMBER, "status": str, "counts": dict, "note": str}
_BATCH_TYPES: Mapping[str, Any] = {
    "id": str,
    "number": int,
    "reference": str,
    "created": _NUMBER,
    "details": dict,
    "upload": (Upload, NoneType),
    "uploads": int,
    "cancelled": (*_NUMBER, NoneType),
    "outcome": (BatchOutcome, NoneType),
}


def _checked(kind: type[Any], saved: Any, types: Mapping[str, Any]) -> Any:
    """Return an instance built from a JSON object; raise ValueError if its members or their types are others."""
    if not isinstance(saved, dict) or saved.keys() != types.keys():
        msg = f"A saved {kind.__name__} has the members {', '.join(types)}."
        raise ValueError(msg)
    for name, expected in types.items():
        is_valid = isinstance(saved[name], expected) and not isinstance(saved[name], bool)
        if not is_valid:
            msg = f"The member {name!r} of a saved {kind.__name__} has a wrong type."
            raise ValueError(msg)
    return kind(**saved)


class BatchTable:
    """All batches of a vendor, in order of creation."""

    def __init__(self, batches: list[Batch]) -> None:
        """Create the table from saved batches."""
        self._batches = {batch.id: batch for batch in sorted(batches, key=lambda batch: batch.number)}

    def put(self, batch: Batch) -> None:
        """Add a batch, or replace the batch of the same id."""
        self._batches[batch.id] = batch

    def get(self, batch_id: str) -> Batch | None:
        """Return a batch by id, or None."""
        return self._batches.get(batch_id)

    def all(self) -> list[Batch]:
        """Return the batches, oldest first."""
        return list(self._batches.values())

    def next_number(self) -> int:
        """Return the number of the next batch, from 1."""
        return max((batch.number for batch in self._batches.values()), default=0) + 1

    def next_upload(self) -> int:
        """Return the sequence number of the next upload, from 1."""
        return max((b.upload.sequence for b in self._batches.values() if b.upload), default=0) + 1

    def next_outcome(self) -> int:
        """Return the processing number of the next outcome, from 1."""
        return max((b.outcome.number for b in self._batches.values() if b.outcome), default=0) + 1

    def clear(self) -> None:
        """Remove all batches."""
        self._batches.clear()
