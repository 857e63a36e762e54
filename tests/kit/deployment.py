"""A small deployment in a temporary folder, run by the real command line against mocks of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchsync.errors import ExitCode
from batchsync_mocks.faults import Fault
from kit.command_forks import command_forks
from kit.installed import has_installed
from kit.schemas import output_errors, text_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync_mocks.serving import Running

BDP, CDP = "motorweb-bdp", "sitecore-cdp"

JOBS = """\
version: 1
connections:
  motorweb:
    vendor: motorweb-bdp
    base_url: https://api.tst.motorweb.app
    credentials: {client_id: "${MOTORWEB_CLIENT_ID}", client_secret: "${MOTORWEB_CLIENT_SECRET}"}
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
jobs:
  vehicles:
    source: {path: vehicles.csv, key: id}
    target: {connection: motorweb, service: Vehicle ID WOVR Batch}
    mode: lookup
    record: {vin: =upper(trim(vin)), plate: =plate, state: =state}
    results: {path: out/vehicles.csv}
    budget: {invalid: 5, rejected: 5}
  guests:
    source: {path: guests.csv, key: id}
    target: {connection: sitecore, schema: guest}
    mode: upsert
    record:
      guestType: customer
      firstName: =initcap(name)
      email: =lower(email)
      identifiers: [{provider: CRM, id: =id}]
    on_removed: delete
    budget: {invalid: 5, rejected: 5}
"""


@dataclass(frozen=True)
class Deployment:
    """A folder with jobs.yaml and sources, and the mocks that its connections use."""

    folder: Path
    mocks: Running

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of batchsync with these arguments."""
        return [sys.executable, "-m", "batchsync", *arguments]

    def environ(self) -> dict[str, str]:
        """Return an environment in which every connection uses the mocks and waiting takes no time."""
        ready = self.folder / "ready.json"
        content = {
            "vendors": {
                name: {"base_url": url, "credentials": self.mocks.credentials(name)}
                for name, url in self.mocks.urls.items()
            },
            "clock_url": f"{self.mocks.url}/_mock/clock",
            "control_token": self.mocks.control_token,
        }
        ready.write_text(json.dumps(content), encoding="utf-8")
        mocks = {"BATCHSYNC_MOCKS": "1", "BATCHSYNC_MOCKS_AT": str(ready), "BATCHSYNC_SKIP_POLL_WAIT": "1"}
        return {**os.environ, **mocks, "NO_COLOR": "1"}

    def results(self, name: str) -> Path:
        """Return the path of results of runs against mocks, for a `results:` path relative to jobs.yaml."""
        return self.folder / ".batchsync" / "mocks" / "results" / name

    def run(self, *arguments: str, expect: int = 0, timeout: float = 60) -> str:
        """Run batchsync to its end, check its exit code, and return what it printed on stdout."""
        done = command_forks().run(arguments, cwd=self.folder, environ=self.environ(), timeout=timeout)
        (self.folder / "last.log").write_text(done.stdout + done.stderr, encoding="utf-8")
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        self._check_schema(done.returncode)
        # Every JSON output is described in batchsync.report.output_results.
        assert output_errors(done.stdout) == [], done.stdout
        return done.stdout

    def _check_schema(self, code: int) -> None:
        """Assert that an editor shows no mistake in a jobs.yaml that batchsync accepted."""
        file = self.folder / "jobs.yaml"
        if code != ExitCode.INVALID and file.is_file():
            text = file.read_text(encoding="utf-8-sig")
            assert text_errors(text, self._printed_schema()) == (), text

    def _printed_schema(self) -> str | None:
        """Return what `batchsync schema` prints if the test installed a package; None for the bundled schema."""
        if not has_installed(self.folder):
            return None
        done = command_forks().run(["schema"], cwd=self.folder, environ=self.environ(), timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run batchsync with JSON output and return the result part of its envelope."""
        return json.loads(self.run("-o", "json", *arguments, expect=expect))["result"]

    def shown(self) -> str:
        """Return what the last command of `run` printed."""
        return (self.folder / "last.log").read_text(encoding="utf-8")

    def edit(self, old: str, new: str, file: str = "jobs.yaml") -> None:
        """Replace a text in a file of the folder, which must contain it."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, old
        path.write_text(text.replace(old, new), encoding="utf-8")

    def last_names(self) -> list[str]:
        """Return the last names of the guests that the vendor stores, sorted."""
        return sorted(item["value"].get("lastName", "") for item in self.mocks.store(CDP))

    def kill_when(self, seen: Callable[[], bool], *arguments: str, within: float = 30) -> None:
        """Start batchsync and kill it with SIGKILL as soon as `seen` returns true, within so many seconds."""
        with (self.folder / "killed.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(*arguments), cwd=self.folder, env=self.environ(), stdout=log, stderr=log
            )
        deadline = time.monotonic() + within
        try:
            while not seen():
                assert process.poll() is None, (self.folder / "killed.log").read_text()
                assert time.monotonic() < deadline, "the awaited condition did not occur"
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()

    def kill_during(self, vendor: str, method: str, path: str, *arguments: str, hold: float = 0.6) -> None:
        """Start batchsync and kill it while the vendor processes the first request of this kind, for `hold` seconds."""
        fault = Fault(kind="delay", vendor=vendor, method=method, path=path, seconds=hold)
        self.mocks.disarm()
        self.mocks.arm(fault)
        self.kill_when(lambda: any(item["hits"] for item in self.mocks.faults()), *arguments)
        time.sleep(hold + 0.2)
        self.mocks.disarm()

    def delivered(self, vendor: str) -> Counter[str]:
        """Return how often the vendor received each row or record, from its ledger."""
        counts: Counter[str] = Counter()
        for entry in self.mocks.ledger(vendor, values=True):
            counts[_name(entry)] += 1
        return counts


def _name(entry: dict[str, Any]) -> str:
    """Return a name of a ledger entry that does not depend on its batch."""
    if "ref" in entry:
        return f"{entry['mode']} {entry['ref']} {json.dumps(entry.get('value'), sort_keys=True)}"
    return json.dumps(entry["columns"], sort_keys=True)


def write_sources(folder: Path, guests: int = 30, vehicles: int = 20) -> None:
    """Write guests.csv and vehicles.csv, with a vehicle that the vendor rejects and an invalid guest."""
    lines = (
        ["id,name,email"] + [f"G{n},guest {n},guest{n}@example.com" for n in range(1, guests)] + ["G0,bad,no-at-sign"]
    )
    (folder / "guests.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = ["id,vin,plate,state"] + [f"V{n},1HGCM82633A{n:06d},," for n in range(1, vehicles)] + ["V0,SHORT,,"]
    (folder / "vehicles.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
