"""`batchsync show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.completion import complete_runs
from batchsync.cli.declared import declared, known_names
from batchsync.cli.outcomes import run_report
from batchsync.cli.personal import show_personal, show_values_option
from batchsync.cli.plan_file_report import ShownParts, plan_file_report
from batchsync.cli.plan_files import is_plan_file
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.history import ShowReport
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.core.run import Run
    from batchsync.journal import Journal


@command("show", example="batchsync show\nbatchsync show guests\nbatchsync show guests-7\nbatchsync show guests.plan")
@click.argument("name", required=False, metavar="[RUN|JOB|PLAN]", shell_complete=complete_runs)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    help="Of a plan file: number of keys shown of each kind of change (default: 10; 0: none).",
)
@click.option(
    "--records",
    type=click.IntRange(min=0),
    metavar="N",
    default=3,
    help="Of a plan file: number of records shown of each kind of change, at most `--limit` (default: 3; 0: none).",
)
@show_values_option
@show_personal
def show(
    session: Session, name: str | None, *, limit: int, records: int, show_values: bool, show_personal: bool
) -> Answer:
    """Print the settlement equation of a run, or a plan file.

    selected = unchanged + accepted + invalid + rejected + unknown + deferred. Without an argument: of the last run of
    each job. The equation holds at any time, not only when the run is settled.

    Of a plan file (`plan --out`): who made it and when, its plans with their first records, and what moved since, if it
    cannot be applied. Values of records are masked as by `plan`.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no job or run of the name.
    """
    with session.journal() as journal:
        if name is not None and is_plan_file(name, known_names(session, journal)):
            parts = ShownParts(keys=limit, records=min(limit, records), personal=show_personal, values=show_values)
            return Answer(report=plan_file_report(session, Path(name), parts))
        known = declared(session, journal)
        runs = _runs(journal, name, known.jobs) if journal else ()
        if name is not None and not runs and name not in known.jobs:
            unknown = _unknown_name(name, known.jobs)
            raise unknown
        reports = tuple(run_report(journal, run, known.budgets) for run in runs) if journal else ()
    return Answer(report=ShowReport(runs=reports))


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
    return UsageError(f'unknown run or job "{name}"', hint=hint, name="usage.unknown_run")
