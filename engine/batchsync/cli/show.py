"""`lading settle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import declared
from lading.cli.outcomes import run_report
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.report.history import SettleReport
from lading.spec.suggest import names_hint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.core.run import Run
    from lading.journal import Journal


@command("settle", example="lading settle\nlading settle guests\nlading settle guests-7")
@click.argument("what", required=False, metavar="[RUN|JOB]")
def settle(session: Session, what: str | None) -> Answer:
    """Print the settlement equation of a run.

    selected = unchanged + accepted + invalid + rejected + unknown + held. Without an argument: of the last run of each
    job. It holds at every moment, not only when the run is settled.
    """
    with session.journal() as journal:
        known = declared(session, journal)
        runs = _runs(journal, what, known.jobs) if journal else ()
        if what is not None and not runs and what not in known.jobs:
            raise _nothing_of_that_name(what, known.jobs)
        reports = tuple(run_report(journal, run, known.budgets) for run in runs) if journal else ()
    return Answer(report=SettleReport(runs=reports))


def _runs(journal: Journal, what: str | None, jobs: Iterable[str]) -> tuple[Run, ...]:
    """Return the runs that are meant: by job, else by id."""
    if what is None:
        names = dict.fromkeys([*jobs, *(one.job for one in journal.open_batches())])
        return tuple(run for name in names if (run := journal.last_run(name)))
    last = journal.last_run(what)
    if last is not None or what in jobs:
        return (last,) if last else ()
    try:
        return (journal.run(what),)
    except UsageError:
        raise _nothing_of_that_name(what, {*jobs, *journal.jobs()}) from None


def _nothing_of_that_name(what: str, jobs: Iterable[str]) -> UsageError:
    hint = f"{names_hint(what, jobs, 'jobs')}; `lading history` lists the runs"
    return UsageError(f'there is no run and no job "{what}"', hint=hint)
