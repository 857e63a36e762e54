"""The state folder is deleted after everything was settled; a person says what the Sitecore targets hold."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import RowOutcome
from batchsync.reconcile.assume import assume_delivered
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import sync
from simulation import oracle
from simulation.deployment import CDP, logical, vendor_of
from simulation.process_life import CrashPoint, anchors_of, process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.seed_run import SeedRun

#: probability that a seed ends so
_CHANCE = 0.3


def play(run: SeedRun) -> Iterator[str]:
    """Delete the state, assume the sources of Sitecore's jobs as delivered, and sync; yield every violation.

    Only rows that batchsync refuses are not assumed, and a sync sends none of the assumed rows.
    """
    if run.later.random() >= _CHANCE:
        return
    shutil.rmtree(run.state)
    # The new journal of a real process has another id, and with it another anchor.
    shutil.rmtree(anchors_of(run.state))
    before = {batch.id for batch in oracle.vendor_batches(run.vendors).values() if batch.uploads}
    with process(run.state, run.sources, run.time, CrashPoint(log=run.log), run.credentials(), run.rows_max) as engine:
        contexts = [context for context in engine.contexts if vendor_of(context.job.name) == CDP]
        for context in contexts:
            found = assume_delivered(context, engine.services, "the simulation knows").counts
            name = logical(context.job.name)
            valid = sum(not run.sources.invalid(name, key) for key in run.sources.rows[name])
            if found.outcomes[RowOutcome.ASSUMED] != valid:
                yield f"{name}: {found.outcomes[RowOutcome.ASSUMED]} of {valid} rows are assumed"
        outcomes = sync(contexts, engine.services, WaitPolicy())
        yield from (f"audit after the loss: {item}" for item in engine.journal.audit())
    for outcome in outcomes:
        if outcome.runs[-1].settlement.outcomes[RowOutcome.ACCEPTED]:
            yield f"{outcome.job}: assumed rows were sent"
    after = {batch.id for batch in oracle.vendor_batches(run.vendors).values() if batch.uploads}
    yield from (f"batch {name} was sent after the loss" for name in after - before)
