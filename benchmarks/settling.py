"""Settlement alone: the outcomes of all batches of a first load are joined and applied to the baseline.

`python -m benchmarks.settling SOURCE FOLDER` prepares the batches without measuring, and prints one line of JSON. All
rows are accepted; there is no vendor and no journal. Batches are processed in sequence, as in a run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import Batch, BatchId, Phase, RunId, Verdict
from batchsync.data import PolarsEngine
from batchsync.ports import BaselineEntry, Downloads
from batchsync.storage.local_folder import LocalFolder
from benchmarks import subject
from benchmarks.memory import peak_usage

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile


def settle(source: Path, folder: Path) -> dict[str, Any]:
    """Measure joining outcomes and applying them for all rows of a first load.

    Args:
        source: File of guests.
        folder: Existing folder for the batch files and the baseline.

    Returns:
        The result of the measurement, with `parts` in seconds.

    Raises:
        SystemExit: If the baseline does not contain all rows.
    """
    _, files = subject.prepare(source, folder)
    _, rules = subject.load_job(source)
    engine, baseline = PolarsEngine(LocalFolder(folder)), BaselineEntry(job="guests", account_id="")
    joining = applying = 0.0
    before = time.process_time()
    for number, file in enumerate(files, start=1):
        begin = time.perf_counter()
        collected = folder / "collected" / str(number)
        collected.mkdir(parents=True)
        verdicts = engine.join_outcomes(_batch(number, file), rules, Downloads(), collected)
        middle = time.perf_counter()
        baseline = engine.apply_verdicts(baseline, [verdicts.path])
        joining, applying = joining + middle - begin, applying + time.perf_counter() - middle
    rows = sum(file.rows for file in files)
    known = sum(segment.rows for segment in baseline.segments)
    if known != rows:
        raise SystemExit(f"{rows} rows were accepted, but the baseline has {known}")
    result = {"rows": rows, "seconds": joining + applying, "batches": len(files)}
    parts = {"collect and settle": joining, "baseline": applying}
    return result | {"parts": parts, **peak_usage(), "cpu": time.process_time() - before}


def _batch(number: int, file: BatchFile) -> Batch:
    """Return a batch that the vendor has processed."""
    return Batch(
        id=BatchId(f"guests-{number}"),
        run=RunId("guests-1"),
        job="guests",
        seq=number,
        file=file,
        phase=Phase.FINISHED,
        prepared_at=subject.NOW,
        verdict=Verdict.PROCESSED,
    )


def main() -> None:
    """Measure the settlement of a source and print the result."""
    print(json.dumps(settle(Path(sys.argv[1]), Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
