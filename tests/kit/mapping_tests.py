"""A folder with a jobs.yaml whose jobs have tests, and `batchsync test` in it."""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.command_forks import command_forks

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

HEAD = """\
version: 1
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {client_key: "${SITECORE_CLIENT_KEY}", api_token: "${SITECORE_API_TOKEN}"}
  motorweb:
    vendor: motorweb-bdp
    base_url: https://api.tst.motorweb.app
    credentials: {client_id: "${MOTORWEB_CLIENT_ID}", client_secret: "${MOTORWEB_CLIENT_SECRET}"}
  shop: {database: sqlite, path: shop.db}
jobs:
"""
GUESTS = """\
guests:
  source: {path: guests.csv, key: id}
  target: {connection: sitecore, schema: guest}
  mode: upsert
  record:
    guestType: customer
    firstName: =initcap(name)
    email: =lower(email)
    identifiers: [{provider: CRM, id: =id}]
"""


@dataclass(frozen=True)
class TestFolder:
    """The folder."""

    __test__ = False

    path: Path

    @property
    def jobs(self) -> Path:
        """Path of jobs.yaml."""
        return self.path / "jobs.yaml"

    def write(self, *jobs: str, tail: str = "") -> None:
        """Write a jobs.yaml with these jobs, and with `tail` after them."""
        body = "".join(textwrap.indent(job, "  ") for job in jobs)
        self.jobs.write_text(HEAD + body + tail, encoding="utf-8")

    def guests(self, tests: str, job: str = GUESTS) -> None:
        """Write a jobs.yaml with the job `guests` and its tests, a YAML list."""
        self.write(job + "  tests:\n" + textwrap.indent(textwrap.dedent(tests), "    "))

    def run(self, *arguments: str, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run batchsync and check its exit code."""
        environ = {name: text for name, text in os.environ.items() if not name.startswith("BATCHSYNC_")}
        environ |= {"NO_COLOR": "1", **variables}
        done = command_forks().run(arguments, cwd=self.path, environ=environ, timeout=100)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def outcomes(self, *arguments: str, expect: int = 0) -> dict[str, list[dict[str, Any]]]:
        """Run the tests; return the differences of each test by its name."""
        done = self.run("-o", "json", "test", *arguments, expect=expect)
        return {item["name"]: item["differences"] for item in json.loads(done.stdout)["result"]["tests"]}

    def problems(self, *arguments: str) -> list[tuple[int, str, str]]:
        """Run the tests of a file with problems; return line, message and suggestion of each."""
        done = self.run("-o", "json", "test", *arguments, expect=2)
        found = json.loads(done.stdout)["error"]["problems"]
        return [(item["line"], item["message"], item["suggestion"]) for item in found]
