"""Deliveries of a key, and its record as the source has it now, as parts of the report of `batchsync why`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.row_outcome import RowOutcome
from batchsync.report.settlement import phase_name
from batchsync.report.text_format import escape_controls, iso, moment
from batchsync.report.values import masked_record, members, value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.batch import Batch
    from batchsync.ports import Reject, Sample, SampledRecord
    from batchsync.report.masks import Mask

#: Digits of a version that are shown, after the byte that all versions of a release share.
_VERSION = slice(2, 10)
DELIVERY_HEADER = ("run", "sent", "batch", "line", "change", "version", "answer")
DELIVERY_RIGHT = frozenset({3})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDelivery:
    """A batch that contains a version of the key.

    Attributes:
        batch: The batch.
        op: add, change or remove; empty if it is not known.
        version: Fingerprint of the record, hexadecimal; empty if it is not known.
        line: Record of the batch file, from 1; 0 if it is not known.
        reject: What the vendor answered; None if it accepted the row or has not answered yet.
    """

    batch: Batch
    op: str = ""
    version: str = ""
    line: int = 0
    reject: Reject | None = None

    @property
    def answer(self) -> str:
        """The answer of the vendor about the row."""
        if self.reject is not None:
            return self.reject.kind.value
        return RowOutcome.ACCEPTED.value if self.batch.phase is Phase.DELIVERED else "none yet"

    def cells(self) -> tuple[str, ...]:
        """Return the delivery as cells of a table."""
        sent = self.batch.submitted_at or self.batch.prepared_at
        reason = f": {self.reject.reason}" if self.reject is not None and self.reject.reason else ""
        line = str(self.line or (self.reject.line if self.reject is not None else 0) or "-")
        return (
            self.batch.run,
            moment(sent),
            self.batch.id,
            line,
            self.op or "-",
            version_text(self.version) or "-",
            f"{self.answer}{reason}",
        )

    def data(self) -> dict[str, object]:
        """Return the delivery as a JSON-compatible dictionary."""
        return {
            "run": self.batch.run,
            "batch": self.batch.id,
            "phase": phase_name(self.batch.phase),
            "sent_at": iso(self.batch.submitted_at),
            "batch_line": self.line or None,
            "change": self.op or None,
            "version": version_text(self.version) or None,
            "answer": self.answer,
            "reason": self.reject.reason if self.reject is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNow:
    """The record of a key as the source has it now, besides the version that the target holds.

    Attributes:
        job: Name of the job.
        mask: What of keys and values is shown.
        held: Version that the target holds; empty if it holds none.
        before: That version as JSON, if the baseline keeps it.
        sample: The record now; None if the source was not read.
        note: Why the source was not read.
    """

    job: str
    mask: Mask
    held: str = ""
    before: str | None = field(default=None, repr=False)
    sample: Sample | None = None
    note: str = ""

    @property
    def _record(self) -> SampledRecord | None:
        return next(iter(self.sample.records), None) if self.sample is not None else None

    def heading(self) -> str:
        """Return what the source has of the key now, as a sentence."""
        if self.sample is None:
            return f"now in the source: not known: {self.note}"
        if self._record is None:
            return "now in the source: no selected row has this key"
        record = self._record
        row = f"row {record.rows[0]:,}, version {version_text(record.version)}"
        if record.violations:
            reasons = "; ".join(self.mask.text(self.job, item.reason, record.key) for item in record.violations)
            return f"now in the source: {row}, invalid: {reasons}"
        if not self.held:
            return f"now in the source: {row}, valid"
        same = "the same as the target holds" if record.version == self.held else "another than the target holds"
        return f"now in the source: {row}, {same}"

    def lines(self, escape: Callable[[str], str]) -> Iterator[str]:
        """Yield the members of the record, with the value that the target holds where that is known and differs."""
        record = self._record
        if record is None or record.record is None or self.sample is None:
            return
        after = dict(members(masked_record(record.record, self.mask, self.sample.constants)))
        before, was = {}, {}
        if self.before is not None:
            was = dict(members(masked_record(self.before, self.mask, self.sample.constants)))
            before, now = dict(_plain(self.before)), dict(_plain(record.record))
            before = {path: value for path, value in before.items() if value != now.get(path)}
        for path in dict.fromkeys([*after, *before]):
            new = value_text(after[path], escape) if path in after else "(none)"
            old = f" (the target holds {value_text(was[path], escape)})" if path in before else ""
            yield f"{escape(path)}: {new}{old}"

    def data(self) -> dict[str, object]:
        """Return the record as a JSON-compatible dictionary."""
        record = self._record
        constants = self.sample.constants if self.sample is not None else ()
        return {
            "note": self.note or None,
            "source_row": record.rows[0] if record is not None else None,
            "version": version_text(record.version) or None if record is not None else None,
            "version_held": version_text(self.held) or None,
            "valid": None if record is None else not record.violations,
            "record": None if record is None else masked_record(record.record, self.mask, constants),
            "record_held": masked_record(self.before, self.mask, constants),
        }


def version_text(version: str) -> str:
    """Return the short form of a fingerprint."""
    return escape_controls(version[_VERSION])


def _plain(text: str) -> Iterator[tuple[str, object]]:
    """Yield the members of a record with their values, to compare them."""
    yield from members(json.loads(text))
