"""Report of `batchsync preview`: records next to the rows that they are made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import escape_controls, markdown, markdown_table, pluralize
from batchsync.report.values import is_below, masked_record, members, value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.ports import Sample, SampledRecord
    from batchsync.report.masks import Mask
    from batchsync.report.text_format import Style

#: Longest name of a column or member that others are aligned to.
_WIDTH = 28
_NULL = "(null)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReport:
    """Records of a job, valid or not.

    Attributes:
        job: Name of the job.
        sample: The records and their rows.
        mask: What of keys and values is shown.
        duplicates: What the job does with several rows of a key.
    """

    job: str
    sample: Sample
    mask: Mask
    duplicates: str = "fail"

    @property
    def invalid(self) -> int:
        """Number of invalid records."""
        return sum(bool(record.violations) for record in self.sample.records)

    def text(self, paint: Style) -> str:
        """Return each record below the row that it is made of."""
        if not self.sample.records:
            return f"{escape_controls(self.job)}: the source has no selected row"
        return "\n".join(line for record in self.sample.records for line in self._lines(record, paint))

    def markdown(self) -> str:
        """Return a Markdown section per record, with a table of the row and one of the record."""
        lines = [f"### batchsync preview: {markdown(self.job)}"]
        lines += [] if self.sample.records else ["", "The source has no selected row."]
        for record in self.sample.records:
            lines += ["", f"**{markdown(self._title(record))}**: {self._verdict(record, markdown)}"]
            lines += [f"\n- {note}" for note in self._notes(record, markdown)]
            row = [(name, text) for name, text, _ in self._columns(record, str)]
            lines += ["", markdown_table(("column", "row"), row, right=frozenset())]
            if record.record is not None:
                lines += ["", markdown_table(("member", "record"), self._members(record, str), right=frozenset())]
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """Return the records as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "records": [self._data(record) for record in self.sample.records],
            "invalid": self.invalid,
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per record."""
        for record in self.sample.records:
            yield {"event": "record", "job": self.job} | self._data(record)

    def _lines(self, record: SampledRecord, paint: Style) -> Iterator[str]:
        """Yield the lines of one record."""
        verdict = paint(self._verdict(record, escape_controls), "bad" if record.violations else "good")
        yield f"{paint(escape_controls(self._title(record)), 'head')}: {verdict}"
        yield from (f"  {note}" for note in self._notes(record, escape_controls))
        yield paint("  row", "dim")
        for name, text, is_used in self._columns(record, escape_controls):
            line = f"    {name:<{_WIDTH}} {text}"
            yield line if is_used else paint(f"{line}  (not used)", "dim")
        if record.record is not None:
            yield paint("  record", "dim")
            for path, text in self._members(record, escape_controls):
                line = f"    {path:<{_WIDTH}} {text}"
                yield paint(line, "bad") if self._is_violated(record, path) else line

    def _title(self, record: SampledRecord) -> str:
        """Return the job, key and rows of a record."""
        key = self.mask.key(self.job, record.key) if record.key else "no key"
        rows = "row" if len(record.rows) == 1 else "rows"
        return f"{self.job} {key} ({rows} {', '.join(f'{row:,}' for row in record.rows)})"

    def _verdict(self, record: SampledRecord, escape: Callable[[str], str]) -> str:
        """Return whether a record is valid, or why it is not."""
        if not record.violations:
            return "valid"
        reasons = [escape(self.mask.text(self.job, item.reason, record.key)) for item in record.violations]
        return f"invalid: {'; '.join(reasons)}"

    def _notes(self, record: SampledRecord, escape: Callable[[str], str]) -> Iterator[str]:
        """Yield a note on a key that has several records."""
        count = Counter(item.key for item in self.sample.records)[record.key]
        if record.key and count > 1:
            yield escape(f"{pluralize(count, 'row')} have this key; source.duplicates is {self.duplicates}")

    def _columns(self, record: SampledRecord, escape: Callable[[str], str]) -> Iterator[tuple[str, str, bool]]:
        """Yield the columns of a row with their values, and whether the job uses them."""
        for name, value in record.columns.items():
            text = _NULL if value is None else value_text(self.mask.value(value), escape)
            yield escape(name), text, name not in record.unused

    def _members(self, record: SampledRecord, escape: Callable[[str], str]) -> Iterator[tuple[str, str]]:
        """Yield the members of a record with their values."""
        for path, value in members(self._record(record)):
            yield escape(path), value_text(value, escape)

    def _record(self, record: SampledRecord) -> object:
        return masked_record(record.record, self.mask, self.sample.constants)

    def _is_violated(self, record: SampledRecord, path: str) -> bool:
        return is_below(path, [item.field for item in record.violations if item.field])

    def _data(self, record: SampledRecord) -> dict[str, object]:
        return {
            "key": self.mask.key(self.job, record.key) or None,
            "source_rows": list(record.rows),
            "valid": not record.violations,
            "violations": [
                {
                    "field": item.field or None,
                    "code": item.code or None,
                    "reason": self.mask.text(self.job, item.reason, record.key),
                }
                for item in record.violations
            ],
            "version": record.version or None,
            "row": {name: None if value is None else self.mask.value(value) for name, value in record.columns.items()},
            "unused_columns": [name for name in record.columns if name in record.unused],
            "record": self._record(record),
        }
