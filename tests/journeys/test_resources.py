"""What may be taken of the machine is what jobs.yaml says, unless the environment says otherwise."""

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
ASK = """
import json
from batchsync.app import App
from batchsync.settings import Settings
with App(Settings()) as app:
    path = app.data
import polars
print(json.dumps([polars.thread_pool_size(), path.threads]))
"""
VARIABLES = ("BATCHSYNC_THREADS", "BATCHSYNC_MEMORY", "POLARS_MAX_THREADS")


def asked(folder: Path, resources: str, **variables: str) -> list[int | None]:
    """Return the threads of the columnar library and those that do tasks, in a process of its own."""
    (folder / "jobs.yaml").write_text(JOBS.format(resources=resources), encoding="utf-8")
    (folder / "guests.csv").write_text("id\na\n", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    environ["PYTHONPATH"] = os.pathsep.join(str(Path(item).resolve()) for item in sys.path if item)
    said = subprocess.run([sys.executable, "-c", ASK], cwd=folder, env=environ, capture_output=True, check=True)
    found: list[int | None] = json.loads(said.stdout)
    return found


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
def test_threads_and_memory_are_taken_from_the_environment_before_jobs_yaml(
    tmp_path: Path, resources: str, variables: dict[str, str], threads: int
) -> None:
    assert asked(tmp_path, resources, **variables) == [threads, threads]


def test_without_a_word_all_cores_are_taken(tmp_path: Path) -> None:
    assert asked(tmp_path, "memory: normal") == [os.cpu_count(), None]
