"""From what the engine returns to what is reported: runs with their budgets, jobs with their codes.

It does not know how anything is printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lading.cli.session import Answer
from lading.core.batch import Phase
from lading.core.run import settlement_of
from lading.reconcile.sync import JobOutcome, gravest
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.settlement import Approved, RunReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.core.guards import Budget
    from lading.core.job import Results
    from lading.core.run import Run
    from lading.journal import Journal
    from lading.reconcile.context import JobContext


def job_report(outcome: JobOutcome, budget: Budget, results: Results | None = None) -> JobReport:
    """Return how a job came out, with the budget that it was held against and where answers came to be."""
    delivered = any(batch.phase is Phase.DELIVERED for run in outcome.runs for batch in run.batches)
    return JobReport(
        job=outcome.job,
        runs=tuple(
            RunReport(run=one.run, settlement=one.settlement, batches=one.batches, budget=budget)
            for one in outcome.runs
        ),
        exit_code=outcome.exit_code,
        error=outcome.error,
        skipped=outcome.skipped,
        results=_seen_from_here(Path(results.path)) if results is not None and delivered else "",
        unresolved=outcome.unresolved,
    )


def answer(outcomes: Sequence[JobOutcome], contexts: Sequence[JobContext]) -> Answer:
    """Return the answer of a sync or resume."""
    jobs = {context.job.name: context.job for context in contexts}
    told = (job_report(one, jobs[one.job].budget, jobs[one.job].results) for one in outcomes)
    report = OutcomeReport(jobs=tuple(told))
    return Answer(report=report, exit_code=gravest(one.exit_code for one in outcomes))


def _seen_from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def run_report(journal: Journal, run: Run, budgets: Mapping[str, Budget]) -> RunReport:
    """Return a run of the journal with its equation. A job that is declared no more has no budget."""
    batches = tuple(journal.batches(run.id))
    approval = journal.approval(run.job, run.plan)
    return RunReport(
        run=run,
        settlement=settlement_of(run, batches),
        batches=batches,
        budget=budgets.get(run.job),
        approved=Approved(at=approval.at, reason=approval.reason) if approval else None,
    )
