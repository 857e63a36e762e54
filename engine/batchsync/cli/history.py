"""`lading history`."""

from __future__ import annotations

import click

from lading.cli.command import command
from lading.cli.declared import check_known
from lading.cli.outcomes import run_report
from lading.cli.session import Answer, Session
from lading.report.history import HistoryReport


@command("history", example="lading history guests --limit 5")
@click.argument("job", required=False, metavar="[JOB]")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=20, help="Show no more (default: 20).")
def history(session: Session, job: str | None, *, limit: int) -> Answer:
    """List the runs of the past, newest first."""
    with session.journal() as journal:
        if job is not None:
            check_known(session, journal, job)
        runs = journal.history(job, limit) if journal else ()
        reports = tuple(run_report(journal, run, {}) for run in runs) if journal else ()
    return Answer(report=HistoryReport(runs=reports))
