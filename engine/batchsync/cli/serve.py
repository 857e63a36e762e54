"""`lading serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command, job_names
from lading.cli.ending import tell_failure
from lading.cli.jobs_now import JobsNow
from lading.cli.outcomes import job_report
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.reconcile.serve import serve as serve_jobs
from lading.reconcile.sync import JobOutcome, gravest
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.words import moment, visible
from lading.schedule import due_slot, next_slots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lading.core.guards import Budget
    from lading.core.job import Schedule
    from lading.errors import LadingError
    from lading.reconcile.context import JobContext

#: In these forms each thing that happens is a line of JSON: a document is for the end, and there is none.
_LINES = ("json", "ndjson")


class CronSlots:
    """The slots of cron lines and intervals."""

    def due(self, schedule: Schedule, last_done: datetime, now: datetime) -> datetime | None:
        """Return the latest slot after `last_done` that is not after `now`, or None."""
        return due_slot(schedule, last_done, now)

    def upcoming(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment, or None if there is none."""
        return next(iter(next_slots(schedule, after, 1)), None)


@command("serve", example="lading serve\nlading serve --once    # from cron: do what is due, then end")
@job_names
@click.option("--once", is_flag=True, help="Do what is due now, follow what is open as far as it goes, and end.")
def serve(session: Session, jobs: tuple[str, ...], *, once: bool) -> Answer:
    """Run jobs on their schedules, in the foreground.

    Each slot is run once, whatever happens to this process; a slot missed while nobody served is run late, and of
    several missed ones only the last. The slots of a job count from the first time that `serve` (with or without
    `--once`) sees it. A job that has to stop stops no other, and is tried again. SIGTERM and Ctrl-C end it safely.
    Each run's settlement goes to stdout as it comes.

    jobs.yaml and the secret files that it names are read again when they change: before each run, and every five
    minutes while nothing runs. What cannot be used is told, and the jobs of before go on. A job that is taken out is
    followed to the end of what it has in flight.
    """
    done: list[JobReport] = []
    with session.running_app(live=False, jobs=list(jobs)) as app:
        jobs_now = JobsNow(app, jobs, _Told(session), app.interrupts.wait)
        if not any(one.schedule for one in app.jobs(jobs)):
            raise UsageError(
                f"no job{' of these' if jobs else ''} has a schedule: there would be nothing to serve, ever",
                hint="give one a `schedule:` in the jobs file, or run `lading sync`",
            )
        world = app.world(jobs)

        def told(outcome: JobOutcome) -> None:
            report = job_report(outcome, _budget(jobs_now.contexts, outcome.job))
            if once:
                done.append(report)
            else:
                _print(report, session)

        serve_jobs(jobs_now, world, CronSlots(), told=told, once=once)
        # Where nothing was done jobs were asked for once, and one of them has the schedule that was looked for above.
        report = OutcomeReport(jobs=tuple(done), idle="" if done else _idle(jobs_now.contexts, world.clock.now()))
    return Answer(report=report, exit_code=gravest(one.exit_code for one in done))


class _Told:
    """Tells a person, or a program that reads lines, what became of a change."""

    def __init__(self, session: Session) -> None:
        """Keep whom to tell."""
        self._session = session

    def taken(self, now: Sequence[JobContext], gone: Sequence[str], *, secrets: bool) -> None:
        """Tell that these jobs count from now on, and that these others are declared no more."""
        jobs = [one.job.name for one in now]
        said = f"{self._what(secrets=secrets)}; served from here on: {_listed(jobs)}"
        if gone:
            said += f"; served no more: {_listed(gone)}"
        idle = not any(one.job.schedule for one in now)
        if idle:
            said += "; none of them has a schedule, so nothing will be run"
        # Who wants no progress still wants to know that a job is served no more.
        tell = self._session.say if gone or idle else self._session.tell
        tell(said)
        self._stream({"event": "jobs_taken", "jobs": jobs, "gone": list(gone)})

    def refused(self, error: LadingError, *, secrets: bool) -> None:
        """Tell why it cannot be used."""
        failure = tell_failure(error, self._session)
        self._session.say(f"{self._what(secrets=secrets)} and cannot be used; the jobs of before go on")
        self._stream({"event": "jobs_refused", "error": failure.data()})

    def _what(self, *, secrets: bool) -> str:
        file = self._session.settings().file
        return f"a secret file that {file} names has changed" if secrets else f"{file} has changed"

    def _stream(self, line: Mapping[str, object]) -> None:
        if self._session.output in _LINES:
            self._session.stream(line)


def _listed(jobs: Sequence[str]) -> str:
    return ", ".join(visible(one) for one in jobs) or "none"


def _budget(contexts: Sequence[JobContext], job: str) -> Budget:
    """Return the budget of a job that is served."""
    return next(one.job.budget for one in contexts if one.job.name == job)


def _idle(contexts: Sequence[JobContext], now: datetime) -> str:
    """Say that nothing was done, and when something will be."""
    slots = [
        (slot, one.job.name) for one in contexts if one.job.schedule for slot in next_slots(one.job.schedule, now, 1)
    ]
    slot, job = min(slots)
    return f"nothing is due; the next slot is that of {visible(job)}, {moment(slot)}"


def _print(report: JobReport, session: Session) -> None:
    """Print how one run came out while the others go on."""
    one = OutcomeReport(jobs=(report,))
    match session.output:
        case output if output in _LINES:
            for line in one.lines():
                session.stream(line)
        case "md":
            click.echo(session.options.addressed(one.markdown()))
        case _:
            text = session.options.addressed(one.text(session.paint_on(err=False)))
            click.echo(text, color=session.coloured(err=False))
