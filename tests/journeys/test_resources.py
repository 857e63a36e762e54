"""Limits on threads and memory in jobs.yaml, which environment variables override."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = """\
version: 1
{resources}
connections:
  sitecore:
    vendor: sitecore-cdp
    base_url: https://api-engage-eu.sitecorecloud.io
    credentials: {{client_key: "${{KEY}}", api_token: "${{TOKEN}}"}}
jobs:
  guests:
    source: {{path: guests.csv, key: id}}
    target: {{connection: sitecore, schema: guest}}
    mode: upsert
    on_removed: {{mode: gdpr_delete, record: {{identifiers: [{{provider: CRM, id: =id}}]}}}}
    record: {{guestType: customer, identifiers: [{{provider: CRM, id: =id}}]}}
"""
SCRIPT = """
import json
from batchsync.app import App
from batchsync.settings import Settings
with App(Settings()) as app:
    engine = app.data
import polars
print(json.dumps([polars.thread_pool_size(), engine.threads]))
"""
VARIABLES = ("BATCHSYNC_THREADS", "BATCHSYNC_MEMORY", "POLARS_MAX_THREADS")


def thread_counts(folder: Path, resources: str, **variables: str) -> list[int | None]:
    """Return the number of polars threads and of task threads in a subprocess."""
    (folder / "jobs.yaml").write_text(JOBS.format(resources=resources), encoding="utf-8")
    (folder / "guests.csv").write_text("id\na\n", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    environ["PYTHONPATH"] = os.pathsep.join(str(Path(item).resolve()) for item in sys.path if item)
    completed = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environ, capture_output=True, check=True)
    counts: list[int | None] = json.loads(completed.stdout)
    return counts


@pytest.mark.parametrize(
    ("resources", "variables", "threads"),
    [
        ("threads: 3", {}, 3),
        ("memory: small", {}, 1),
        ("memory: small\nthreads: 2", {}, 2),
        ("threads: 3", {"BATCHSYNC_THREADS": "2"}, 2),
        ("memory: small", {"BATCHSYNC_MEMORY": "normal", "BATCHSYNC_THREADS": "5"}, 5),
        ("memory: normal", {"BATCHSYNC_MEMORY": "small"}, 1),
    ],
)
def test_environment_overrides_threads_and_memory_of_jobs_file(
    tmp_path: Path, resources: str, variables: dict[str, str], threads: int
) -> None:
    assert thread_counts(tmp_path, resources, **variables) == [threads, threads]


def test_normal_memory_without_threads_uses_all_cores(tmp_path: Path) -> None:
    assert thread_counts(tmp_path, "memory: normal") == [os.cpu_count(), None]
