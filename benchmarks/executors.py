"""`python -m benchmarks.executors`: preparation by threads, processes and Dask, and what crosses to the workers.

Each row of the table is a load of the same generated files, compared and staged by an executor: seconds, processor
seconds of this process and of the workers, kilobytes of the pickled tasks and results for a million rows, and a digest
over all batch files, which is the same in each row. The first load is followed by one in which every hundredth row of
the accepted baseline has changed (`delta`).
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import resource
import shutil
import tempfile
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.executor_choice import DASK, PROCESSES, THREADS, ExecutorChoice
from batchsync.core.naming import row_manifest_key
from batchsync.data import PolarsEngine
from batchsync.executors.opening import ExecutionSettings, make_executor
from batchsync.ports import BaselineEntry, CompareContext
from batchsync.storage.local_folder import LocalFolder
from benchmarks.generate import CHUNK, guests
from benchmarks.subject import NOW, load_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsync.core.batch import BatchFile


class Counting(Executor):
    """Executor that counts the tasks of another one, and the bytes of their pickles and of their results."""

    def __init__(self, inner: Executor) -> None:
        """Count from now on."""
        self.inner, self.tasks, self.sent, self.received = inner, 0, 0, 0
        concurrency = getattr(inner, "concurrency", None)
        if concurrency is not None:
            self.concurrency = concurrency

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call, and count it."""
        self.tasks += 1
        self.sent += len(pickle.dumps((fn, args)))
        future = self.inner.submit(fn, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.received += len(pickle.dumps(future.result()))


@dataclass
class Load:
    """Measurement of one load."""

    seconds: float
    driver: float
    workers: float
    tasks: int
    kilobytes: float
    files: tuple[BatchFile, ...]

    def line(self, name: str, rows: int) -> str:
        """Return the row of the table for a load of so many rows."""
        millions = rows / 1e6
        digest = hashlib.sha256("".join(file.digest for file in self.files).encode()).hexdigest()[:12]
        return (
            f"{name:<22}{self.seconds:8.1f}{self.driver / millions:12.3f}{self.workers / millions:12.2f}{self.tasks:7}"
            f"{self.kilobytes / millions:12.1f}{len(self.files):7}  {digest}"
        )


def write_files(folder: Path, rows: int, parts: int) -> Path:
    """Return the glob of generated Parquet files, generating them unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, begin in enumerate(range(0, rows, -(-rows // parts))):
        path = folder / f"guests-{number:03}.parquet"
        if not path.exists():
            count = min(-(-rows // parts), rows - begin)
            chunks = [
                guests(first, min(CHUNK, begin + count - first), 7) for first in range(begin, begin + count, CHUNK)
            ]
            pl.concat(chunks).write_parquet(path, row_group_size=125_000)
    return folder / "guests-*.parquet"


def change_files(source: Path, into: Path) -> Path:
    """Return the glob of copies of the files in which every hundredth row has another note."""
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.parent.glob(source.name)):
        changed = pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.lit("changed")).otherwise("note")
        pl.scan_parquet(path).with_columns(changed.alias("note")).sink_parquet(into / path.name, row_group_size=125_000)
    return into / source.name


def processor_seconds() -> tuple[float, float]:
    """Return the processor seconds of this process, and of its ended children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, ended = (usage.ru_utime + usage.ru_stime for usage in usages)
    return own, ended


def load(source: Path, folder: Path, choice: ExecutorChoice, baseline: BaselineEntry | None = None) -> Load:
    """Compare and stage the files of a glob by an executor."""
    job, rules = load_job(source)
    before = processor_seconds()
    begin = time.perf_counter()
    inner = make_executor(choice, ExecutionSettings(state_folder=folder.absolute()))
    counting = None if inner is None else Counting(inner)
    try:
        engine = PolarsEngine(LocalFolder(folder), executor=counting, shared=LocalFolder)
        context = CompareContext(folder=folder / "work", now=NOW, eager=True)
        comparison = engine.compare(job, rules, baseline or BaselineEntry(job=job.name, account_id=""), context)
        files = engine.stage(job, rules, comparison)
        seconds = time.perf_counter() - begin
    finally:
        if inner is not None:
            inner.shutdown()
    own, ended = (after - first for after, first in zip(processor_seconds(), before, strict=True))
    shutil.rmtree(folder / "work", ignore_errors=True)
    crossed = 0.0 if counting is None else (counting.sent + counting.received) / 1000
    return Load(seconds, own, ended, 0 if counting is None else counting.tasks, crossed, files)


def accepted(files: tuple[BatchFile, ...], folder: Path, job: str) -> BaselineEntry:
    """Return the baseline after every record of some files was accepted."""
    engine = PolarsEngine(LocalFolder(folder))
    baseline = BaselineEntry(job=job, account_id="")
    for file in files:
        path = folder / "verdicts.parquet"
        ended = (pl.lit("accepted").alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code"))
        manifest = folder / row_manifest_key(job, file)
        pl.scan_parquet(manifest, glob=False).with_columns(*ended).sink_parquet(path)
        baseline = engine.apply_verdicts(baseline, [path])
    return baseline


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=1, help="number of files")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "batchsync-executors")
    parser.add_argument("--executors", nargs="*", default=["threads", "processes:2", "dask:2"], metavar="KIND[:N]")
    parser.add_argument("--no-delta", action="store_true")
    given = parser.parse_args()
    source = write_files(given.data / f"{given.rows}-{given.parts}", given.rows, given.parts)
    kinds = {"threads": THREADS, "processes": PROCESSES, "dask": DASK}
    print(f"{'':<22}{'seconds':>8}{'driver s/M':>12}{'workers s/M':>12}{'tasks':>7}{'kB/M':>12}{'files':>7}  digest")
    with tempfile.TemporaryDirectory(dir=given.data) as temporary:
        folder = Path(temporary)
        first: Load | None = None
        for name in given.executors:
            kind, _, count = name.partition(":")
            choice = ExecutorChoice(kind=kinds[kind], workers=int(count) if count else None)
            first = load(source, folder / name, choice)
            print(first.line(name, given.rows), flush=True)
        if first is None or given.no_delta:
            return
        state = folder / name
        baseline = accepted(first.files, state, load_job(source)[0].name)
        changed = change_files(source, folder / "changed")
        for name in given.executors:
            kind, _, count = name.partition(":")
            choice = ExecutorChoice(kind=kinds[kind], workers=int(count) if count else None)
            print(load(changed, state, choice, baseline).line(f"{name}, delta", given.rows), flush=True)


if __name__ == "__main__":
    main()
