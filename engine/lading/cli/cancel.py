"""`lading cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import check_known
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
        app.jobs([batches[0].job])
        sentences, codes = [], []
        for batch in batches:
            said, code = _cancelled(app, batch)
            sentences.append(said)
            codes.append(code)
    report = Said(
        sentences=tuple(sentences),
        facts={"job": batches[0].job, "batches": [batch.id for batch in batches]},
        next_step=f"`lading resume {batches[0].job}` brings it to its end and balances the books",
    )
    return Answer(report=report, exit_code=gravest(codes))


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


def _cancelled(app: App, batch: Batch) -> tuple[str, ExitCode]:
    """Cancel one batch under its job's lease, and say how that went."""
    world = app.world()
    (job,) = app.jobs([batch.job])
    try:
        with world.lease(batch.job):
            after = cancel_batch(batch, app.context(job), world)
    except LadingError as error:
        return error.message, error.exit_code
    if after.phase is Phase.SUBMITTED:
        return f"batch {batch.id}: the vendor was asked to cancel it", ExitCode.DONE
    return f"batch {batch.id}: given up, nothing of it was sent", ExitCode.DONE
