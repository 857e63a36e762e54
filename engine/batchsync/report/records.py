"""Records of a plan: the first of each kind as they would be sent, the members that change, and how often each does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.keep import Keep
from batchsync.ports import PlanRecords
from batchsync.report.masks import Mask
from batchsync.report.text_format import escape_controls, markdown, markdown_with_code, pluralize
from batchsync.report.values import is_below, masked_record, members, value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.ports import ShownRecord
    from batchsync.report.text_format import Style

#: Members of a record that are listed.
_LISTED = 40
#: Members whose counts are listed.
_COUNTED = 20
_NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsReport:
    """Records of the plan of one job.

    Attributes:
        job: Name of the job.
        changed: Number of changed records.
        records: The records, with their values.
        mask: What of keys and values is shown.
    """

    job: str = ""
    changed: int = 0
    records: PlanRecords = field(default_factory=PlanRecords)
    mask: Mask = field(default_factory=Mask)

    def lines(self, kind: str, index: int, paint: Style) -> Iterator[str]:
        """Yield the lines of one of the first records of a kind for a terminal, to stand below its key."""
        record = self._record(kind, index)
        if record is None:
            return
        for sign, path, text in self._members(record, escape_controls):
            yield paint(f"{sign} {escape_controls(path)}: {text}", "warn" if sign == "~" else "dim")

    def heading(self, kind: str, index: int) -> str:
        """Return the members that change in one of the first records of a kind, after its key; empty if unknown."""
        record = self._record(kind, index)
        if record is None or record.members is None:
            return ""
        if not record.members:
            return ": no member differs"
        return f": ~ {', '.join(escape_controls(path) for path in record.members)}"

    def remarks(self) -> Iterator[str]:
        """Yield how many records change by member, and of how many that is not known."""
        found = self.records
        if found.members:
            listed = [f"{escape_controls(path)} in {count:,}" for path, count in list(found.members.items())[:_COUNTED]]
            more = len(found.members) - _COUNTED
            listed += [pluralize(more, "more member")] if more > 0 else []
            known = self.changed - found.without_content
            yield f"members that change in {pluralize(known, 'record')}: {', '.join(listed)}"
        if found.without_content and found.keep is not Keep.FINGERPRINTS:
            others = pluralize(found.without_content, "other record")
            yield (
                f"members that change in {others} are not known: the baseline has no content of what was sent before "
                f"`baseline: {{keep: {found.keep}}}`"
            )
        if found.changed and found.keep is Keep.FINGERPRINTS:
            yield "which members change is not known: `baseline: {keep: members}` in the job keeps that from now on"

    def listed(self) -> Iterator[str]:
        """Yield a line of Markdown for each of the first records, and for each remark."""
        for kind, sign in (("add", "+"), ("change", "~"), ("remove", "-")):
            for record in self._of(kind):
                key = markdown(self.mask.key(self.job, record.key))
                where = f" (row {record.row:,})" if record.row else ""
                shown = [f"{markdown(path)}: {text}" for _, path, text in self._members(record, markdown)]
                yield f"{sign} {key}{where}: {', '.join(shown) or 'no member differs'}"
        for remark in self.remarks():
            yield markdown_with_code(remark)

    def data(self) -> dict[str, object]:
        """Return the records as a JSON-compatible dictionary."""
        return {
            "keep": self.records.keep.value,
            "add": [self._data(record) for record in self.records.added],
            "change": [self._data(record) for record in self.records.changed],
            "remove": [self._data(record) for record in self.records.removed],
            "changed_members": dict(self.records.members),
            "members_unknown": self.changed if self._is_unknown else self.records.without_content,
        }

    @property
    def _is_unknown(self) -> bool:
        """Whether the job keeps no content of records."""
        return self.records.keep is Keep.FINGERPRINTS

    def _of(self, kind: str) -> tuple[ShownRecord, ...]:
        """Return the first records of a kind."""
        by_kind = {"add": self.records.added, "change": self.records.changed, "remove": self.records.removed}
        return by_kind[kind]

    def _record(self, kind: str, index: int) -> ShownRecord | None:
        found = self._of(kind)
        return found[index] if index < len(found) else None

    def _members(self, record: ShownRecord, escape: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
        """Yield the members of a record as sign, path and value; of a changed one those that differ, if known."""
        after = dict(members(masked_record(record.record, self.mask, self.records.constants)))
        before = None
        if record.before is not None:
            before = dict(members(masked_record(record.before, self.mask, self.records.constants)))
        paths = list(dict.fromkeys([*after, *(before or ())]))
        if record.members is not None:
            paths = [path for path in paths if is_below(path, record.members)]
            paths += [path for path in record.members if not any(is_below(item, [path]) for item in paths)]
        sign = " " if record.members is None else "~"
        for path in paths[:_LISTED]:
            new = value_text(after[path], escape) if path in after else _NO_VALUE
            if before is None:
                yield sign, path, new
            else:
                old = value_text(before[path], escape) if path in before else _NO_VALUE
                yield sign, path, f"{old} -> {new}"
        if len(paths) > _LISTED:
            yield " ", pluralize(len(paths) - _LISTED, "more member"), "not listed"

    def _data(self, record: ShownRecord) -> dict[str, object]:
        return {
            "key": self.mask.key(self.job, record.key),
            "source_row": record.row or None,
            "changed_members": None if record.members is None else list(record.members),
            "record": masked_record(record.record, self.mask, self.records.constants),
            "before": masked_record(record.before, self.mask, self.records.constants),
        }
