"""`python -m benchmarks.page`: time of the pages of `serve --page` with many batches in the state.

A state of 46 jobs is written, then a real `serve --page` answers requests from another process, one after the other.
Each page is read while nothing changes, and with a transaction of the journal before each request, after which nothing
that was kept in memory counts; `cpu` is the processor time of the server for each of these requests. No time is
asserted: the machine may be busy.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Allocation, Batch, BatchFile, BatchId, Phase, RunId, Verdict
from batchsync.core.events import Allocated, Collected, Delivered, Uploaded, VendorFinished
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState
from batchsync.journal import Journal, codec
from benchmarks.prompt import _CONNECTIONS, _HEADER, _JOB

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Jobs of equal size, their runs, and batches of each run; and batches of the one run of the job `large`.
JOBS, RUNS, BATCHES, LARGE = 45, 100, 20, 10_000
ROWS, REJECTS = 1_000, 2
_NOW = datetime.now(tz=UTC).replace(microsecond=0)
_PAGES = (
    "/",
    "/jobs/job00",
    "/jobs/large",
    "/runs/job00-100",
    "/runs/large-1",
    "/runs/large-1?after=5000",
    "/batches/job00-100-7",
    "/rejects",
    "/rejects?job=job00",
    "/rejects?job=job00&run=all",
    "/rejects?job=large",
    "/rejects?job=large&key=K77",
    "/history",
    "/history?days=365",
    "/history?job=job00&days=90",
    "/why?key=K7&job=job00",
)


def main() -> None:
    """Write the state, serve it, and print the time of each page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--repeat", type=int, default=40, metavar="N", help="Requests of each page (default: 40)")
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"Jobs of equal size (default: {JOBS})")
    parser.add_argument("--large", type=int, default=LARGE, metavar="N", help=f"Batches of one run (default: {LARGE})")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchsync-page-") as name:
        folder = Path(name)
        began = time.perf_counter()
        write_state(folder, arguments.jobs, arguments.large)
        took = time.perf_counter() - began
        size = (folder / "state" / "journal.db").stat().st_size / 1e6
        batches = arguments.jobs * RUNS * BATCHES + arguments.large
        print(f"{batches:,} batches, journal of {size:,.0f} MB, written in {took:.0f} s; load {os.getloadavg()[0]:.1f}")
        measure(folder, arguments.repeat)


def write_state(folder: Path, jobs: int, large: int) -> None:
    """Write jobs.yaml and a state folder.

    Args:
        folder: Existing folder.
        jobs: Number of jobs of equal size.
        large: Number of batches of the run of the job `large`.
    """
    names = [*(f"job{number:02d}" for number in range(jobs)), "large"]
    (folder / "guests.csv").write_text(f"{_HEADER}K1,ann,ann@example.com\n", encoding="utf-8")
    text = "".join(_JOB.format(name=name, path="guests.csv") for name in names).replace("every: 15m", "every: 30d")
    (folder / "jobs.yaml").write_text(_CONNECTIONS + text, encoding="utf-8")
    Journal.open(folder / "state", journal_id="benchmark").close()
    # Rows are written without a transaction for each event.
    with closing(sqlite3.connect(folder / "state" / "journal.db", isolation_level=None)) as database:
        database.execute("BEGIN")
        chain = ""
        for name in names:
            for serial in range(1, (1 if name == "large" else RUNS) + 1):
                run, batches = _run(name, serial, large if name == "large" else BATCHES)
                _insert(database, "runs", codec.run_row(run))
                for batch in batches:
                    chain = _add_batch(database, run, batch, chain)
        database.execute("UPDATE meta SET serial = serial + 1")
        database.execute("COMMIT")


def _run(job: str, serial: int, files: int) -> tuple[Run, list[Batch]]:
    """Return a settled run with its delivered batches."""
    began = _NOW - timedelta(hours=7 * (RUNS - serial) + 2)
    records = files * ROWS
    run = Run(
        id=RunId(f"{job}-{serial}"),
        job=job,
        serial=serial,
        spec_hash="f" * 64,
        account_id="account",
        state=RunState.SETTLED,
        created_at=began,
        settled_at=began + timedelta(minutes=20),
        counts=PlanCounts(source_rows=records, selected=records, added=records),
        plan=f"{serial:064x}",
    )
    counts = OutcomeCounts({RowOutcome.ACCEPTED: ROWS - REJECTS, RowOutcome.REJECTED: REJECTS})
    made = [
        Batch(
            id=BatchId(f"{run.id}-{number}"),
            run=run.id,
            job=job,
            seq=number,
            file=BatchFile(
                path=f"staging/{run.id}-{number}.gz",
                row_manifest=f"staging/{run.id}-{number}.parquet",
                digest=f"{serial:032x}{number:032x}",
                md5="e" * 32,
                size=200_000,
                rows=ROWS,
            ),
            phase=Phase.DELIVERED,
            prepared_at=began,
            account_id="account",
            submitted_at=began + timedelta(minutes=1),
            polls=4,
            vendor_status="success",
            verdict=Verdict.PROCESSED,
            counts=counts,
        )
        for number in range(1, files + 1)
    ]
    return run, made


