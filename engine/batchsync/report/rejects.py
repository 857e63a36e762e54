"""The rows that did not get there, one by one or counted by reason. Values come masked; it unmasks nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.report.words import Paint, columns, markdown_table, noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.ports import Reject

#: A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
EXPORT_HEADER = ("job", "run", "batch", "kind", "key", "field", "code", "reason", "batch_line", "source_row", "retry")
_HEADER = ("kind", "key", "source row", "field", "code", "batch line", "reason")
_RIGHT = frozenset({2, 5})
_GROUPS = ("records", "kind", "code", "field")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectLine:
    """One reject with its job, run and batch (empty for rows that we refused ourselves).

    `delivered` is what a person said of a row of unknown outcome, or None when nobody did.
    """

    job: str
    run: str
    batch: str
    reject: Reject
    delivered: bool | None = None

    @property
    def reason(self) -> str:
        """Return why the record did not get there, and how that ended on a person's word."""
        if self.delivered is None:
            return self.reject.reason
        word = "the vendor has it" if self.delivered else "to be sent again"
        return f"{self.reject.reason}; resolved by hand: {word}"

    def data(self) -> dict[str, object]:
        """Return the reject as plain values for JSON."""
        one = self.reject
        return {
            "job": self.job,
            "run": self.run,
            "batch": self.batch or None,
            "kind": one.kind,
            "key": one.key,
            "field": one.field or None,
            "code": one.code or None,
            "reason": self.reason,
            "batch_line": one.line or None,
            "source_row": one.row or None,
            "retry": one.retry,
        }

    def cells(self) -> tuple[str, ...]:
        """Return the reject as cells of an export, none of which a spreadsheet takes for a formula."""
        one = self.reject
        line, row = str(one.line or ""), str(one.row or "")
        cells = (self.job, self.run, self.batch, one.kind, one.key, one.field, one.code, self.reason, line, row)
        return (*(_harmless(cell) for cell in cells), "yes" if one.retry else "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsReport:
    """A page of rejects out of `total`. `about` says whose they are; `exported` where they were written.

    `standing` counts records that an earlier run brought to the vendor in vain and that have not changed since.
    """

    about: str
    rejects: tuple[RejectLine, ...]
    total: int
    exported: str = ""
    standing: int = 0

    def text(self, paint: Paint) -> str:
        """Return a table, or one line when there is none."""
        return "\n".join([self._table(paint), *self._standing_words()])

    def _standing_words(self) -> list[str]:
        if not self.standing:
            return []
        records = noun(self.standing, "record")
        return [f"{records} more, rejected or unknown in an earlier run and not changed since: `--all` shows all runs"]

    def _table(self, paint: Paint) -> str:
        if self.exported:
            return f"{self.about}: {noun(self.total, 'reject')} written to {visible(self.exported)}"
        if not self.total:
            return f"{self.about}: no rejects"
        table = columns(_HEADER, self._rows(), paint, right=_RIGHT)
        more = self.total - len(self.rejects)
        rest = f"\n{more:,} more: `--limit 0` shows all, `--groups` counts them, `--export FILE.csv` writes them"
        return f"{self.about}: {noun(self.total, 'reject')}\n{table}{rest if more > 0 else ''}"

    def markdown(self) -> str:
        """Return a table."""
        table = markdown_table(_HEADER, self._rows(), right=_RIGHT)
        head = f"### lading rejects: {self.about}\n\n{noun(self.total, 'reject')}\n\n{table}"
        return "\n\n".join([head, *self._standing_words()])

    def data(self) -> dict[str, object]:
        """Return the page as plain values for JSON."""
        return {
            "total": self.total,
            "shown": len(self.rejects),
            "rejects": [one.data() for one in self.rejects],
            "standing": self.standing,
            "exported": self.exported or None,
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each reject."""
        for one in self.rejects:
            yield {"event": "reject"} | one.data()

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.kind,
                one.key or "-",
                str(one.row or "-"),
                one.field or "-",
                one.code or "-",
                str(one.line or "-"),
                line.reason,
            )
            for line, one in ((line, line.reject) for line in self.rejects)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How many rejects share kind, code and field."""

    kind: str
    code: str
    field: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsReport:
    """All rejects of something, counted by kind, code and field, the greatest count first."""

    about: str
    groups: tuple[Group, ...]

    def text(self, paint: Paint) -> str:
        """Return a table, or one line when there is none."""
        if not self.groups:
            return f"{self.about}: no rejects"
        total = noun(sum(one.count for one in self.groups), "reject")
        return f"{self.about}: {total}\n{columns(_GROUPS, self._rows(), paint, right=frozenset({0}))}"

    def markdown(self) -> str:
        """Return a table."""
        return f"### lading rejects: {self.about}\n\n{markdown_table(_GROUPS, self._rows(), right=frozenset({0}))}"

    def data(self) -> dict[str, object]:
        """Return the groups as plain values for JSON."""
        return {"total": sum(one.count for one in self.groups), "groups": [_group_data(one) for one in self.groups]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each group."""
        for one in self.groups:
            yield {"event": "group"} | _group_data(one)

    def _rows(self) -> list[tuple[str, ...]]:
        return [(f"{one.count:,}", one.kind, one.code or "-", one.field or "-") for one in self.groups]


def _group_data(group: Group) -> dict[str, object]:
    return {"kind": group.kind, "code": group.code or None, "field": group.field or None, "count": group.count}


def _harmless(cell: str) -> str:
    """Return the cell as text: a number keeps its sign, anything else that looks like a formula is quoted."""
    if not cell.startswith(_FORMULA) or cell[1:].replace(".", "", 1).isdigit():
        return cell
    return f"'{cell}"
