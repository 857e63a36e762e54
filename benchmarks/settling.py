"""Settling alone: every batch of a first load, accepted without a word, joined to its evidence and put in the baseline.

`python -m benchmarks.settling SOURCE FOLDER` prepares without measuring, and prints one line of JSON. Neither vendor
nor journal are there; batches follow each other as they do in a run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchsync.core.batch import Batch, BatchId, Phase, RunId, Verdict
from batchsync.data import PolarsEngine
from batchsync.ports import Baseline, Downloads
from benchmarks import subject
from benchmarks.memory import high_water

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile


def settle(source: Path, folder: Path) -> dict[str, Any]:
    """Return the seconds that settling and moving the baseline take, for all rows that a first load sends."""
    _, files = subject.prepare(source, folder)
    _, rules = subject.the_job(source)
    path, baseline = PolarsEngine(), Baseline()
    settling = moving = 0.0
    before = time.process_time()
    for number, file in enumerate(files, start=1):
        begin = time.perf_counter()
        collected = folder / "collected" / str(number)
        collected.mkdir(parents=True)
        verdicts = path.join_outcomes(_batch(number, file), rules, Downloads(), collected)
        middle = time.perf_counter()
        baseline = path.apply_verdicts(baseline, [verdicts.path], _baselines(folder))
        settling, moving = settling + middle - begin, moving + time.perf_counter() - middle
    rows = sum(item.rows for item in files)
    if baseline.rows != rows:
        raise SystemExit(f"{rows} rows were accepted, and the baseline has {baseline.rows}")
    spent = {"rows": rows, "seconds": settling + moving, "batches": len(files)}
    parts = {"collect and settle": settling, "baseline": moving}
    return spent | {"parts": parts, **high_water(), "cpu": time.process_time() - before}


def _batch(number: int, file: BatchFile) -> Batch:
    """Return a batch whose file the vendor has gone through."""
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


def _baselines(folder: Path) -> Path:
    found = folder / "baselines"
    found.mkdir(parents=True, exist_ok=True)
    return found


def main() -> None:
    """Measure what the command line says."""
    print(json.dumps(settle(Path(sys.argv[1]), Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
