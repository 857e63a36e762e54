"""`batchsync resolve`."""

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
from batchsync.core.batch import Phase
from batchsync.errors import UsageError
from batchsync.reconcile.resolve import resolve as resolve_batch
from batchsync.report.message import Message

if TYPE_CHECKING:
    from batchsync.app import App
    from batchsync.core.batch import Batch


@command(
    "resolve", example='batchsync resolve guests-1f0c2a9be77d --delivered --reason "the vendor has it, says support"'
)
@click.argument("batch", metavar="BATCH", shell_complete=complete_batches)
@click.option("--delivered/--resend", default=None, help="Whether the vendor has the rows, or they are sent again.")
@click.option("--reason", default="", metavar="TEXT", help="How you know; recorded in the journal.")
def resolve(session: Session, batch: str, *, delivered: bool | None, reason: str) -> Answer:
    """Manually resolve an unknown outcome.

    For a batch or rows whose outcome the vendor did not report. Ask the vendor, then record the outcome here; it is
    kept in the journal. `--resend` of rows that the vendor has sends them twice. Lookups can only be sent again,
    because their results are missing.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If neither --delivered nor --resend is given, or the batch cannot be resolved so.
    """
    if delivered is None:
        raise UsageError(
            "missing outcome: give --delivered (the vendor has the rows) or --resend",
            hint=f"ask the vendor, then `batchsync resolve {batch} --delivered` or "
            f"`batchsync resolve {batch} --resend`",
        )
    with running_app(session) as app:
        target = _find_batch(app, batch)
        services = services_of(app, target.job)
        with ExitStack() as leases:
            owner = app.journal.baseline_owner(target.id)
            for name in dict.fromkeys((target.job, owner)):
                leases.enter_context(services.lease(name))
            context = context_of(app, target.job)
            after = resolve_batch(target, context, services, delivered=delivered, reason=reason or "resolved manually")
        evaluate_alerts(session, app)
    outcome = "the vendor has its rows" if delivered else "its rows are sent again by the next sync"
    then = f"`batchsync sync {owner}`" if after.phase is Phase.DELIVERED else f"`batchsync resume {target.job}`"
    report = Message(
        sentences=(f"batch {after.id}: recorded that {outcome if context else 'the vendor has none of its rows'}",),
        facts={"job": after.job, "batch": after.id, "delivered": delivered},
        next_step=f"{then} completes the run" if context else "",
    )
    return Answer(report=report)


def _find_batch(app: App, name: str) -> Batch:
    """Return the batch with this ID."""
    batch = app.journal.batch(name)
    if batch is None:
        raise UsageError(
            f"unknown batch {name}",
            hint="`batchsync status` lists batches that need attention",
            name="usage.unknown_batch",
        )
    return batch
