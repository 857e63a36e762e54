"""`batchsync cancel`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.command import command
from batchsync.cli.completion import complete_batches
from batchsync.cli.declared import check_known, context_of, services_of
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.core.batch import Batch, Phase
from batchsync.errors import BatchsyncError, ExitCode, UsageError, most_severe_exit_code
from batchsync.reconcile.cancel import cancel as cancel_batch
from batchsync.report.message import Message

if TYPE_CHECKING:
    from batchsync.app import App


@command("cancel", example="batchsync cancel guests-1f0c2a9be77d\nbatchsync cancel guests")
@click.argument("target", metavar="BATCH|JOB", shell_complete=complete_batches)
def cancel(session: Session, target: str) -> Answer:
    """Cancel open batches.

    Cancels one batch, or all open batches of a job. A batch whose file was never sent is cancelled locally; for a
    submitted batch the vendor is asked to cancel, if it can. Its rows are sent again by the next sync.

    Returns:
        The report to print, with the exit code.
    """
    with running_app(session) as app:
        batches = _select_batches(session, target)
        # Report errors in the jobs file before mocks are started.
        app.jobs(())
        cancellations = [_cancel(app, batch) for batch in batches]
        evaluate_alerts(session, app)
    job = batches[0].job
    report = Message(
        sentences=tuple(sentence for item in cancellations for sentence in item.sentences),
        facts={"job": job, "batches": [batch.id for batch in batches]},
        next_step=f"`batchsync resume {job}` completes the cancelled batches"
        if any(map(_continues, cancellations))
        else "",
    )
    return Answer(report=report, exit_code=most_severe_exit_code(item.code for item in cancellations))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cancellation:
    """Result of cancelling one batch; `after` is the batch afterwards, None if it could not be cancelled."""

    sentences: tuple[str, ...]
    code: ExitCode = ExitCode.DONE
    after: Batch | None = None


def _continues(cancellation: _Cancellation) -> bool:
    """Return whether the batch is still open after it was cancelled."""
    return cancellation.after is not None and cancellation.after.phase is not Phase.DELIVERED


def _select_batches(session: Session, target: str) -> tuple[Batch, ...]:
    """Return the open batch with this ID, or all open batches of this job."""
    with session.journal() as journal:
        open_batches = journal.open_batches() if journal else ()
        selected = tuple(batch for batch in open_batches if target in (batch.id, batch.job))
        if selected:
            return selected
        if journal is not None and (batch := journal.batch(target)) is not None:
            raise UsageError(
                f"nothing to cancel: batch {target} is {batch.phase.label}",
                hint="`batchsync status`",
                name="usage.too_late",
            )
        check_known(session, journal, target)
    raise UsageError(f"{target} has no open batches", hint="`batchsync status`", name="usage.unknown_batch")


def _cancel(app: App, batch: Batch) -> _Cancellation:
    """Cancel one batch under its job's lease."""
    services = services_of(app, batch.job)
    try:
        with services.lease(batch.job):
            after = cancel_batch(batch, context_of(app, batch.job), services)
    except BatchsyncError as error:
        return _Cancellation(
            sentences=(error.message, *([f"  {error.hint}"] if error.hint else [])), code=error.exit_code
        )
    submitted = after.phase is Phase.SUBMITTED
    result = "cancellation requested from the vendor" if submitted else "cancelled, nothing was sent"
    return _Cancellation(sentences=(f"batch {batch.id}: {result}",), after=after)
