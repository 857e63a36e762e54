"""Conversion of engine results to reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.cli.session import Answer
from batchsync.core.batch import Phase
from batchsync.core.run import settlement_of
from batchsync.errors import most_severe_exit_code
from batchsync.report.outcome import JobReport, OutcomeReport
from batchsync.report.settlement import Approved, RunReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchsync.core.guards import Budget
    from batchsync.core.job import Results
    from batchsync.core.run import Run
    from batchsync.journal import Journal
    from batchsync.reconcile.services import SelectedJob
    from batchsync.reconcile.sync import JobOutcome


def job_report(outcome: JobOutcome, budget: Budget, results: Results | None = None) -> JobReport:
    """Return the report of a job's outcome, with its budget and the path of its results."""
    delivered = any(batch.phase is Phase.DELIVERED for run in outcome.runs for batch in run.batches)
    return JobReport(
        job=outcome.job,
        runs=tuple(
            RunReport(run=item.run, settlement=item.settlement, batches=item.batches, budget=budget)
            for item in outcome.runs
        ),
        exit_code=outcome.exit_code,
        error=outcome.error,
        skipped=outcome.skipped,
        results=_relative_path(Path(results.path)) if results is not None and delivered else "",
        unresolved=outcome.unresolved,
    )


def answer(outcomes: Sequence[JobOutcome], contexts: Sequence[SelectedJob]) -> Answer:
    """Return the answer of `sync` or `resume`."""
    jobs = {context.job.name: context.job for context in contexts}
    reports = (job_report(outcome, jobs[outcome.job].budget, jobs[outcome.job].results) for outcome in outcomes)
    report = OutcomeReport(jobs=tuple(reports))
    return Answer(report=report, exit_code=most_severe_exit_code(outcome.exit_code for outcome in outcomes))


def _relative_path(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def run_report(journal: Journal, run: Run, budgets: Mapping[str, Budget]) -> RunReport:
    """Return the report of a run in the journal; a job that is no longer in jobs.yaml has no budget."""
    batches = tuple(journal.batches(run.id))
    approval = journal.approval(run.job, run.plan)
    return RunReport(
        run=run,
        settlement=settlement_of(run, batches),
        batches=batches,
        budget=budgets.get(run.job),
        approved=Approved(at=approval.at, reason=approval.reason) if approval else None,
    )
