"""`lading cancel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import check_known, context_of, world_of
from lading.cli.session import Answer, Session
from lading.core.batch import Batch, Phase
from lading.errors import ExitCode, LadingError, UsageError
from lading.reconcile.cancel import cancel as cancel_batch
from lading.reconcile.sync import gravest
from lading.report.said import Said

if TYPE_CHECKING:
    from lading.app import App


@command("cancel", example="lading cancel guests-1f0c2a9be77d\nlading cancel guests")
@click.argument("what", metavar="BATCH|JOB")
def cancel(session: Session, what: str) -> Answer:
    """Give up a batch, or all open batches of a job.

    A batch whose file was never sent is given up here; one that the vendor has is cancelled there, if the vendor can
    still do it. Its rows stay in the books and are sent again by the next sync.
    """
    with session.running_app() as app:
        batches = _meant(session, what)
        # A mistake in the jobs file is told before mocks are started.
        app.jobs(())
        done = [_cancelled(app, batch) for batch in batches]
    job = batches[0].job
    report = Said(
        sentences=tuple(sentence for one in done for sentence in one.sentences),
        facts={"job": job, "batches": [batch.id for batch in batches]},
        next_step=f"`lading resume {job}` brings it to its end and balances the books"
        if any(map(_goes_on, done))
        else "",
    )
    return Answer(report=report, exit_code=gravest(one.code for one in done))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What came of cancelling one batch: `after` is the batch then, or None when it was not to be."""

    sentences: tuple[str, ...]
    code: ExitCode = ExitCode.DONE
    after: Batch | None = None


def _goes_on(done: _Done) -> bool:
    return done.after is not None and done.after.phase is not Phase.DELIVERED


def _meant(session: Session, what: str) -> tuple[Batch, ...]:
    """Return the open batch of that id, or all open batches of that job."""
    with session.journal() as journal:
        found = journal.open_batches() if journal else ()
        meant = tuple(one for one in found if what in (one.id, one.job))
        if meant:
            return meant
        if journal is not None and (batch := journal.batch(what)) is not None:
            raise UsageError(f"batch {what} is {batch.phase}: there is nothing to cancel", hint="`lading status`")
        check_known(session, journal, what)
    raise UsageError(f"nothing of {what} is open", hint="`lading status`")


def _cancelled(app: App, batch: Batch) -> _Done:
    """Cancel one batch under its job's lease, and say how that went."""
    world = world_of(app, batch.job)
    try:
        with world.lease(batch.job):
            after = cancel_batch(batch, context_of(app, batch.job), world)
    except LadingError as error:
        return _Done(sentences=(error.message, *([f"  {error.hint}"] if error.hint else [])), code=error.exit_code)
    asked = after.phase is Phase.SUBMITTED
    said = "the vendor was asked to cancel it" if asked else "given up, nothing of it was sent"
    return _Done(sentences=(f"batch {batch.id}: {said}",), after=after)
