"""`python -m kit.recovery`: time until the first vendor call of `batchsync resume` with a large state.

Makes 1,000 open batches of 1,000 rows in every phase, a baseline of 1,000,000 rows and 100,000 rejects, with the real
planning, staging and journal, and then starts the real command against served mocks. Asserts no time.
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
from batchsync.core.batch import Allocation, Batch, Phase, Verb, Verdict
from batchsync.core.events import Allocated, Collected, Delivered, IntentRecorded, Uploaded, VendorFinished
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.ports import BaselineEntry, Downloads, Reject
from batchsync.reconcile import collected
from batchsync.reconcile.describe import describe
from batchsync.reconcile.plan import prepare
from batchsync.settings import Settings
from batchsync_mocks.faults import Fault
from kit.deployment import CDP, JOBS, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.events import Event
    from batchsync.reconcile.services import JobContext, Services
    from batchsync_mocks.serving import Running

#: Phases of each ten batches at the death of the previous process.
_PHASES = (*[Phase.PREPARED] * 5, Phase.ALLOCATED, *[Phase.SUBMITTED] * 2, Phase.FINISHED, Phase.COLLECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of the state: open batches, rows in each, and rejects of earlier runs."""

    batches: int = 1000
    rows: int = 1000
    rejects: int = 100_000


def main() -> int:
    """Make the state, start the command several times, and print the time until its first call."""
    parser = argparse.ArgumentParser(prog="kit.recovery")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1000, help="in each batch")
    parser.add_argument("--rejects", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the state here, and reuse it if it exists")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchsync-recovery-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        with batchsync_mocks.serve(state_dir=folder / "vendors") as mocks:
            deployment = Deployment(folder, mocks)
            if not (folder / "guests.csv").exists():
                make_state(deployment, Size(batches=given.batches, rows=given.rows, rejects=given.rejects))
            for _ in range(given.times):
                wall, processor = first_call(deployment)
                sys.stdout.write(f"resume: first vendor call after {wall:.2f} s ({processor:.2f} s of CPU time)\n")
            for _ in range(given.times):
                wall, processor = time_command(deployment, "status")
                sys.stdout.write(f"status: {wall:.2f} s ({processor:.2f} s of CPU time)\n")
    return 0


def make_state(deployment: Deployment, size: Size) -> None:
    """Make the state that a process leaves when it dies with so many batches in flight."""
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
        services, context = app.services(), app.context(app.jobs(["guests"])[0])
        rules = replace(context.rules, file=replace(context.rules.file, rows_max=size.rows))
        context = replace(context, rules=rules)
        with services.lease("guests"):
            with prepare(context, services, describe(context, services)) as preparation:
                while preparation.preparing:
                    preparation.take()
            batches = services.store.batches(preparation.run.id)
            assert len(batches) == size.batches, len(batches)
            _advance_all(batches, context, services, size)


def _advance_all(batches: Sequence[Batch], context: JobContext, services: Services, size: Size) -> None:
    """Advance each batch to its phase; the delivery of the first adds the baseline and the rejects."""
    for number, batch in enumerate(batches):
        _advance(batch, Phase.COLLECTED if number == 0 else _PHASES[number % len(_PHASES)], context, services)
    first = next(item for item in services.store.batches(batches[0].run) if item.seq == 1)
    # The target holds an earlier version of every row.
    folder = services.paths.collected_of(first.job) / "earlier"
    folder.mkdir(parents=True)
    parts = []
    for item in batches:
        path = folder / f"{item.seq}.parquet"
        manifest = pl.read_parquet(item.file.row_manifest)
        manifest.select(
            "key",
            pl.lit(b"\0" * 16).alias("fingerprint"),
            pl.lit("add").alias("op"),
            pl.lit("accepted").alias("state"),
            pl.lit(value=False).alias("retry"),
            pl.lit("").alias("code"),
        ).write_parquet(path)
        parts.append(path)
    before = BaselineEntry(job=first.job, account_id=first.account_id)
    entry = services.data.apply_verdicts(before, parts)
    event = Delivered(at=services.clock.now())
    services.store.deliver(first, event, baseline=entry, rejects=_rejects(size.rejects))


def _advance(batch: Batch, phase: Phase, context: JobContext, services: Services) -> None:
    """Journal the events that lead to the phase."""
    at = services.clock.now()
    allocation = Allocation(id=f"allocation-{batch.seq}", url=None, expires_at=at + timedelta(hours=1))
    steps: list[tuple[Phase, list[Event]]] = [
        (Phase.ALLOCATED, [IntentRecorded(at=at, verb=Verb.ALLOCATE), Allocated(at=at, allocation=allocation)]),
        (Phase.SUBMITTED, [IntentRecorded(at=at, verb=Verb.UPLOAD), Uploaded(at=at)]),
        (Phase.FINISHED, [VendorFinished(at=at, verdict=Verdict.PROCESSED, vendor_status="success")]),
        (Phase.COLLECTED, [Collected(at=at, counts=OutcomeCounts.of(accepted=batch.file.rows))]),
    ]
    for reached, events in steps:
        if batch.phase is phase:
            return
        if reached is Phase.COLLECTED:
            folder = collected.new_results_dir(services.paths.collected(batch))
            collected.write(folder, services.data.join_outcomes(batch, context.rules, Downloads(), folder))
        for event in events:
            batch = services.store.record(batch, event)


def _rejects(count: int) -> Iterator[list[Reject]]:
    for begin in range(0, count, 10_000):
        yield [
            Reject(kind="rejected", key=f"G{n}", reason="refused by the vendor", code="400", line=n, row=n)
            for n in range(begin, min(count, begin + 10_000))
        ]


def first_call(deployment: Deployment) -> tuple[float, float]:
    """Start `batchsync resume` and kill it at its first vendor call; return wall and processor seconds until then."""
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
        assert process.poll() is None, "batchsync ended without a vendor call"
        time.sleep(0.002)
    took = time.perf_counter() - begun
    process.send_signal(signal.SIGKILL)
    process.wait()
    mocks.disarm()
    return took, _children() - before


def time_command(deployment: Deployment, *arguments: str) -> tuple[float, float]:
    """Run a command to its end and return its wall and processor seconds."""
    before, begun = _children(), time.perf_counter()
    deployment.run(*arguments)
    return time.perf_counter() - begun, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
