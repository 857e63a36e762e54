"""Report of `batchsync sync` and `batchsync resume`: the outcome of each job and the next commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.run import RunState
from batchsync.errors import ExitCode
from batchsync.report import settlement
from batchsync.report.envelope import error_data
from batchsync.report.text_format import Style, escape_controls, markdown_table, pluralize
from batchsync.report.waiting import attention_steps, unknown_hint
from batchsync.util.error_codes import with_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.batch import Batch
    from batchsync.core.row_outcome import RowOutcome
    from batchsync.errors import BatchsyncError
    from batchsync.report.settlement import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """Outcome of one job.

    Attributes:
        job: Name of the job.
        runs: Runs that the command worked on, oldest first.
        exit_code: Exit code of the job.
        error: Error that stopped the job, if any.
        skipped: Why the job was not started; empty if it was.
        results: Path of the results file or folder; empty if there is none.
        unresolved: Delivered batches of any run with rows of unknown outcome.
    """

    job: str
    runs: tuple[RunReport, ...]
    exit_code: ExitCode
    error: BatchsyncError | None = None
    skipped: str = ""
    results: str = ""
    unresolved: tuple[Batch, ...] = ()

    @property
    def trouble(self) -> str:
        """Why the job was skipped or stopped; empty if it was neither."""
        return self.skipped or (self.error.message if self.error else "")

    def text(self, paint: Style) -> str:
        """Return the job's runs and its error."""
        parts = [run.text(paint) for run in self.runs]
        if self.results:
            parts.append(f"  results: {escape_controls(self.results)}")
        name = paint(escape_controls(self.job), "head")
        if self.skipped:
            parts.append(f"{name}: {paint('skipped', 'warn')}: {escape_controls(self.skipped)}")
        elif self.error is not None:
            stopped = (
                f"{name}: {paint('stopped', 'bad')}: {escape_controls(with_code(self.error.message, self.error.name))}"
            )
            parts.append(f"{stopped}\n  {escape_controls(self.error.hint)}" if self.error.hint else stopped)
        elif not self.runs:
            parts.append(f"{name}: no open batches")
        return "\n".join(parts)

    def data(self) -> dict[str, object]:
        """Return the job as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "exit_code": int(self.exit_code),
            "runs": [run.data() for run in self.runs],
            "skipped": self.skipped or None,
            "results": self.results or None,
            "unresolved": [item.id for item in self.unresolved],
            "error": error_data(self.error) if self.error else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReport:
    """Outcomes of all jobs of one command, with the sum of their settlements.

    Attributes:
        jobs: Outcomes in execution order.
        idle: Text printed if there are no jobs.
    """

    jobs: tuple[JobReport, ...]
    idle: str = "no open batches"

    def text(self, paint: Style) -> str:
        """Return every job, one total line, and the next commands."""
        parts = [job.text(paint) for job in self.jobs]
        if not self.jobs:
            return self.idle
        if len(runs := self._runs()) > 1:
            parts.append(f"{paint('total', 'head')}: {pluralize(len(runs), 'run')}: {settlement.total(runs)}")
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return a Markdown table with one line per run."""
        shown = settlement.shown_outcomes(self._runs())
        header = ("job", "run", "state", "selected", *shown, "sent")
        rows = [_row(run, shown) for run in self._runs()]
        rows += [(job.job, "", job.trouble) for job in self.jobs if job.trouble]
        filled = [(*row, *[""] * (len(header) - len(row))) for row in rows]
        table = markdown_table(header, filled, right=frozenset(range(3, len(header))))
        return "\n".join(["### batchsync", "", table, *(f"\nNext: {step}" for step in self.next_steps())])

    def data(self) -> dict[str, object]:
        """Return the outcomes as a JSON-compatible dictionary."""
        return {
            "jobs": [job.data() for job in self.jobs],
            "total": settlement.totals(self._runs()),
            "next": list(self.next_steps()),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per run and one per job."""
        for job in self.jobs:
            for run in job.runs:
                yield {"event": "settled" if run.state == "settled" else "unsettled"} | run.data()
            yield {"event": "job"} | job.data()

    def next_steps(self) -> tuple[str, ...]:
        """Return the commands that complete open work, most urgent first."""
        found: list[str] = []
        for job in self.jobs:
            name = escape_controls(job.job)
            states = {run.state for run in job.runs}
            found += attention_steps([batch for run in job.runs for batch in run.batches])
            if "in flight" in states and "needs attention" not in states:
                found.append(f"`batchsync resume {name}` completes the batches in flight")
            if any(run.run.state is RunState.AWAITING_APPROVAL for run in job.runs):
                found.append(f"`batchsync approve {name}` if the plan is correct, then `batchsync sync {name}`")
            if job.runs and job.runs[-1].preparation_aborted:
                found.append(f"`batchsync sync {name}` sends the records deferred when preparation was aborted")
            if job.unresolved:
                found.append(unknown_hint([item.id for item in job.unresolved]))
            if job.exit_code is ExitCode.REJECTS:
                found.append(f"`batchsync rejects {name}` lists invalid and rejected rows with reasons")
            if job.error is not None and "`batchsync " not in job.error.hint:
                found.append(f"`batchsync sync {name}` when the error is fixed")
            elif job.skipped and not job.skipped.startswith("suspended"):
                waits = job.skipped.startswith("waiting for ")
                found.append(f"`batchsync sync {name}`" + (" when its dependencies are settled" if waits else ""))
        return tuple(found)

    def _runs(self) -> list[RunReport]:
        return [run for job in self.jobs for run in job.runs]


def _row(run: RunReport, shown: Sequence[RowOutcome]) -> tuple[str, ...]:
    """Return the run as cells of the Markdown table, with the counts of the shown outcomes."""
    counts = run.settlement
    terms = (f"{count:,}" for count in (counts.selected, *(counts.outcomes[outcome] for outcome in shown)))
    sent = sum(batch.file.rows for batch in run.batches)
    return (counts.job, str(run.run.serial), run.state, *terms, f"{sent:,}")
