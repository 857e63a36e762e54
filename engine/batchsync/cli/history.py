"""`batchsync history`."""

from __future__ import annotations

import click

from batchsync.cli.command import command
from batchsync.cli.completion import complete_jobs
from batchsync.cli.declared import check_known
from batchsync.cli.outcomes import run_report
from batchsync.cli.session import Answer, Session
from batchsync.report.history import HistoryReport


@command("history", example="batchsync history guests --limit 5\nbatchsync history guests --plot")
@click.argument("job", required=False, metavar="[JOB]", shell_complete=complete_jobs)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=20, help="Maximum number of runs (default: 20)."
)
@click.option("--plot", is_flag=True, help="Draw the number of records that each run sent, by outcome, as bars.")
def history(session: Session, job: str | None, *, limit: int, plot: bool) -> Answer:
    """List past runs, newest first, and when a restored state folder was accepted.

    Returns:
        The report to print, with the exit code.
    """
    with session.journal() as journal:
        if job is not None:
            check_known(session, journal, job)
        runs = journal.history(job, limit) if journal else ()
        reports = tuple(run_report(journal, run, {}) for run in runs) if journal else ()
        acceptances = journal.acceptances() if journal else ()
    return Answer(report=HistoryReport(runs=reports, acceptances=acceptances, plot=plot))
