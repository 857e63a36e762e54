"""A month of one controller: `batchsync serve` with many jobs, killed and started again, against a mock of Sitecore.

`python -m benchmarks.month --out FOLDER` prints one line of JSON. The clock of the mock runs faster than the real one
(`--rate`), and each job has new rows before each of its ticks, so that its batches overlap: with a processing time of
a day and four ticks a day, 50 jobs have 200 batches in flight. At the end the books are compared with the ledger.

Each day the source of another job is missing, so that alerts are sent, which a receiver on this machine counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import batchsync_mocks
from batchsync_mocks.ledger_check import assert_matches_ledger
from benchmarks.memory import UsageSampler

_START = datetime(2026, 3, 1, tzinfo=UTC)
_TICK = timedelta(hours=6)
_CONNECTION = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
    in_flight: 1000
    poll_every: 1h
jobs:
"""
_JOB = """\
  job-{number}:
    source: {{path: job-{number}.csv, key: id}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    record: {{guestType: customer, firstName: =name, identifiers: [{{provider: J{number}, id: =id}}]}}
    schedule: {{every: 6h}}
    budget: {{rejected: 100000}}
"""
_ALERTS = """\
alerts: {channels: {ops: {webhook: json, url: "${ALERTS_URL}"}}}
"""


class _Receiver:
    """Receiver of alerts on loopback, which counts their transitions and ids."""

    def __init__(self) -> None:
        """Start the receiver."""
        self.transitions, self.ids = Counter[str](), Counter[str]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.transitions[alert["transition"]] += 1
                receiver.ids[alert["id"]] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Write no line for each alert."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def figures(self) -> dict[str, Any]:
        """Return the number of alerts by transition, and of those that came again."""
        return {**self.transitions, "repeated": self.ids.total() - len(self.ids)}


class _Month:
    """The deployment of the month, its mock, and the controller that runs at the moment."""

    def __init__(self, folder: Path, jobs: int, rate: float) -> None:
        """Write the jobs and start the mock with its clock at `_START`."""
        self.folder, self.jobs, self.rate = folder, jobs, rate
        self.rows, self.usage = 0, list[dict[str, float]]()
        self.receiver = _Receiver()
        text = _ALERTS + _CONNECTION + "".join(_JOB.format(number=number) for number in range(jobs))
        (folder / "jobs.yaml").write_text(text, encoding="utf-8")
        switches = {"sitecore-cdp": {"processing": int(timedelta(days=1).total_seconds())}}
        self.clock = batchsync_mocks.Clock(_START.isoformat(), rate=rate)
        self.mocks = batchsync_mocks.serve(["sitecore-cdp"], switches=switches, clock=self.clock)

    def environ(self) -> dict[str, str]:
        """Return the environment of the controller, which waits as long as the clock of the mock needs."""
        ready = self.folder / "ready.json"
        ready.write_text(json.dumps(self.mocks.ready()), encoding="utf-8")
        return {**os.environ, "BATCHSYNC_MOCKS_AT": str(ready), "ALERTS_URL": self.receiver.url}

    def add_rows(self) -> None:
        """Give each job a new row, by a rename, as an export would; one job a day has no source."""
        self.rows += 1
        missing = self.rows * _TICK // timedelta(days=1) % self.jobs
        lines = "".join(f"{row},name {row}\n" for row in range(self.rows))
        for number in range(self.jobs):
            written = self.folder / f".job-{number}.csv"
            written.write_text(f"id,name\n{lines}", encoding="utf-8")
            written.replace(self.folder / f"job-{number}.csv")
            if number == missing and self.rows > 1:
                (self.folder / f"job-{number}.csv").unlink()

    def now(self) -> datetime:
        """Return the time of the mock."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def run_until(self, end: datetime, number: signal.Signals) -> int:
        """Run a controller until a time of the mock, and end it by a signal; return the most batches in flight."""
        command = [sys.executable, "-m", "batchsync", "serve"]
        most = 0
        with (self.folder / "serve.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environ(), stdout=log, stderr=log)
            with UsageSampler(process.pid) as usage:
                while (now := self.now()) < end and process.poll() is None:
                    if now >= _START + self.rows * _TICK - _TICK / 2:
                        self.add_rows()
                    most = max(most, self._open_batches())
                    time.sleep(0.25)
                process.send_signal(number)
                process.wait()
        self.usage.append(usage.peak_usage())
        return most

    def _open_batches(self) -> int:
        journal = self.folder / ".batchsync" / "mocks" / "journal.db"
        if not journal.exists():
            return 0
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
            query = "SELECT count(*) FROM batches WHERE phase NOT IN ('delivered')"
            return int(database.execute(query).fetchone()[0])


def main() -> None:
    """Run the month and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.month", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Folder of the deployment; emptied first")
    parser.add_argument("--jobs", type=int, default=50, help="Number of jobs (default: 50)")
    parser.add_argument("--days", type=int, default=30, help="Days of the mock's clock (default: 30)")
    parser.add_argument("--rate", type=float, default=1440.0, help="Virtual seconds in a second (default: 1440)")
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    month = _Month(given.out.absolute(), given.jobs, given.rate)
    with month.mocks:
        month.add_rows()
        ends = [_START + timedelta(days=given.days) * part / 4 for part in (1, 2, 3, 4)]
        stops = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)
        most = max([month.run_until(end, number) for end, number in zip(ends, stops, strict=True)])
        environ = month.environ() | {"BATCHSYNC_SKIP_POLL_WAIT": "1"}
        command = [sys.executable, "-m", "batchsync", "resume"]
        last = subprocess.run(command, cwd=month.folder, env=environ, capture_output=True, check=False)
        state = month.folder / ".batchsync" / "mocks"
        assert_matches_ledger(state, month.mocks.of("sitecore-cdp"))
        print(json.dumps(_figures(month, most, last.returncode, state)))


def _figures(month: _Month, most: int, code: int, state: Path) -> dict[str, Any]:
    """Return the figures of a month: runs, batches, memory in MiB, processor seconds, and the size of the state."""
    with closing(sqlite3.connect(f"file:{state / 'journal.db'}?mode=ro", uri=True)) as database:
        runs = database.execute("SELECT count(*) FROM runs").fetchone()[0]
        batches = database.execute("SELECT count(*) FROM batches").fetchone()[0]
    files = [file for file in state.rglob("*") if file.is_file()]
    return {
        "jobs": month.jobs,
        "runs": runs,
        "batches": batches,
        "rows": month.jobs * month.rows,
        "most_in_flight": most,
        "alerts": month.receiver.figures(),
        "exit_of_resume": code,
        "peak_mib": [used["peak"] for used in month.usage],
        "processor_seconds": [round(used["cpu"], 1) for used in month.usage],
        "state_mib": round(sum(file.stat().st_size for file in files) / (1 << 20), 1),
        "state_files": len(files),
    }


if __name__ == "__main__":
    main()
