"""Workers that die before and after they leave their rows, and tasks that run twice or come late, change nothing."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENVELOPE, NOW, Bench, engine_in, job, rules
from inline_executor import pickled

from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.batchfile import changes, eager_encode, encode_range, prepare, scattered_changes
from batchsync.data.compare import scattered
from batchsync.data.row import partitions
from batchsync.ports import CompareContext, ObjectInfo
from batchsync.storage.local_folder import LocalFolder
from kit.draws import draws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchsync.data import PolarsEngine

SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=2500, envelope=ENVELOPE)


class WorkerDiedError(BaseException):
    """The process of a task ended."""


class Workers(Executor):
    """Workers of a cluster: each task runs until a try ends well; some run twice at a time, and one result counts."""

    def __init__(self, seed: int) -> None:
        """Draw what happens to workers from a seed."""
        self.random, self.deaths, self.doubles = draws(seed), 0, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task."""
        assert not kwargs
        future: Future[Any] = Future()
        while self.random.random() < 0.4:
            self.deaths += 1
            self._die(fn, args)
        if self.random.random() < 0.4:
            self.doubles += 1
            with ThreadPoolExecutor(2) as pool:
                late, first = (pool.submit(*pickled((fn, *args))) for _ in range(2))
            late.result()
            future.set_result(pickled(first.result()))
        else:
            future.set_result(pickled(fn(*pickled(args))))
        return future

    def _die(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run a task until it has put some of its objects."""
        left = self.random.randrange(3)

        def put(folder: LocalFolder, key: str, file: Path) -> ObjectInfo:
            nonlocal left
            left -= 1
            if left < 0:
                raise WorkerDiedError
            return whole(folder, key, file)

        whole = LocalFolder.put
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LocalFolder, "put", put)
            try:
                fn(*pickled(args))
            except WorkerDiedError:
                return


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make frames, ranges and buckets small."""
    for module in (partitions, prepare, changes, eager_encode):
        monkeypatch.setattr(module, "FRAME_ROWS", 20)
    monkeypatch.setattr(prepare, "MIN_TASK_ROWS", 10)
    monkeypatch.setattr(scattered, "RANGE_MIN", 40)
    monkeypatch.setattr(scattered, "BUCKET_ROWS", 60)
    monkeypatch.setattr(scattered_changes, "RANGE_FRAMES", 3)
    monkeypatch.setattr(encode_range, "TASK_ROWS", 50)


def files_of(bench: Bench, engine: PolarsEngine) -> list[tuple[str, str, list[Any]]]:
    """Return digests and row manifests of the batch files that an engine makes."""
    bench.runs += 1
    context = CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW, eager=True)
    comparison = engine.compare(bench.job, bench.rules, bench.baseline, context)
    files = engine.stage(bench.job, bench.rules, comparison)
    return [(comparison.plan.changes_digest, file.digest, pl.read_parquet(file.row_manifest).rows()) for file in files]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_workers_that_die_and_tasks_that_run_twice(tmp_path: Path, suffix: str, *, known: bool) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id"}, source={"path": f"source.{suffix}"}), rules(file=SMALL))
    frame = pl.DataFrame({"id": [f"k{number}" for number in range(240)]})
    write = frame.write_parquet if suffix == "parquet" else frame.write_csv
    if known:
        write(tmp_path / f"source.{suffix}")
        for file in bench.stage(bench.compare())[::2]:
            verdicts = bench.accepted_verdicts(file)
            bench.baseline = bench.engine.apply_verdicts(bench.baseline, [verdicts])
    write(tmp_path / f"source.{suffix}")
    expected = files_of(bench, engine_in(tmp_path, threads=1))
    assert len(expected) > 1
    workers = [Workers(seed) for seed in range(3)]
    for item in workers:
        engine = engine_in(tmp_path, executor=item, shared=LocalFolder)
        assert files_of(bench, engine) == expected
    assert all(item.deaths and item.doubles for item in workers)
