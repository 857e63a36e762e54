"""Reports of `batchsync rejects`: invalid, rejected, unknown or superseded rows, listed or counted; values masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.plot import bar, room_for_bars
from batchsync.report.text_format import Style, columns, escape_controls, markdown_table, pluralize, strip_ansi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.row_outcome import RowOutcome
    from batchsync.ports import Reject

#: Spreadsheets interpret a cell with one of these prefixes as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
EXPORT_HEADER = ("job", "run", "batch", "kind", "key", "field", "code", "reason", "batch_line", "source_row", "retry")
_HEADER = ("kind", "key", "source row", "field", "code", "batch line", "reason")
_RIGHT = frozenset({2, 5})
_GROUPS = ("records", "kind", "code", "field")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectLine:
    """Reject with its job, run and batch.

    Attributes:
        job: Name of the job.
        run: ID of the run.
        batch: ID of the batch; empty for invalid rows, which are in no batch.
        reject: The rejected row.
        delivered: Manual resolution of a row of unknown outcome; None if it was not resolved.
    """

    job: str
    run: str
    batch: str
    reject: Reject
    delivered: bool | None = None

    @property
    def reason(self) -> str:
        """Reason of the reject, with its manual resolution if there is reject."""
        if self.delivered is None:
            return self.reject.reason
        resolution = "delivered" if self.delivered else "to be sent again"
        return f"{self.reject.reason}; resolved manually: {resolution}"

    def data(self) -> dict[str, object]:
        """Return the reject as a JSON-compatible dictionary."""
        reject = self.reject
        return {
            "job": self.job,
            "run": self.run,
            "batch": self.batch or None,
            "kind": reject.kind,
            "key": reject.key,
            "field": reject.field or None,
            "code": reject.code or None,
            "reason": self.reason,
            "batch_line": reject.line or None,
            "source_row": reject.row or None,
            "retry": reject.retry,
        }

    def cells(self) -> tuple[str, ...]:
        """Return the reject as cells of a CSV export, protected against formula injection."""
        reject = self.reject
        line, row = str(reject.line or ""), str(reject.row or "")
        cells = (
            self.job,
            self.run,
            self.batch,
            reject.kind,
            reject.key,
            reject.field,
            reject.code,
            self.reason,
            line,
            row,
        )
        return (*(_escape_formula(cell) for cell in cells), "yes" if reject.retry else "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsReport:
    """Page of rejects.

    Attributes:
        about: Job, run or jobs that the rejects belong to.
        rejects: Rejects of this page.
        total: Number of all rejects.
        exported: Path of the export file; empty if the rejects are listed.
        current: Number of records rejected or unknown in an earlier run and unchanged since.
        superseded: Number of superseded rows, which are not among the rejects.
    """

    about: str
    rejects: tuple[RejectLine, ...]
    total: int
    exported: str = ""
    current: int = 0
    superseded: int = 0

    def text(self, paint: Style) -> str:
        """Return an aligned table, or one line if there are no rejects."""
        return "\n".join([self._table(paint), *self._current_words()])

    def _current_words(self) -> list[str]:
        """Return sentences about rejects of earlier runs and about superseded rows, if there are any."""
        sentences = []
        if self.current:
            records = pluralize(self.current, "record")
            sentences.append(
                f"{records} more, rejected or unknown in an earlier run and not changed since: `--all` shows all runs"
            )
        if self.superseded:
            rows = pluralize(self.superseded, "row")
            sentences.append(f"{rows} superseded by another row of the same key: `--kind superseded` lists them")
        return sentences

    def _table(self, paint: Style) -> str:
        """Return the rejects, the path of the export, or that there are none."""
        if self.exported:
            return f"{self.about}: {pluralize(self.total, 'reject')} written to {escape_controls(self.exported)}"
        if not self.total:
            return f"{self.about}: no rejects"
        table = columns(_HEADER, self._rows(), paint, right=_RIGHT)
        more = self.total - len(self.rejects)
        rest = f"\n{more:,} more: `--limit 0` shows all, `--groups` counts them, `--export FILE.csv` writes them"
        return f"{self.about}: {pluralize(self.total, 'reject')}\n{table}{rest if more > 0 else ''}"

    def markdown(self) -> str:
        """Return a Markdown table."""
        table = markdown_table(_HEADER, self._rows(), right=_RIGHT)
        head = f"### batchsync rejects: {self.about}\n\n{pluralize(self.total, 'reject')}\n\n{table}"
        return "\n\n".join([head, *self._current_words()])

    def data(self) -> dict[str, object]:
        """Return the page as a JSON-compatible dictionary."""
        return {
            "total": self.total,
            "shown": len(self.rejects),
            "rejects": [reject.data() for reject in self.rejects],
            "current": self.current,
            "superseded": self.superseded,
            "exported": self.exported or None,
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per reject."""
        for reject in self.rejects:
            yield {"event": "reject"} | reject.data()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                item.kind,
                item.key or "-",
                str(item.row or "-"),
                item.field or "-",
                item.code or "-",
                str(item.line or "-"),
                line.reason,
            )
            for line, item in ((line, line.reject) for line in self.rejects)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Number of rejects with the same kind, code and field."""

    kind: RowOutcome
    code: str
    field: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsReport:
    """Rejects counted by kind, code and field, in descending order of count."""

    about: str
    groups: tuple[Group, ...]

    def text(self, paint: Style) -> str:
        """Return an aligned table with bars, or one line if there are no rejects."""
        if not self.groups:
            return f"{self.about}: no rejects"
        total = pluralize(sum(group.count for group in self.groups), "reject")
        table = columns(_GROUPS, self._rows(), strip_ansi, right=frozenset({0})).splitlines()
        used = max(len(line) for line in table)
        most = max(group.count for group in self.groups)
        bars = [paint(bar(group.count, most, room_for_bars(used + 2)), "bad") for group in self.groups]
        lines = [f"{line:<{used}}  {drawn}" for line, drawn in zip(table[1:], bars, strict=True)]
        return "\n".join([f"{self.about}: {total}", paint(table[0], "head"), *lines])

    def markdown(self) -> str:
        """Return a Markdown table."""
        return f"### batchsync rejects: {self.about}\n\n{markdown_table(_GROUPS, self._rows(), right=frozenset({0}))}"

    def data(self) -> dict[str, object]:
        """Return the groups as a JSON-compatible dictionary."""
        return {
            "total": sum(group.count for group in self.groups),
            "groups": [_group_data(group) for group in self.groups],
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per group."""
        for group in self.groups:
            yield {"event": "group"} | _group_data(group)

    def _rows(self) -> list[tuple[str, ...]]:
        return [(f"{group.count:,}", group.kind, group.code or "-", group.field or "-") for group in self.groups]


def _group_data(group: Group) -> dict[str, object]:
    return {"kind": group.kind, "code": group.code or None, "field": group.field or None, "count": group.count}


def _escape_formula(cell: str) -> str:
    """Return the cell without control characters, and with an apostrophe before a formula prefix.

    Signed numbers are unchanged.
    """
    cell = escape_controls(cell)
    if not cell.startswith(_FORMULA) or cell[1:].replace(".", "", 1).isdigit():
        return cell
    return f"'{cell}"
