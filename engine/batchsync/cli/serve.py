"""`batchsync serve`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Unpack

import click

from batchsync.cli.alerting import Alerting
from batchsync.cli.command import command
from batchsync.cli.exits import print_failure, print_problems
from batchsync.cli.follow import FollowOptions, follow_options, followed
from batchsync.cli.monitoring import DEFAULT_ADDRESS, metrics_file, monitored_serve, stalled_after
from batchsync.cli.outcomes import job_report
from batchsync.cli.page import PageOptions, page_loop, page_options
from batchsync.cli.progress import running_app
from batchsync.cli.reload import JobsReloader
from batchsync.cli.selection import chosen_jobs, known_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.errors import ExitCode, UsageError, most_severe_exit_code
from batchsync.observers.ndjson import NdjsonObserver
from batchsync.ports import JobsReloaded, JobsReloadFailed, OriginChecked
from batchsync.reconcile.open_work import needs_attention
from batchsync.reconcile.serve import serve as serve_jobs
from batchsync.report.outcome import JobReport, OutcomeReport
from batchsync.report.text_format import escape_controls, moment
from batchsync.schedule import due_run, next_begins, next_wake, quiet_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from batchsync.app import App
    from batchsync.cli.follow import Revisions
    from batchsync.cli.page import PageLoop
    from batchsync.core.guards import Budget
    from batchsync.core.job import Job
    from batchsync.core.schedule import DueTick
    from batchsync.errors import BatchsyncError
    from batchsync.ports import EventSink, Observer
    from batchsync.reconcile.services import SelectedJob
    from batchsync.reconcile.sync import JobOutcome


class _Options(PageOptions, FollowOptions):
    """Values of the options of the page, of what is followed, and when work counts as stalled."""

    stalled_after: timedelta


#: Formats in which each outcome is a line of JSON.
_LINES = ("json", "ndjson")
#: Number of jobs that are named when serving begins.
_NAMED = 5


class CronTicks:
    """Ticks of cron lines and intervals. Implements `batchsync.reconcile.due_jobs.Ticks`."""

    def due(self, job: Job, last_done: datetime, now: datetime, served_since: datetime) -> DueTick | None:
        """Return the tick whose run begins now, or None."""
        schedule = job.effective_schedule
        return None if schedule is None else due_run(schedule, job.name, last_done, now, served_since)

    def upcoming(self, job: Job, now: datetime) -> datetime | None:
        """Return when a run may begin next, or None."""
        return None if job.effective_schedule is None else next_wake(job.effective_schedule, job.name, now)

    def quiet_until(self, job: Job, now: datetime) -> datetime | None:
        """Return when the present quiet hours end, or None."""
        return None if job.schedule is None else quiet_until(job.schedule, now)


@command("serve", example="batchsync serve\nbatchsync serve --once    # from cron: do what is due, then end")
@selectors
@click.option("--once", is_flag=True, help="Run due jobs, follow open batches to their end, and exit.")
@click.option(
    "--metrics",
    "metrics_at",
    is_flag=False,
    flag_value=DEFAULT_ADDRESS,
    metavar="[HOST:PORT]",
    help=f"Serve /metrics, /healthz and /readyz (default: {DEFAULT_ADDRESS}).",
)
@metrics_file
@stalled_after
@follow_options
@page_options
def serve(
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    once: bool,
    metrics_at: str | None,
    metrics_file: Path | None,
    **options: Unpack[_Options],
) -> Answer:
    """Run jobs on their schedules, in the foreground.

    Each tick runs once, even across restarts; after downtime only the last missed tick runs. The ticks of a job count
    from the first time that `serve` (with or without `--once`) sees it. A job that stops does not affect others, and
    is retried. SIGTERM and Ctrl-C stop safely. Each settlement is printed to stdout when its run ends.

    jobs.yaml and its secret files are reloaded when they change: before each run, and every five minutes while idle.
    An invalid file is reported and the previous jobs stay active; if a single job cannot be used as edited, only that
    job stays as it was. Batches in flight of a removed job are followed to their end. With --once the exit code is 8
    if a batch of these jobs needs attention, whether anything was due or not.

    With --git and --watch, each new commit, or change of the folder, is copied below the state folder and loaded from
    there. One that cannot be used is reported, and the last good one stays active, also after a restart. The state
    folder and results with relative paths stay outside of the copies (docs/gitops.md).

    With --metrics, everyone who can connect reads names of jobs and numbers; by default that is this machine only.
    With --metrics-file, which needs --once, a cron line leaves metrics for node_exporter. Under systemd (Type=notify)
    the service is ready when its jobs are loaded, and the watchdog gets signs of life while the loop turns.

    With the bundled mocks, time passes as it does at the vendors: a tick and the next poll are waited for. With --once,
    or BATCHSYNC_SKIP_POLL_WAIT=1, the clock of the mocks is advanced instead.

    --page serves a page that shows jobs, runs and rejects, and on which plans are approved (docs/page.md).

    Returns:
        The outcomes with --once; otherwise it does not return.

    Raises:
        UsageError: If no job has a schedule, --metrics-file comes without --once, or options of the page contradict
            each other.
    """
    if metrics_file is not None and not once:
        raise UsageError(
            "--metrics-file is written when the command ends, and `serve` without --once does not",
            hint="serve metrics with --metrics, or add --once",
        )
    if once and options["page"] is not None:
        raise UsageError("--once ends before a page could be read", hint="leave out one of the two", name="usage.page")
    done: list[JobReport] = []
    loop = _page_loop(session, options)
    # A document of JSON would never end: outcomes and reloads are lines of JSON.
    reloads = NdjsonObserver(session.print_ndjson, only={JobsReloaded, JobsReloadFailed, OriginChecked})
    revisions = followed(session, git=options["git"], watch=options["watch"], poll=options["poll"])
    opened: list[App] = []
    alerts = Alerting(session)
    also: list[Observer] = [
        alerts,
        *([reloads] if session.output == "json" else []),
        *([loop.live] if loop is not None else []),
    ]
    with (
        monitored_serve(
            session,
            opened,
            address=metrics_at,
            file=metrics_file,
            page=loop is not None,
            stalled_after=options["stalled_after"],
        ) as monitoring,
        running_app(
            session,
            using=revisions.app if revisions is not None else None,
            live=False,
            also=[*also, *monitoring.observers],
            jobs=list(jobs),
        ) as app,
        ExitStack() as served,
        alerts,
    ):
        opened.append(app)
        app.skips_waits = once
        if revisions is not None:
            revisions.load_first()
        names = chosen_jobs(session, app.deployment, jobs, exclude).names
        _require_schedule(app.jobs(names), selected=bool(jobs or exclude))
        choose = partial(known_jobs, session, words=jobs, exclude=exclude) if jobs or exclude else ()
        listener = _ReloadListener(session, app.events, revisions)
        reloader = JobsReloader(app, choose, listener, app.interrupts.wait, revisions)
        services = app.services(names)
        reloader()
        app.on_transfer = monitoring.health.transfer
        monitoring.ready(lambda: tuple(context.job for context in reloader.contexts))
        if not once:
            session.print_notice(_serving(reloader.contexts, revisions, services.clock.now()))
        alerts.begin(app, served=names if jobs or exclude else None, once=once)

        def on_outcome(outcome: JobOutcome) -> None:
            print_problems(outcome.error, session)
            report = job_report(outcome, _budget(reloader.contexts, outcome.job))
            if once:
                done.append(report)
            else:
                _print(report, session)

        if loop is not None:
            loop.health = monitoring.health
            served.enter_context(loop.serving(app, reloader, services, on_outcome, monitoring.documents))
        controls = revisions.controls(services.clock, loop) if revisions is not None else loop
        serve_jobs(reloader, services, CronTicks(), on_outcome=on_outcome, once=once, controls=controls)
        # If nothing ran, jobs were loaded once, and at least one has a schedule.
        report = OutcomeReport(jobs=tuple(done), idle="" if done else _idle(reloader.contexts, services.clock.now()))
        codes = [outcome.exit_code for outcome in done]
        if any(needs_attention(name, services) for context in reloader.contexts for name in context.job.all_names):
            codes.append(ExitCode.NEEDS_ATTENTION)
    return Answer(report=report, exit_code=most_severe_exit_code(codes))


def _page_loop(session: Session, options: _Options) -> PageLoop | None:
    """Return the page that the options ask for; None for none."""
    return page_loop(
        session,
        page=options["page"],
        page_token_file=options["page_token_file"],
        page_trust_header=options["page_trust_header"],
        page_allow_host=options["page_allow_host"],
    )


def _require_schedule(jobs: Sequence[Job], *, selected: bool) -> None:
    """Check that a job has a schedule and is not suspended.

    Raises:
        UsageError: If none is served.
    """
    if any(job.effective_schedule for job in jobs):
        return
    which = f"none of the {'selected ' if selected else ''}jobs"
    if any(job.schedule for job in jobs):
        raise UsageError(
            f"{which} with a schedule is served: they are suspended",
            hint="remove `suspend: true` from a job in the jobs file, or run `batchsync sync JOB`",
            name="usage.no_schedule",
        )
    raise UsageError(
        f"{which} has a schedule: nothing to serve",
        hint="add a `schedule:` to a job in the jobs file, or run `batchsync sync`",
        name="usage.no_schedule",
    )


class _ReloadListener:
    """Listener that emits reloads as events, and prints the problems of an invalid file."""

    def __init__(self, session: Session, events: EventSink, revisions: Revisions | None) -> None:
        """Create the listener for a session, and for what is followed, if anything is."""
        self._session = session
        self._revisions = revisions
        self._events = events
        self._file = str(session.settings().file)

    def reloaded(self, active: Sequence[SelectedJob], removed: Sequence[str], *, secrets: bool) -> None:
        """Emit the active jobs and the removed ones."""
        self._events.emit(
            JobsReloaded(
                file=self._file,
                secrets=secrets,
                jobs=tuple(context.job.name for context in active),
                removed=tuple(removed),
                scheduled=any(context.job.effective_schedule for context in active),
                revision=self._revision,
            )
        )

    def failed(self, error: BatchsyncError, *, secrets: bool, job: str = "") -> None:
        """Print and emit why the file, or the new version of one job, cannot be used."""
        failure = print_failure(error, self._session)
        self._events.emit(
            JobsReloadFailed(file=self._file, secrets=secrets, error=failure.data(), job=job, revision=self._revision)
        )

    @property
    def _revision(self) -> str:
        return self._revisions.revision if self._revisions is not None else ""


def _budget(contexts: Sequence[SelectedJob], job: str) -> Budget:
    """Return the budget of an active job."""
    return next(context.job.budget for context in contexts if job in context.job.all_names)


def _serving(contexts: Sequence[SelectedJob], revisions: Revisions | None, now: datetime) -> str:
    """Return the message with which serving begins: the jobs, their revision, and the next tick."""
    names = [escape_controls(context.job.name) for context in contexts if context.job.effective_schedule]
    if not names:
        return "serving no job, because none has a schedule any more"
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    of = f" of revision {escape_controls(revisions.revision[:12])}" if revisions is not None else ""
    return f"serving {shown}{of}; {_next_tick(contexts, now)}"


def _idle(contexts: Sequence[SelectedJob], now: datetime) -> str:
    """Return the message that nothing is due, with the next tick."""
    return f"nothing is due; {_next_tick(contexts, now)}"


def _next_tick(contexts: Sequence[SelectedJob], now: datetime) -> str:
    """Return the next tick of all jobs, as the end of a sentence."""
    ticks = [
        (tick, context.job.name)
        for context in contexts
        if (schedule := context.job.effective_schedule)
        for tick in next_begins(schedule, context.job.name, now, 1)
    ]
    if not ticks:
        return "there is no next tick"
    tick, job = min(ticks)
    return f"the next tick is {moment(tick)} ({escape_controls(job)})"


def _print(report: JobReport, session: Session) -> None:
    """Print the outcome of one job while others are running."""
    outcome = OutcomeReport(jobs=(report,))
    match session.output:
        case output if output in _LINES:
            for line in outcome.lines():
                session.print_ndjson(line)
        case "md":
            click.echo(session.options.with_global_options(outcome.markdown()))
        case _:
            text = session.options.with_global_options(outcome.text(session.style_for(err=False)))
            click.echo(text, color=session.use_color(err=False))
