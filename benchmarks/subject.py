"""The work of lading that is measured, in a process of its own: compare and stage, or a comparison that finds nothing.

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

from benchmarks.memory import high_water
from lading.data import Columnar
from lading.ports import Baseline, CompareContext
from lading.spec import load
from lading.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from lading.core.batch import BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
JOBS = Path(__file__).parent / "jobs.yaml"


def the_job(source: Path) -> tuple[Job, VendorRules]:
    """Return the job over a source, and the vendor's rules."""
    deployment = load(JOBS, environ={"SOURCE": str(source)})
    return deployment.jobs[0], load_vendor("sitecore-cdp")


def prepare(source: Path, folder: Path) -> tuple[dict[str, Any], tuple[BatchFile, ...]]:
    """Compare and stage a first load; return the times and the files."""
    job, rules = the_job(source)
    path = Columnar()
    begin = time.perf_counter()
    context = CompareContext(folder=folder / "work", now=NOW, **({} if os.environ.get("NOAHEAD") else _ahead()))
    comparison = path.compare(job, rules, Baseline(), context)
    middle = time.perf_counter()
    files = path.stage(job, rules, comparison, folder / "files")
    end = time.perf_counter()
    return {
        "rows": comparison.tally.source_rows,
        "sent": comparison.tally.to_send,
        "invalid": comparison.tally.invalid,
        "compare": middle - begin,
        "stage": end - middle,
        "seconds": end - begin,
        "bytes": sum(one.size for one in files),
        "files": [one.digest[:16] for one in files],
    }, files


def _ahead() -> dict[str, Any]:
    """Return what tells a comparison that staging follows."""
    return {"ahead": True} if "ahead" in CompareContext.__dataclass_fields__ else {}


def text_digest(files: tuple[BatchFile, ...]) -> str:
    """Return the MD5 of the records as sent, unpacked."""
    digest = hashlib.md5(usedforsecurity=False)
    for one in files:
        with gzip.open(one.path) as stream:
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
