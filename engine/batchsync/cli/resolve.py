"""`lading resolve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import context_of, world_of
from lading.cli.session import Answer, Session
from lading.core.batch import Phase
from lading.errors import UsageError
from lading.reconcile.resolve import resolve as resolve_batch
from lading.report.said import Said

if TYPE_CHECKING:
    from lading.app import App
    from lading.core.batch import Batch


@command("resolve", example='lading resolve guests-1f0c2a9be77d --delivered --reason "the vendor has it, says support"')
@click.argument("batch", metavar="BATCH")
@click.option("--delivered/--resend", default=None, help="The vendor has the rows, or they are to be sent again.")
@click.option("--reason", default="", metavar="TEXT", help="How you know; it is kept in the journal.")
def resolve(session: Session, batch: str, *, delivered: bool | None, reason: str) -> Answer:
    """End an unknown outcome on your word.

    Where the vendor did not say what became of a batch or of rows in it, lading does not guess. Ask the vendor, then
    say here which it is. Both answers are recorded. `--resend` of rows that the vendor does have sends them twice. The
    answers of a lookup come by no word: its rows can only be sent again.
    """
    if delivered is None:
        raise UsageError(
            "say what became of it: --delivered (the vendor has the rows) or --resend",
            hint=f"ask the vendor, then `lading resolve {batch} --delivered` or `lading resolve {batch} --resend`",
        )
    with session.running_app() as app:
        meant = _meant(app, batch)
        world = world_of(app, meant.job)
        with world.lease(meant.job):
            context = context_of(app, meant.job)
            after = resolve_batch(meant, context, world, delivered=delivered, reason=reason or "by hand")
    said = "the vendor has its rows" if delivered else "its rows are sent again by the next sync"
    then = f"`lading sync {meant.job}`" if after.phase is Phase.DELIVERED else f"`lading resume {meant.job}`"
    report = Said(
        sentences=(f"batch {after.id}: recorded that {said if context else 'the vendor has none of its rows'}",),
        facts={"job": after.job, "batch": after.id, "delivered": delivered},
        next_step=f"{then} brings the books up to date" if context else "",
    )
    return Answer(report=report)


def _meant(app: App, name: str) -> Batch:
    """Return the batch of that id."""
    batch = app.journal.batch(name)
    if batch is None:
        raise UsageError(f"there is no batch {name}", hint="`lading status` shows which batches wait for somebody")
    return batch
