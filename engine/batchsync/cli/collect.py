"""`batchsync collect`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.command import command
from batchsync.cli.completion import complete_batches
from batchsync.cli.declared import context_of, services_of
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.core.accounting import unresolved
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import ExitCode, UsageError
from batchsync.reconcile.accounts import undeclared_error
from batchsync.reconcile.collect_again import collect_again
from batchsync.report.message import Message
from batchsync.report.waiting import resolve_hint

if TYPE_CHECKING:
    from batchsync.core.batch import Batch


@command("collect", example="batchsync collect guests-1f0c2a9be77d")
@click.argument("batch", metavar="BATCH", shell_complete=complete_batches)
def collect(session: Session, batch: str) -> Answer:
    """Ask the vendor again about rows of unknown outcome.

    Fetches row log and results of a finished batch once more. What the vendor now reports is recorded, and answers of
    a lookup are delivered; rows whose outcome is known do not change. Nothing is sent.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the batch is unknown, or its job is no longer in jobs.yaml.
    """
    with running_app(session) as app:
        target = app.journal.batch(batch)
        if target is None:
            raise UsageError(
                f"unknown batch {batch}",
                hint="`batchsync status` lists batches that need attention",
                name="usage.unknown_batch",
            )
        context = context_of(app, target.job)
        if context is None:
            undeclared = undeclared_error(target, "its vendor cannot be asked")
            raise undeclared
        services = services_of(app, target.job)
        owner = app.journal.baseline_owner(target.id)
        with ExitStack() as leases:
            for name in dict.fromkeys((target.job, owner)):
                leases.enter_context(services.lease(name))
            after = collect_again(target, context, services)
        evaluate_alerts(session, app)
    still = unresolved(after)
    return Answer(
        report=Message(
            sentences=(_sentence(target, after),),
            facts={"job": after.job, "batch": after.id, "unknown": still},
            next_step=resolve_hint([after.id]) if still else f"`batchsync sync {owner}`",
        ),
        exit_code=ExitCode.NEEDS_ATTENTION if still else ExitCode.DONE,
    )


def _sentence(before: Batch, after: Batch) -> str:
    """Return what became of the rows that were unknown."""
    known = {
        outcome: after.counts[outcome] - before.counts[outcome]
        for outcome in (RowOutcome.ACCEPTED, RowOutcome.REJECTED)
        if before.counts is not None and after.counts is not None
    }
    became = ", ".join(f"{count:,} {outcome}" for outcome, count in known.items() if count) or "none became known"
    return f"batch {after.id}: of {unresolved(before):,} unknown records {became}; {unresolved(after):,} still unknown"
