"""`batchsync show`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.declared import declared
from batchsync.cli.outcomes import run_report
from batchsync.cli.personal import show_personal
from batchsync.cli.plan_files import is_plan_file, plan_file_report
from batchsync.cli.session import Answer, Session
from batchsync.errors import BatchsyncError, UsageError
from batchsync.report.history import ShowReport
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.core.run import Run
    from batchsync.journal import Journal


@command("show", example="batchsync show\nbatchsync show guests\nbatchsync show guests-7\nbatchsync show guests.plan")
@click.argument("name", required=False, metavar="[RUN|JOB|PLAN]")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    help="Of a plan file: number of keys shown of each kind of change (default: 10; 0: none).",
)
@show_personal
def show(session: Session, name: str | None, *, limit: int, show_personal: bool) -> Answer:
    """Print the settlement equation of a run, or a plan file.

    selected = unchanged + accepted + invalid + rejected + unknown + deferred. Without an argument: of the last run of
    each job. The equation holds at any time, not only when the run is settled.

    Of a plan file (`plan --out`): who made it and when, its plans, and what moved since, if it cannot be applied.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no job or run of the name.
    """
    with session.journal() as journal:
        if name is not None and is_plan_file(name, _jobs(session, journal)):
            return Answer(report=plan_file_report(session, Path(name), limit=limit, show_personal=show_personal))
        known = declared(session, journal)
        runs = _runs(journal, name, known.jobs) if journal else ()
        if name is not None and not runs and name not in known.jobs:
            unknown = _unknown_name(name, known.jobs)
            raise unknown
        reports = tuple(run_report(journal, run, known.budgets) for run in runs) if journal else ()
    return Answer(report=ShowReport(runs=reports))


def _jobs(session: Session, journal: Journal | None) -> set[str]:
    """Return the names of all jobs: declared, or in the journal."""
    names = set(journal.jobs()) if journal is not None else set()
    with suppress(BatchsyncError):
        names |= {job.name for job in session.deployment().jobs}
    return names


def _runs(journal: Journal, name: str | None, jobs: Iterable[str]) -> tuple[Run, ...]:
    """Return the runs selected by job, else by ID."""
    if name is None:
        names = dict.fromkeys([*jobs, *(batch.job for batch in journal.open_batches())])
        return tuple(run for job in names if (run := journal.last_run(job)))
    last = journal.last_run(name)
    if last is not None or name in jobs:
        return (last,) if last else ()
    try:
        return (journal.run(name),)
    except UsageError:
        raise _unknown_name(name, {*jobs, *journal.jobs()}) from None


def _unknown_name(name: str, jobs: Iterable[str]) -> UsageError:
    hint = f"{names_hint(name, jobs, 'jobs')}; `batchsync history` lists the runs"
    return UsageError(f'unknown run or job "{name}"', hint=hint)
