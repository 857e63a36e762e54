"""Reports of `batchsync history` (one line per run, newest first) and `batchsync show` (settlement of each run)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.plot import plot_runs
from batchsync.report.settlement import shown_outcomes
from batchsync.report.text_format import Style, columns, escape_controls, iso, markdown, markdown_table, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.row_outcome import RowOutcome
    from batchsync.core.state_age import Acceptance
    from batchsync.report.settlement import RunReport

_FIRST, _LAST = ("run", "started", "state", "selected"), "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryReport:
    """Runs, newest first, and acceptances of a restored or copied state folder, oldest first.

    `plot`: on a terminal, bars instead of a table.
    """

    runs: tuple[RunReport, ...]
    acceptances: tuple[Acceptance, ...] = ()
    plot: bool = False

    def text(self, paint: Style) -> str:
        """Return the runs as an aligned table or as bars, with a line for each acceptance below."""
        if self.plot:
            return "\n".join([plot_runs(self.runs, paint), *(_sentence(item) for item in self.acceptances)])
        table = columns(self._header(), self._rows(), paint, right=self._right()) if self.runs else "no runs yet"
        return "\n".join([table, *(_sentence(item) for item in self.acceptances)])

    def markdown(self) -> str:
        """Return the runs as a Markdown table, with a list of the acceptances below."""
        table = markdown_table(self._header(), self._rows(), right=self._right())
        listed = [f"- {markdown(_sentence(item))}" for item in self.acceptances]
        return "\n\n".join(["### batchsync history", table, *(["\n".join(listed)] if listed else [])])

    def data(self) -> dict[str, object]:
        """Return runs and acceptances as a JSON-compatible dictionary."""
        return {
            "runs": [run.data() for run in self.runs],
            "acceptances": [_acceptance_data(item) for item in self.acceptances],
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per run and acceptance."""
        for run in self.runs:
            yield {"event": "run"} | run.data()
        for item in self.acceptances:
            yield {"event": "acceptance"} | _acceptance_data(item)

    def _header(self) -> tuple[str, ...]:
        """Return the header, with an approval column if any run was approved."""
        approvals = any(run.approved for run in self.runs)
        return (*_FIRST, *shown_outcomes(self.runs), _LAST, *(["approved"] if approvals else []))

    def _right(self) -> frozenset[int]:
        """Return the numbers of the columns of counts."""
        header = self._header()
        return frozenset(range(len(_FIRST) - 1, header.index(_LAST) + 1))

    def _rows(self) -> list[tuple[str, ...]]:
        """Return the cells of each run."""
        approvals, shown = self._header()[-1] != _LAST, shown_outcomes(self.runs)
        return [
            (
                run.settlement.run,
                moment(run.run.created_at),
                run.state,
                *(f"{count:,}" for count in _counts(run, shown)),
                f"{sum(batch.file.rows for batch in run.batches):,}",
                *([(run.approved.reason or "yes") if run.approved else "-"] if approvals else []),
            )
            for run in self.runs
        ]


def _sentence(acceptance: Acceptance) -> str:
    """Return when and why a restored or copied state was accepted."""
    found = f"{acceptance.serial:,} of {acceptance.newest:,} transactions"
    return f"{moment(acceptance.at)}: state accepted with {found}, because: {escape_controls(acceptance.reason)}"


def _acceptance_data(acceptance: Acceptance) -> dict[str, object]:
    return {
        "at": iso(acceptance.at),
        "transactions": acceptance.serial,
        "newest": acceptance.newest,
        "other": acceptance.other or None,
        "reason": acceptance.reason,
    }


def _counts(run: RunReport, shown: Sequence[RowOutcome]) -> tuple[int, ...]:
    """Return the counts of a run: selected, then each shown outcome."""
    return (run.settlement.selected, *(run.settlement.outcomes[outcome] for outcome in shown))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowReport:
    """Settlement equations of several runs."""

    runs: tuple[RunReport, ...]

    def text(self, paint: Style) -> str:
        """Return the equation of each run."""
        return "\n".join(run.text(paint) for run in self.runs) or "no runs yet"

    def markdown(self) -> str:
        """Return the settlements as a Markdown table."""
        return f"### batchsync show\n\n{HistoryReport(runs=self.runs).markdown().split(chr(10), 2)[2]}"

    def data(self) -> dict[str, object]:
        """Return the runs as a JSON-compatible dictionary."""
        return {"runs": [run.data() for run in self.runs]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per run."""
        for run in self.runs:
            yield {"event": "settlement"} | run.data()
