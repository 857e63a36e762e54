"""`batchsync sync`, and functions shared with `batchsync resume`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from batchsync.cli import outcomes, permissions
from batchsync.cli.alerting import Alerting
from batchsync.cli.command import command
from batchsync.cli.durations import Duration
from batchsync.cli.exits import print_problems
from batchsync.cli.monitoring import metrics_file, metrics_written
from batchsync.cli.plan_files import opened_for_sync, sync_plan_file
from batchsync.cli.progress import running_app
from batchsync.cli.selection import chosen_jobs, selectors, unsuspended
from batchsync.errors import UnavailableError, UsageError
from batchsync.interrupts import TimeLimitReached
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import outcomes_so_far
from batchsync.reconcile.sync import sync as sync_jobs
from batchsync.report.text_format import escape_controls, pluralize
from batchsync.source import require_one_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from batchsync.app import App
    from batchsync.cli.session import Answer, Session
    from batchsync.core.job import Job
    from batchsync.ports import StateStore
    from batchsync.reconcile.services import SelectedJob, Services
    from batchsync.reconcile.sync import JobOutcome

    Work = Callable[[Sequence[SelectedJob], Services, WaitPolicy], Sequence[JobOutcome]]

no_wait = click.option("--no-wait", is_flag=True, help="Do not wait for vendors; `resume` completes the run.")
timeout = click.option("--timeout", type=Duration(), metavar="TIME", help="Maximum time, as in 45s, 30m or 2h.")


retry_rejected = click.option(
    "--retry-rejected", is_flag=True, help="Also send unchanged rows that the vendor rejected."
)


@command(
    "sync",
    example="batchsync sync\nbatchsync sync guests --timeout 30m\nbatchsync sync tag:nightly --exclude orders\n"
    "batchsync sync --plan guests.plan",
)
@selectors
@no_wait
@timeout
@retry_rejected
@permissions.allow
@permissions.reason
@click.option(
    "--plan", "plan_file", metavar="FILE", help="Deliver exactly the rows of a plan file, or refuse (exit 7)."
)
@metrics_file
def sync(  # noqa: PLR0913 - the options of the command
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    no_wait: bool,
    timeout: timedelta | None,
    retry_rejected: bool,
    allowed: tuple[str, ...],
    reason: str,
    plan_file: str | None,
    metrics_file: Path | None,
) -> Answer:
    """Bring every target in line with its source.

    Completes open batches, compares each source with its baseline, sends the changes as batch files, follows each
    batch to its end, and accounts for every row. Run it again after an interruption or a crash: it resumes where it
    stopped and sends nothing twice.

    Jobs run after their dependencies. A job is skipped while the newest run of a dependency awaits approval, is not
    settled, or does not exist, whether the dependency is named here or not. A job that cannot run (its source does not
    match, a credential is missing, another process runs it) stops only the jobs that depend on it.

    Jobs are selected by name, glob, tag:, connection:, vendor:, state: and result:; several words are a union, a comma
    is an intersection. +guests adds what guests depends on, guests+ what depends on it. A suspended job begins a run
    only if it is named itself.

    With --allow, runs of the named jobs may exceed a guard up to that limit, this time only.

    With --plan the source is not read: the rows of the plan file are delivered, of all its jobs or those named. If a
    job was edited, its keys moved, or the plan was applied already, nothing is sent (exit 7).

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If --plan comes with an option that changes which rows are sent.
    """
    give = permissions.permitting(permissions.permission_of(allowed, reason, jobs))
    if plan_file is not None:
        if retry_rejected:
            raise UsageError(
                "--retry-rejected has no effect on a plan file, whose rows are given",
                hint="`batchsync plan --retry-rejected --out FILE` plans these rows, too",
            )
        with opened_for_sync(session, Path(plan_file), jobs) as (opened, names):
            apply = partial(sync_plan_file, opened)
            limits = Limits(wait=not no_wait, timeout=timeout)
            return work(session, (names, exclude), _permitted(apply, give), limits, metrics_file)
    do = _with_rejected if retry_rejected else _sync
    limits = Limits(wait=not no_wait, timeout=timeout)
    answer = work(session, (jobs, exclude), _permitted(do, give), limits, metrics_file)
    left_behind(session)
    return answer


def _permitted(do: Work, give: Callable[[SelectedJob], SelectedJob]) -> Work:
    """Return the work on jobs that have a permission."""
    return lambda contexts, services, wait_policy: do([give(item) for item in contexts], services, wait_policy)


def _sync(contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy) -> Sequence[JobOutcome]:
    require_one_reader(context.job for context in contexts)
    return sync_jobs(contexts, services, wait_policy)


def _with_rejected(
    contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy
) -> Sequence[JobOutcome]:
    return _sync([replace(context, job=sending_rejected(context.job)) for context in contexts], services, wait_policy)


def sending_rejected(job: Job) -> Job:
    """Return the job with rejected rows sent again."""
    return replace(job, send=replace(job.send, rejected=True))


def left_behind(session: Session) -> tuple[str, ...]:
    """Warn of jobs with open batches that are no longer in jobs.yaml.

    Returns:
        The names of these jobs.
    """
    with session.journal() as journal:
        batches = journal.open_batches() if journal else ()
    names = session.deployment().names
    gone = Counter(batch.job for batch in batches if batch.job not in names)
    for job, count in gone.items():
        session.print_line(
            f"warning: {pluralize(count, 'batch', 'batches')} of job {escape_controls(job)} open, "
            "which is not in the jobs file: restore the job, or end its open batches with `batchsync cancel` or "
            "`batchsync resolve`; `batchsync status` lists them",
            role="warn",
        )
    return tuple(gone)


class Limits(NamedTuple):
    """Whether a command waits for vendors, and its longest time. A call that takes longer is interrupted."""

    wait: bool
    timeout: timedelta | None


def work(
    session: Session,
    words: tuple[Sequence[str], Sequence[str]],
    do: Work,
    limits: Limits,
    metrics_file: Path | None = None,
) -> Answer:
    """Run jobs.

    Args:
        session: The session of the command.
        words: Selectors of the jobs (empty selects all), and of the jobs to leave out.
        do: Runs the jobs.
        limits: How long to wait.
        metrics_file: Where metrics are written in the end, however it ends; None for nowhere.

    Returns:
        The outcomes to print, with the exit code.
    """
    wait, timeout = limits
    opened: list[App] = []
    alerts = Alerting(session)
    with (
        metrics_written(session, opened, metrics_file) as observers,
        running_app(session, also=[alerts, *observers], jobs=list(words[0])) as app,
        alerts,
    ):
        opened.append(app)
        contexts: tuple[SelectedJob, ...] = ()
        last_runs: dict[str, str] = {}
        try:
            with app.interrupts.time_limit(timeout):
                # Read the spec first, so that an error in it starts no mocks and opens no journal.
                selection = chosen_jobs(session, app.deployment, *words)
                names = selection.names
                jobs = app.jobs(names)
                services = app.services(names)
                alerts.begin(app)
                last_runs = {job.name: str(run.id) for job in jobs if (run := services.store.last_run(job.name))}
                contexts = unsuspended(app.contexts(names), selection)
                until = services.clock.now() + timeout if timeout is not None else None
                done = do(contexts, services, WaitPolicy(wait=wait, until=until))
        except TimeLimitReached:
            session.print_line("warning: the time limit is over; what is in flight stays so", role="warn")
            done = _so_far(app, session, contexts, last_runs)
        for outcome in done:
            print_problems(outcome.error, session)
        return outcomes.answer(done, contexts)


def _so_far(
    app: App, session: Session, contexts: Sequence[SelectedJob], last_runs: Mapping[str, str]
) -> Sequence[JobOutcome]:
    """Return how far the jobs got. The journal is opened again: the time limit may have interrupted a transaction.

    Raises:
        UnavailableError: If no job was reached.
    """
    with session.journal() as journal:
        if journal is None or not contexts:
            raise UnavailableError(
                "the time limit ended the command before it reached a job",
                hint="run the same command with a longer --timeout",
            )
        return outcomes_so_far(contexts, replace(app.services(), store=cast("StateStore", journal)), last_runs)
