"""Preparation of a first load by batchsync: compare the source and stage batch files.

`python -m benchmarks.subject prepare SOURCE FOLDER` prints one line of JSON; `verify` adds the MD5 of the records. The
environment variable NOAHEAD turns off eager encoding.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.row_outcome import RowOutcome
from batchsync.data import PolarsEngine
from batchsync.ports import BaselineEntry, CompareContext
from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor
from batchsync.storage.local_folder import LocalFolder
from benchmarks.memory import peak_usage

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
JOBS = Path(__file__).parent / "jobs.yaml"


def load_job(source: Path) -> tuple[Job, VendorRules]:
    """Return the job of jobs.yaml for a source, and the vendor's rules."""
    deployment = load(JOBS, environ={"SOURCE": str(source)})
    return deployment.jobs[0], load_vendor("sitecore-cdp")


def prepare(source: Path, folder: Path) -> tuple[dict[str, Any], tuple[BatchFile, ...]]:
    """Compare and stage a first load; return the result of the measurement and the batch files."""
    job, rules = load_job(source)
    engine = PolarsEngine(LocalFolder(folder))
    begin = time.perf_counter()
    context = CompareContext(folder=folder / "work", now=NOW, eager=not os.environ.get("NOAHEAD"))
    comparison = engine.compare(job, rules, BaselineEntry(job=job.name, account_id=""), context)
    middle = time.perf_counter()
    files = engine.stage(job, rules, comparison)
    end = time.perf_counter()
    return {
        "rows": comparison.plan.counts.source_rows,
        "sent": comparison.plan.counts.to_send,
        "invalid": comparison.plan.counts.outcomes[RowOutcome.INVALID],
        "compare": middle - begin,
        "stage": end - middle,
        "seconds": end - begin,
        "bytes": sum(file.size for file in files),
        "files": [file.digest[:16] for file in files],
    }, files


def text_digest(files: tuple[BatchFile, ...]) -> str:
    """Return the hex MD5 of the decompressed records of batch files."""
    digest = hashlib.md5(usedforsecurity=False)
    for file in files:
        with gzip.open(file.path) as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def main() -> None:
    """Measure the preparation of a source and print the result."""
    command, source, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    result, files = prepare(source, folder)
    if command == "verify":
        result["text"] = text_digest(files)
    print(json.dumps(result | peak_usage()))


if __name__ == "__main__":
    main()
