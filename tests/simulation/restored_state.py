"""The state folder is lost after everything was settled; a person restores an older backup and accepts it.

The target of a Sitecore job may hold later versions of rows than the restored state knows. What that state then counts
as accepted must be what the target holds.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import StateError
from batchsync.journal import Journal, accept_older
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import sync
from simulation import oracle
from simulation.deployment import CDP, logical, vendor_of
from simulation.process_life import CrashPoint, anchors_of, process
from simulation.state_backup import RESTORE_SECONDS

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from simulation.oracle import VendorBatch
    from simulation.process_life import Process
    from simulation.seed_run import SeedRun

#: probability that the state is copied before a process, and that a seed ends with the restore of the last copy
_COPY_CHANCE, _CHANCE = 0.5, 0.4
#: syncs after the restore
_SYNCS = 2


def copy_state(state: Path, copy: Path, draw: random.Random) -> None:
    """Copy the state folder, or not. No process is running."""
    if draw.random() < _COPY_CHANCE and (state / "journal.db").exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(state, copy)


def play(run: SeedRun, copy: Path, draw: random.Random) -> Iterator[str]:
    """Restore the copy after edits of Sitecore's sources, accept it, and sync; yield every violation."""
    if draw.random() >= _CHANCE or not copy.exists():
        return
    for name in run.sources.names:
        if vendor_of(name) == CDP:
            run.sources.revert_some(name, draw)
    shutil.rmtree(run.state)
    copy.rename(run.state)
    run.time.advance(RESTORE_SECONDS)
    with Journal.open(run.state) as journal:
        done = {batch.id for batch in _batches(journal, run) if batch.phase is Phase.DELIVERED}
    refused = False
    try:
        with _process(run):
            pass
    except StateError:
        refused = True
    found = accept_older(run.state, anchors_of(run.state), reason="the simulation lost the newest", at=run.time.now())
    if refused != (found is not None) or (found is None and _lacks_batches(run)):
        yield "a restored state was not refused"
    run.log(f"an older state was restored: {'refused and accepted' if refused else 'nothing was lost'}")
    run.reached("an older state was accepted" if refused else "a state was restored that lacks nothing")
    for _ in range(_SYNCS):
        with _process(run) as engine:
            sync(engine.contexts, engine.services, WaitPolicy())
            yield from (f"audit after the restore: {item}" for item in engine.journal.audit())
    at_vendors = oracle.vendor_batches(run.vendors)
    for at_vendor in at_vendors.values():
        if at_vendor.uploads > 1:
            yield f"after the restore, batch {at_vendor.id} was uploaded {at_vendor.uploads} times"
    with Journal.open(run.state) as journal:
        batches = [batch for batch in _batches(journal, run) if batch.id not in done]
        if any(batch.counts and batch.counts[RowOutcome.UNKNOWN] for batch in batches):
            run.reached("rows are unknown because a state was restored")
    yield from _check_accepted(run, batches, at_vendors)


def _process(run: SeedRun) -> AbstractContextManager[Process]:
    return process(run.state, run.sources, run.time, CrashPoint(log=run.log), run.credentials(), run.rows_max)


def _batches(journal: Journal, run: SeedRun) -> list[Batch]:
    return oracle.all_batches(journal, run.sources.journal_names)


def _lacks_batches(run: SeedRun) -> bool:
    """Return whether a vendor has a batch of a job whose reference follows from no batch of the restored state."""
    with Journal.open(run.state) as journal:
        return any(oracle.check_idempotency_keys(run.vendors, _batches(journal, run)))


def _check_accepted(run: SeedRun, batches: list[Batch], at_vendors: dict[str, VendorBatch]) -> Iterator[str]:
    """Each row of a batch that was delivered since the restore and counts as accepted is held by Sitecore."""
    for name in run.sources.names:
        if vendor_of(name) != CDP:
            continue
        held = oracle.accepted_versions(at_vendors, run.sources, name)
        key_of = oracle.keys_of(run.sources, name)
        claimed = {}
        for batch in sorted(batches, key=lambda item: (item.prepared_at, item.seq)):
            counts_rows = batch.phase is Phase.DELIVERED and batch.counts and batch.counts[RowOutcome.ACCEPTED]
            if logical(batch.job) == name and counts_rows and batch.allocation is not None:
                rows = at_vendors[batch.allocation.id.lower()].rows
                claimed |= {key_of(version): version for version, outcome in rows if outcome == "accepted"}
        for key, version in claimed.items():
            present = None if version[0] == "delete" else version
            if held.get(key) != present:
                yield f"{name}: {key} counts as accepted since the restore, but the vendor holds another version"
