"""`lading sync` and what it shares with `lading resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli import outcomes
from lading.cli.command import command, job_names
from lading.cli.durations import Duration
from lading.reconcile.loop import Patience
from lading.reconcile.sync import sync as sync_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from lading.cli.session import Answer, Session
    from lading.reconcile.context import JobContext, World
    from lading.reconcile.sync import JobOutcome

    Work = Callable[[Sequence[JobContext], World, Patience], Sequence[JobOutcome]]

no_wait = click.option("--no-wait", is_flag=True, help="Do what can be done now, and leave the rest to `resume`.")
timeout = click.option(
    "--timeout", type=Duration(), metavar="TIME", help="Wait no longer than this, as in 45s, 30m or 2h."
)


@command("sync", example="lading sync\nlading sync guests --timeout 30m\nlading sync --mocks")
@job_names
@no_wait
@timeout
def sync(session: Session, jobs: tuple[str, ...], *, no_wait: bool, timeout: timedelta | None) -> Answer:
    """Bring every target in line with its source.

    Brings what is open to its end, compares each source with what its target holds, sends the difference as batch
    files, follows each batch to its end, and accounts for every row. Typing it again after an interruption or a crash
    goes on where it stopped and sends nothing twice.

    Jobs follow what they depend on. A job is not tried while the newest run of one that it depends on is held by a
    guard, is not settled, or was never made, whether that one is named here or not.
    """
    return work(session, jobs, sync_jobs, wait=not no_wait, timeout=timeout)


def work(session: Session, names: tuple[str, ...], do: Work, *, wait: bool, timeout: timedelta | None) -> Answer:
    """Run jobs through the loop and return how they came out."""
    with session.running_app(jobs=list(names)) as app:
        # The spec is read first, so that a mistake in it starts no mocks and opens no journal.
        app.jobs(names)
        world = app.world()
        contexts = app.contexts(names)
        until = world.clock.now() + timeout if timeout is not None else None
        done = do(contexts, world, Patience(wait=wait, until=until))
        return outcomes.answer(done, contexts)
