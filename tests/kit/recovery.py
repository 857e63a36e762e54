"""`python -m kit.recovery`: how long `batchsync resume` takes to its first vendor call, with a great state behind it.

It makes 1,000 open batches of 1,000 rows in every phase, a baseline of 1,000,000 rows and 100,000 rejects, through the
real planning, staging and journal, and then starts the real command against served mocks. It judges no time.
"""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

import batchsync_mocks
from batchsync.app import App
from batchsync.core.batch import Allocation, Batch, Phase, RowCounts, Verb, Verdict
from batchsync.core.events import Allocated, Collected, Delivered, IntentRecorded, Uploaded, VendorFinished
from batchsync.ports import Baseline, Downloads, Reject
from batchsync.reconcile import collected
from batchsync.reconcile.deliver import baseline_entry
from batchsync.reconcile.plan import describe, prepare
from batchsync.settings import Settings
from batchsync_mocks.faults import Fault
from kit.deployment import CDP, JOBS, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.events import Event
    from batchsync.reconcile.services import JobContext, Services
    from batchsync_mocks.serving import Running

#: Of each ten batches, how many stand in which phase when the process before died.
_PHASES = (*[Phase.PREPARED] * 5, Phase.ALLOCATED, *[Phase.SUBMITTED] * 2, Phase.FINISHED, Phase.COLLECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How great the state is: open batches, rows in each, and rejects of the past."""

    batches: int = 1000
    rows: int = 1000
    rejects: int = 100_000


def main() -> int:
    """Make the state, start the command some times, and print how long its first call took."""
    parser = argparse.ArgumentParser(prog="kit.recovery")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000, help="in each batch")
    parser.add_argument("--rejects", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the state here, and go on from it when it is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchsync-recovery-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
            deployment = Deployment(folder, mocks)
            if not (folder / "guests.csv").exists():
                make(deployment, Size(batches=given.batches, rows=given.rows, rejects=given.rejects))
            for _ in range(given.times):
                wall, processor = first_call(deployment)
                sys.stdout.write(f"resume: first vendor call after {wall:.2f} s ({processor:.2f} s of processor)\n")
            for _ in range(given.times):
                wall, processor = whole(deployment, "status")
                sys.stdout.write(f"status: {wall:.2f} s ({processor:.2f} s of processor)\n")
    return 0


def make(deployment: Deployment, size: Size) -> None:
    """Leave behind what a process with so much under way leaves when it dies."""
    folder, rows = deployment.folder, size.batches * size.rows
    (folder / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    numbers = pl.select(n=pl.int_range(rows))
    name, mail = pl.format("guest {}", "n").alias("name"), pl.format("guest{}@example.com", "n").alias("email")
    numbers.select(pl.format("G{}", "n").alias("id"), name, mail).write_csv(folder / "guests.csv")
    (folder / "vehicles.csv").write_text("id,vin,plate,state\n", encoding="utf-8")
    environ = deployment.environ()
    settings = Settings(
        file=folder / "jobs.yaml", mocks=True, mocks_at=Path(environ["BATCHSYNC_MOCKS_AT"]), state=folder / ".batchsync"
    )
    with App(settings) as app:
        world, context = app.services(), app.context(app.jobs(["guests"])[0])
        rules = replace(context.rules, file=replace(context.rules.file, rows_max=size.rows))
        context = replace(context, rules=rules)
        with world.lease("guests"):
            with prepare(context, world, describe(context, world)) as preparation:
                while preparation.preparing:
                    preparation.take()
            batches = world.store.batches(preparation.run.id)
            assert len(batches) == size.batches, len(batches)
            _move_all(batches, context, world, size)


def _move_all(batches: Sequence[Batch], context: JobContext, world: Services, size: Size) -> None:
    """Bring each batch to its phase. The first is delivered, and brings the baseline and the rejects with it."""
    for number, batch in enumerate(batches):
        _moved(batch, Phase.COLLECTED if number == 0 else _PHASES[number % len(_PHASES)], context, world)
    first = next(item for item in world.store.batches(batches[0].run) if item.seq == 1)
    # A target that holds an earlier version of every row.
    folder = world.paths.collected_of(first.job) / "held"
    folder.mkdir(parents=True)
    parts = []
    for item in batches:
        path = folder / f"{item.seq}.parquet"
        evidence = pl.read_parquet(item.file.row_manifest)
        evidence.select(
            "key",
            pl.lit(b"\0" * 16).alias("fingerprint"),
            pl.lit("add").alias("op"),
            pl.lit("accepted").alias("state"),
            pl.lit(value=False).alias("retry"),
            pl.lit("").alias("code"),
        ).write_parquet(path)
        parts.append(path)
    baseline = world.data.apply_verdicts(Baseline(), parts, world.paths.baselines(first.job))
    entry = baseline_entry(first, baseline)
    event = Delivered(at=world.clock.now())
    world.store.deliver(first, event, baseline=entry, rejects=_rejects(size.rejects))


def _moved(batch: Batch, phase: Phase, context: JobContext, world: Services) -> None:
    """Tell the journal the events that lead to the phase."""
    at = world.clock.now()
    slot = Allocation(id=f"slot-{batch.seq}", url=None, expires_at=at + timedelta(hours=1))
    story: list[tuple[Phase, list[Event]]] = [
        (Phase.ALLOCATED, [IntentRecorded(at=at, verb=Verb.ALLOCATE), Allocated(at=at, allocation=slot)]),
        (Phase.SUBMITTED, [IntentRecorded(at=at, verb=Verb.UPLOAD), Uploaded(at=at)]),
        (Phase.FINISHED, [VendorFinished(at=at, verdict=Verdict.PROCESSED, vendor_status="success")]),
        (Phase.COLLECTED, [Collected(at=at, counts=RowCounts(accepted=batch.file.rows))]),
    ]
    for reached, events in story:
        if batch.phase is phase:
            return
        if reached is Phase.COLLECTED:
            folder = collected.new_results_dir(world.paths.collected(batch))
            collected.write(folder, world.data.join_outcomes(batch, context.rules, Downloads(), folder))
        for event in events:
            batch = world.store.record(batch, event)


def _rejects(count: int) -> Iterator[list[Reject]]:
    for begin in range(0, count, 10_000):
        yield [
            Reject(kind="rejected", key=f"G{n}", reason="the vendor says no", code="400", line=n, row=n)
            for n in range(begin, min(count, begin + 10_000))
        ]


def first_call(deployment: Deployment) -> tuple[float, float]:
    """Start `batchsync resume`, kill it at its first vendor call; return seconds until then, of the wall and of it."""
    mocks: Running = deployment.mocks
    mocks.disarm()
    mocks.arm(Fault(kind="delay", vendor=CDP, method="GET", path="", seconds=5.0))
    environ = deployment.environ()
    before = _children()
    begun = time.perf_counter()
    process = subprocess.Popen(
        deployment.command("resume", "guests"),
        cwd=deployment.folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not any(fault["hits"] for fault in mocks.faults()):
        assert process.poll() is None, "it ended without a vendor call"
        time.sleep(0.002)
    took = time.perf_counter() - begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    mocks.disarm()
    return took, _children() - before


def whole(deployment: Deployment, *arguments: str) -> tuple[float, float]:
    """Run a command to its end; return its seconds, of the wall and of the processor."""
    before, begun = _children(), time.perf_counter()
    deployment.run(*arguments)
    return time.perf_counter() - begun, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
