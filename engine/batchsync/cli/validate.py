"""`batchsync validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.mapping_tests import mapping_test_problems
from batchsync.cli.online import examine_online, is_online
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.cli.untrusted import run_untrusted, untrusted_option
from batchsync.core.retention import DEFAULT_RETENTION
from batchsync.errors import ExitCode, SpecError, UsageError, most_severe_exit_code
from batchsync.report.contract import ContractReport
from batchsync.report.guards import JobGuards
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize

if TYPE_CHECKING:
    from batchsync.core.retention import Retention


@command("validate", example="batchsync validate --file jobs.yaml")
@selectors
@click.option(
    "--online",
    is_flag=True,
    help="Also check jobs whose sources are elsewhere, such as in a database: their statements are prepared, and their "
    "columns compared with the jobs. Needs the secrets of these connections.",
)
@untrusted_option
def validate(
    session: Session, jobs: tuple[str, ...], *, exclude: tuple[str, ...], online: bool, untrusted: bool
) -> Answer | int:
    """Check jobs.yaml and its sources without sending anything.

    Shows all problems at once, each with its location and a correction. Needs no secrets and no network, unless
    --online is given. A missing source is a note and not a problem: jobs may be validated where their data is not
    available. Without problems, the retention periods, the guards of each job, defaults included, and the contract of
    each source are listed, and with --online the columns of each source elsewhere with their types. With names or
    selectors of jobs, only their sources are checked.

    Returns:
        The report to print, with the exit code; the exit code of the limited process with --untrusted.

    Raises:
        SpecError: If there is a problem.
        UsageError: If --online and --untrusted are given.
    """
    if untrusted and online:
        raise UsageError(
            "--online with --untrusted",
            hint="omit one of them: files of strangers reach no database",
            name="usage.untrusted",
        )
    if untrusted and not session.confined:
        return run_untrusted(session, ["validate", *(f"--exclude={word}" for word in exclude), *jobs])
    with session.app() as app:
        deployment = app.deployment
        chosen = app.jobs(chosen_jobs(session, deployment, jobs, exclude).names)
        elsewhere = [job for job in chosen if is_online(job)]
        problems, notes = app.check([job for job in chosen if not online or job not in elsewhere])
        examined = tuple(examine_online(app, elsewhere)) if online else ()
        failed = {item.job: item.error for item in examined if item.error is not None}
        for name, error in failed.items():
            session.print_line(f"{name}: {error.message}" + (f"; {error.hint}" if error.hint else ""), role="bad")
        problems = (*problems, *(problem for item in examined for problem in item.problems))
        if problems := problems or mapping_test_problems(app, chosen):
            raise SpecError(tuple(sorted(problems, key=lambda item: (item.file, item.line, item.column))))
        columns = {item.job: item.sources for item in examined if item.sources}
        names = [*deployment.connections, *deployment.databases]
        counts = f"{pluralize(len(deployment.jobs), 'job')} and {pluralize(len(names), 'connection')}"
        summary = f"{app.settings.file}: valid, {counts}"
        if failed:
            summary += f"; {pluralize(len(failed), 'job')} not checked online: {', '.join(failed)}"
        guards = [JobGuards(job.name, job.guards, removes=job.removes) for job in chosen]
        contracts = {job.name: ContractReport(job.source.contract) for job in chosen if job.source.contract}
        facts = {
            "file": str(app.settings.file),
            "jobs": [job.name for job in deployment.jobs],
            "connections": names,
            "retention": dict(deployment.retention.texts()),
            "guards": {guard.job: guard.data() for guard in guards},
            "contracts": {name: contract.data() for name, contract in contracts.items()},
            "columns": {name: [item.data() for item in sources] for name, sources in columns.items()},
            "failed": {name: {"message": error.message, "hint": error.hint} for name, error in failed.items()},
            "notes": list(notes),
        }
        report = Message(
            sentences=(
                summary,
                _retention(deployment.retention),
                *(guard.text() for guard in guards),
                *(f"{name}: contract: {contract.text()}" for name, contract in contracts.items()),
                *(f"{name}: {item.text()}" for name, sources in columns.items() for item in sources),
                *(f"note: {note}" for note in notes),
            ),
            facts=facts,
            next_step=_next_step(may_check_more=bool(elsewhere) and not online and not session.confined),
        )
        codes = (error.exit_code for error in failed.values())
        return Answer(report=report, exit_code=most_severe_exit_code(codes) if failed else ExitCode.DONE)


def _next_step(*, may_check_more: bool) -> str:
    """Return the next command, after that which checks what was not checked."""
    plan = "`batchsync plan` shows what a sync would send"
    return f"`batchsync validate --online` checks sources elsewhere; {plan}" if may_check_more else plan


def _retention(retention: Retention) -> str:
    """Return the retention periods in effect in one sentence."""
    listed = (
        f"{name} {text}{' (default)' if getattr(retention, name) == getattr(DEFAULT_RETENTION, name) else ''}"
        for name, text in retention.texts()
    )
    return f"retention: {', '.join(listed)}"
