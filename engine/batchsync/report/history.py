"""The runs of the past, newest first, one line each. It does not know what is still open beyond each run's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.report.settlement import TERMS, RunReport
from lading.report.words import Paint, columns, markdown_table, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = ("run", "started", "state", "selected", *TERMS, "sent")
_RIGHT = frozenset(range(3, len(_HEADER)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReport:
    """Some runs, newest first."""

    runs: tuple[RunReport, ...]

    def text(self, paint: Paint) -> str:
        """Return a table."""
        return columns(self._header(), self._rows(), paint, right=_RIGHT) if self.runs else "nothing was run yet"

    def markdown(self) -> str:
        """Return a table."""
        return f"### lading history\n\n{markdown_table(self._header(), self._rows(), right=_RIGHT)}"

    def data(self) -> dict[str, object]:
        """Return the runs as plain values for JSON."""
        return {"runs": [run.data() for run in self.runs]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each run."""
        for run in self.runs:
            yield {"event": "run"} | run.data()

    def _header(self) -> tuple[str, ...]:
        """Return the header; approvals have a column when there is one."""
        return (*_HEADER, *(["approved"] if any(run.approved for run in self.runs) else []))

    def _rows(self) -> list[tuple[str, ...]]:
        approvals = len(self._header()) > len(_HEADER)
        return [
            (
                run.settlement.run,
                moment(run.run.created_at),
                run.state,
                *(f"{getattr(run.settlement, term):,}" for term in ("selected", *TERMS)),
                f"{sum(batch.file.rows for batch in run.batches):,}",
                *([(run.approved.reason or "yes") if run.approved else "-"] if approvals else []),
            )
            for run in self.runs
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleReport:
    """The settlement equations of some runs, one below the other."""

    runs: tuple[RunReport, ...]

    def text(self, paint: Paint) -> str:
        """Return the equation of each run."""
        return "\n".join(run.text(paint) for run in self.runs) or "nothing was run yet"

    def markdown(self) -> str:
        """Return a table."""
        return f"### lading settle\n\n{HistoryReport(runs=self.runs).markdown().split(chr(10), 2)[2]}"

    def data(self) -> dict[str, object]:
        """Return the runs as plain values for JSON."""
        return {"runs": [run.data() for run in self.runs]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each run."""
        for run in self.runs:
            yield {"event": "settlement"} | run.data()
