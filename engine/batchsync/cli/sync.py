"""`lading sync` and what it shares with `lading resume`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lading.cli import outcomes
from lading.cli.command import command, job_names
from lading.cli.durations import Duration
from lading.reconcile.loop import Patience
from lading.reconcile.sync import sync as sync_jobs
from lading.report.words import noun, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from lading.cli.session import Answer, Session
    from lading.core.job import Job
    from lading.reconcile.context import JobContext, World
    from lading.reconcile.sync import JobOutcome

    Work = Callable[[Sequence[JobContext], World, Patience], Sequence[JobOutcome]]

no_wait = click.option("--no-wait", is_flag=True, help="Do what can be done now, and leave the rest to `resume`.")
timeout = click.option(
    "--timeout", type=Duration(), metavar="TIME", help="Wait no longer than this, as in 45s, 30m or 2h."
)


retry_rejected = click.option(
    "--retry-rejected", is_flag=True, help="Also send rows that the vendor refused, though they have not changed."
)


@command("sync", example="lading sync\nlading sync guests --timeout 30m\nlading sync --mocks")
@job_names
@no_wait
@timeout
@retry_rejected
def sync(
    session: Session, jobs: tuple[str, ...], *, no_wait: bool, timeout: timedelta | None, retry_rejected: bool
) -> Answer:
    """Bring every target in line with its source.

    Brings what is open to its end, compares each source with what its target holds, sends the difference as batch
    files, follows each batch to its end, and accounts for every row. Typing it again after an interruption or a crash
    goes on where it stopped and sends nothing twice.

    Jobs follow what they depend on. A job is not tried while the newest run of one that it depends on is held by a
    guard, is not settled, or was never made, whether that one is named here or not.
    """
    do = _with_rejected if retry_rejected else sync_jobs
    answer = work(session, jobs, do, wait=not no_wait, timeout=timeout)
    left_behind(session)
    return answer


def _with_rejected(contexts: Sequence[JobContext], world: World, patience: Patience) -> Sequence[JobOutcome]:
    return sync_jobs([replace(one, job=sending_rejected(one.job)) for one in contexts], world, patience)


def sending_rejected(job: Job) -> Job:
    """Return the job as it is when somebody asks for what the vendor refused to be sent again."""
    return replace(job, send=replace(job.send, rejected=True))


def left_behind(session: Session) -> tuple[str, ...]:
    """Return the jobs that have open batches and are declared no more, and warn of each: nobody follows them."""
    with session.journal() as journal:
        batches = journal.open_batches() if journal else ()
    names = {job.name for job in session.deployment().jobs}
    gone = Counter(one.job for one in batches if one.job not in names)
    for job, count in gone.items():
        session.say(
            f"warning: {noun(count, 'batch', 'batches')} of job {visible(job)} open, which is not in the jobs file: "
            "put the job back, or end what is open with `lading cancel` or `lading resolve`; `lading status` shows it",
            role="warn",
        )
    return tuple(gone)


def work(session: Session, names: tuple[str, ...], do: Work, *, wait: bool, timeout: timedelta | None) -> Answer:
    """Run jobs through the loop and return how they came out."""
    with session.running_app(jobs=list(names)) as app:
        # The spec is read first, so that a mistake in it starts no mocks and opens no journal.
        app.jobs(names)
        world = app.world(names)
        contexts = app.contexts(names)
        until = world.clock.now() + timeout if timeout is not None else None
        done = do(contexts, world, Patience(wait=wait, until=until))
        return outcomes.answer(done, contexts)