def _add_batch(database: sqlite3.Connection, run: Run, batch: Batch, chain: str) -> str:
    """Insert a batch with its events and rejects; return the chain value of its last event."""
    row = codec.batch_row(batch)
    _insert(database, "batches", row)
    at = run.created_at
    found = [("Prepared", at, codec.canonical(codec.batch_row(replace(batch, phase=Phase.PREPARED, counts=None))))]
    events = (
        Allocated(at=at + timedelta(seconds=2), allocation=Allocation(id=f"a-{batch.id}")),
        Uploaded(at=at + timedelta(minutes=1)),
        VendorFinished(at=at + timedelta(minutes=9), verdict=Verdict.PROCESSED, vendor_status="success"),
        Collected(at=at + timedelta(minutes=10), counts=batch.counts or OutcomeCounts()),
        Delivered(at=at + timedelta(minutes=11)),
    )
    found += [(type(event).__name__, event.at, codec.event_payload(event)) for event in events]
    for kind, when, payload in found:
        event_row = {"batch": batch.id, "at": codec.to_iso(when), "kind": kind, "payload": payload, "epoch": 1}
        chain = codec.chain_hash(chain, event_row)
        _insert(database, "events", event_row | {"chain": chain})
    for number in range(REJECTS):
        reject = {"run": run.id, "batch": batch.id, "job": run.job, "kind": "rejected", "key": f"K{batch.seq}{number}"}
        reject |= {
            "code": f"E{number}",
            "field": "email",
            "reason": "refused",
            "line": number,
            "row": number,
            "retry": 0,
        }
        _insert(database, "rejects", reject | {"at": codec.to_iso(at)})
    return chain


def _insert(database: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    statement = "INSERT INTO {table} ({names}) VALUES ({marks})"
    database.execute(statement.format(table=table, names=names, marks=marks), list(row.values()))


def measure(folder: Path, repeat: int) -> None:
    """Serve the state, and print the time of each page, in milliseconds."""
    environ = os.environ | {
        "BATCHSYNC_STATE": str(folder / "state"),
        "BATCHSYNC_ANCHORS": "off",
        "SITECORE_CLIENT_KEY": "key",
        "SITECORE_API_TOKEN": "unused",
    }
    command = [sys.executable, "-m", "batchsync", "serve", "--page=127.0.0.1:0"]
    with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = next(_urls(process))
            print(
                f"{'page':<32}{'p50':>8}{'p95':>8}{'p50 *':>8}{'p95 *':>8}{'cpu *':>8}{'kB':>8}   * after a transaction"
            )
            with requests.Session() as session, Journal.open(folder / "state") as journal:
                for page in _PAGES:
                    quiet = [_milliseconds(session, url + page) for _ in range(repeat + 1)][1:]
                    busy, spent = [], _processor_time(process.pid)
                    for number in range(repeat):
                        journal.claim_tick("benchmark", _NOW + timedelta(seconds=len(page) * 10_000 + number))
                        busy.append(_milliseconds(session, url + page))
                    spent = (_processor_time(process.pid) - spent) / repeat
                    kilobytes = len(session.get(url + page, timeout=60).content) / 1000
                    figures = "".join(f"{value:>8.1f}" for times in (quiet, busy) for value in _p50_p95(times))
                    print(f"{page:<32}{figures}{spent:>8.1f}{kilobytes:>8.0f}")
        finally:
            process.send_signal(signal.SIGTERM)


def _urls(process: subprocess.Popen[str]) -> Iterator[str]:
    for line in process.stderr or ():
        if found := re.match(r"page: (\S+)/", line):
            yield found[1]


def _milliseconds(session: requests.Session, url: str) -> float:
    began = time.perf_counter()
    session.get(url, timeout=60)
    return (time.perf_counter() - began) * 1000


def _processor_time(pid: int) -> float:
    """Return the processor time of a process in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _p50_p95(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), sorted(times)[max(0, round(len(times) * 0.95) - 1)]


if __name__ == "__main__":
    main()
