"""How the jobs of a `sync` or `resume` came out, and the next command to type. It does not judge: codes are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.run import RunState
from lading.errors import ExitCode
from lading.report import settlement
from lading.report.waiting import ask_step, stuck_steps
from lading.report.words import Paint, markdown_table, noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.core.batch import Batch
    from lading.errors import LadingError
    from lading.report.settlement import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """How one job came out: its runs, why it had to stop, or why it was not tried.

    `results` is where its answers are; `unresolved` are its delivered batches, of whatever run, with rows of unknown
    outcome.
    """

    job: str
    runs: tuple[RunReport, ...]
    exit_code: ExitCode
    error: LadingError | None = None
    skipped: str = ""
    results: str = ""
    unresolved: tuple[Batch, ...] = ()

    @property
    def trouble(self) -> str:
        """Return why the job was not tried or had to stop; nothing when neither."""
        return self.skipped or (self.error.message if self.error else "")

    def text(self, paint: Paint) -> str:
        """Return the job's runs and what went wrong."""
        parts = [run.text(paint) for run in self.runs]
        if self.results:
            parts.append(f"  results: {visible(self.results)}")
        name = paint(visible(self.job), "head")
        if self.skipped:
            parts.append(f"{name}: {paint('not tried', 'warn')}: {visible(self.skipped)}")
        elif self.error is not None:
            stopped = f"{name}: {paint('stopped', 'bad')}: {visible(self.error.message)}"
            parts.append(f"{stopped}\n  {visible(self.error.hint)}" if self.error.hint else stopped)
        elif not self.runs:
            parts.append(f"{name}: nothing is open")
        return "\n".join(parts)

    def data(self) -> dict[str, object]:
        """Return the job as plain values for JSON."""
        error = {"message": self.error.message, "hint": self.error.hint} if self.error else None
        return {
            "job": self.job,
            "exit_code": int(self.exit_code),
            "runs": [run.data() for run in self.runs],
            "skipped": self.skipped or None,
            "results": self.results or None,
            "unresolved": [one.id for one in self.unresolved],
            "error": error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeReport:
    """All jobs of one command, with the sum of their equations. `idle` is said when there are none."""

    jobs: tuple[JobReport, ...]
    idle: str = "nothing is open"

    def text(self, paint: Paint) -> str:
        """Return every job, one total line, and what to type next."""
        parts = [job.text(paint) for job in self.jobs]
        if not self.jobs:
            return self.idle
        if len(runs := self._runs()) > 1:
            parts.append(f"{paint('total', 'head')}: {noun(len(runs), 'run')}: {settlement.total(runs)}")
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return one table with a line for each run."""
        header = ("job", "run", "state", "selected", *settlement.TERMS, "sent")
        rows = [_row(run) for run in self._runs()]
        rows += [(job.job, "", job.trouble) for job in self.jobs if job.trouble]
        filled = [(*row, *[""] * (len(header) - len(row))) for row in rows]
        table = markdown_table(header, filled, right=frozenset(range(3, len(header))))
        return "\n".join(["### lading", "", table, *(f"\nNext: {step}" for step in self.next_steps())])

    def data(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        return {
            "jobs": [job.data() for job in self.jobs],
            "total": settlement.totals(self._runs()),
            "next": list(self.next_steps()),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each run that settled or stands, and one for each job."""
        for job in self.jobs:
            for run in job.runs:
                yield {"event": "settled" if run.state == "settled" else "unsettled"} | run.data()
            yield {"event": "job"} | job.data()

    def next_steps(self) -> tuple[str, ...]:
        """Return the commands that bring what is open to its end, the most pressing first."""
        found: list[str] = []
        for job in self.jobs:
            name = visible(job.job)
            states = {run.state for run in job.runs}
            found += stuck_steps([batch for run in job.runs for batch in run.batches])
            if "in flight" in states and "stuck" not in states:
                found.append(f"`lading resume {name}` follows what is in flight to its end")
            if any(run.run.state is RunState.HELD for run in job.runs):
                found.append(f"`lading approve {name}` when the plan is right, then `lading sync {name}`")
            if job.runs and job.runs[-1].cut_short:
                found.append(f"`lading sync {name}` sends what was held when preparing was cut short")
            if job.unresolved:
                found.append(ask_step([one.id for one in job.unresolved]))
            if job.exit_code is ExitCode.REJECTS:
                found.append(f"`lading rejects {name}` shows what did not get there and why")
            if job.error is not None and "`lading " not in job.error.hint:
                found.append(f"`lading sync {name}` when that is put right")
            elif job.skipped:
                found.append(f"`lading sync {name}` when what it depends on has settled")
        return tuple(found)

    def _runs(self) -> list[RunReport]:
        return [run for job in self.jobs for run in job.runs]


def _row(run: RunReport) -> tuple[str, ...]:
    one = run.settlement
    terms = (f"{getattr(one, term):,}" for term in ("selected", *settlement.TERMS))
    sent = sum(batch.file.rows for batch in run.batches)
    return (one.job, str(run.run.serial), run.state, *terms, f"{sent:,}")
