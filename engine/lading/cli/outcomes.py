"""From what the engine returns to what is reported: runs with their budgets, jobs with their codes.

It does not know how anything is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.session import Answer
from lading.core.run import settlement_of
from lading.reconcile.sync import JobOutcome, gravest
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.settlement import Approved, RunReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.core.guards import Budget
    from lading.core.run import Run
    from lading.journal import Journal
    from lading.reconcile.context import JobContext


def job_report(outcome: JobOutcome, budget: Budget) -> JobReport:
    """Return how a job came out, with the budget that it was held against."""
    return JobReport(
        job=outcome.job,
        runs=tuple(
            RunReport(run=one.run, settlement=one.settlement, batches=one.batches, budget=budget)
            for one in outcome.runs
        ),
        exit_code=outcome.exit_code,
        error=outcome.error,
        skipped=outcome.skipped,
    )


def answer(outcomes: Sequence[JobOutcome], contexts: Sequence[JobContext]) -> Answer:
    """Return the answer of a sync or resume."""
    budgets = {context.job.name: context.job.budget for context in contexts}
    report = OutcomeReport(jobs=tuple(job_report(one, budgets[one.job]) for one in outcomes))
    return Answer(report=report, exit_code=gravest(one.exit_code for one in outcomes))


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
