"""What interferes with a process: edits, a damaged file, a cancelled batch, and a second process with the same jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.errors import ExitCode, UnavailableError, UsageError
from batchsync.journal import Journal
from batchsync.journal.lease import unlock
from batchsync.journal.lock_files import is_held
from batchsync.reconcile.cancel import cancel
from simulation.process_life import CrashPoint
from simulation.renames import rename_any

if TYPE_CHECKING:
    from simulation.process_life import Process
    from simulation.seed_run import SeedRun


def cancel_first(run: SeedRun, engine: Process) -> None:
    """Cancel the first open batch of a process."""
    for batch in engine.journal.open_batches():
        context = next((item for item in engine.contexts if item.job.name == batch.job), None)
        if context is None:
            continue
        try:
            with engine.services.lease(batch.job):
                cancel(batch, context, engine.services)
            run.reached("a batch was cancelled")
        except (UsageError, UnavailableError) as refused:
            run.log(f"not cancelled: {refused.message}")
        return


def run_second(run: SeedRun, crash_point: CrashPoint, *, unlocked: bool) -> None:
    """Run another process while the first is stopped, after its jobs were unlocked or without that."""
    run.reached("a lease holder was stopped" + (" and unlocked" if unlocked else ""))
    # It may not have acquired the leases of its other jobs yet; the other process may run those.
    held = {name for name in run.sources.journal_names if is_held(run.state, name)}
    if unlocked:
        with Journal.open(run.state) as journal:
            for name in run.sources.journal_names:
                unlock(journal, run.state, name, run.time.now())
    stopped, sleeps = run.crash_point, run.time.sleeps
    outcomes = run.run_process(
        CrashPoint(log=run.log), new_run=run.draw.random() < 0.5, wait=True, trusted=False, locked=not unlocked
    )
    run.crash_point, run.time.sleeps = stopped, sleeps
    if not unlocked and any(outcome.exit_code is not ExitCode.LOCKED for outcome in outcomes if outcome.job in held):
        run.violated("two processes ran the same job at the same time")
    crash_point.fenced = crash_point.lost_leases = unlocked


def damage_file(run: SeedRun) -> None:
    """Damage a batch file that was not uploaded yet, if there is one."""
    finalized = run.batches(lambda batch: batch.phase in (Phase.PREPARED, Phase.ALLOCATED))
    if finalized:
        run.damage.damage_any([Path(item.file.path) for item in finalized], run.draw)
        run.log("a batch file was damaged")
        run.reached("a batch file was damaged")


def edit_sources(run: SeedRun) -> None:
    """Edit sources and specs and let time pass between two process lives."""
    for _ in range(run.draw.choice([0, 0, 1, 2, 3])):
        run.log(run.sources.edit())
    if run.draw.random() < 0.12:
        run.log(run.sources.edit_spec())
        if run.any_open():
            run.reached("the spec was edited with batches in flight")
    if renamed := rename_any(run.sources, run.later):
        run.log(renamed)
        run.reached("a job was renamed with batches in flight" if run.any_open() else "a job was renamed")
    run.time.advance(run.draw.choice([0, 0, 0, 0.5, 20, 90, 400, 1500, 4000, 90_000, 260_000]))
