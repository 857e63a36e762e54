"""Measured work of batchsync in a process of its own: compare and stage, or a comparison without changes.

`python -m benchmarks.subject prepare SOURCE FOLDER` prints one line of JSON with its times. It does not judge them.
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

from batchsync.data import PolarsEngine
from batchsync.ports import Baseline, CompareContext
from batchsync.spec import load
from batchsync.spec.vendor_spec import load_vendor
from benchmarks.memory import high_water

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
JOBS = Path(__file__).parent / "jobs.yaml"


def the_job(source: Path) -> tuple[Job, VendorRules]:
    """Return the job over a source, and the vendor's rules."""
    deployment = load(JOBS, environ={"SOURCE": str(source)})
    return deployment.jobs[0], load_vendor("sitecore-cdp")


def prepare(source: Path, folder: Path) -> tuple[dict[str, Any], tuple[BatchFile, ...]]:
    """Compare and stage a first load; return the times and the files."""
    job, rules = the_job(source)
    path = PolarsEngine()
    begin = time.perf_counter()
    context = CompareContext(folder=folder / "work", now=NOW, **({} if os.environ.get("NOAHEAD") else _ahead()))
    comparison = path.compare(job, rules, Baseline(), context)
    middle = time.perf_counter()
    files = path.stage(job, rules, comparison, folder / "files")
    end = time.perf_counter()
    return {
        "rows": comparison.counts.source_rows,
        "sent": comparison.counts.to_send,
        "invalid": comparison.counts.invalid,
        "compare": middle - begin,
        "stage": end - middle,
        "seconds": end - begin,
        "bytes": sum(file.size for file in files),
        "files": [file.digest[:16] for file in files],
    }, files


def _ahead() -> dict[str, Any]:
    """Return what tells a comparison that staging follows."""
    return {"ahead": True} if "ahead" in CompareContext.__dataclass_fields__ else {}


def text_digest(files: tuple[BatchFile, ...]) -> str:
    """Return the MD5 of the records as sent, unpacked."""
    digest = hashlib.md5(usedforsecurity=False)
    for file in files:
        with gzip.open(file.path) as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def main() -> None:
    """Measure what the command line says."""
    what, source, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    found, files = prepare(source, folder)
    if what == "verify":
        found["text"] = text_digest(files)
    print(json.dumps(found | high_water()))


if __name__ == "__main__":
    main()
