"""Workers that die before and after they leave their rows, and tasks that run twice or come late, change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENVELOPE, NOW, Bench, engine_in, job, rules

from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.batchfile import changes, eager_encode, encode_range, prepare, scattered_changes
from batchsync.data.compare import scattered
from batchsync.data.frame.blob_file import BlobFile, BlobWriter
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.row import partitions
from batchsync.ports import CompareContext
from batchsync.storage.local_folder import LocalFolder
from kit.dying_workers import DyingWorkers

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.data import PolarsEngine

SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=2500, envelope=ENVELOPE)


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
    workers = [DyingWorkers(seed) for seed in range(3)]
    for item in workers:
        engine = engine_in(tmp_path, executor=item, shared=LocalFolder)
        assert files_of(bench, engine) == expected
    assert all(item.deaths and item.doubles for item in workers)


def test_tasks_of_two_threads_leave_each_other_alone(tmp_path: Path) -> None:
    """A task that was given up may still run when the next try begins, and a workspace deletes what is left in it."""
    store, begun = LocalFolder(tmp_path), Barrier(2)

    def leave(number: int) -> str:
        with BlobWriter(scratch_folder(store, "shuffle")) as out:
            begun.wait(timeout=30)
            out.add("rows", 0, pl.DataFrame({"number": [number]}))
            return out.finish()

    with ThreadPoolExecutor(2) as pool:
        keys = list(pool.map(leave, range(2)))
    tables = [BlobFile(store, key).table("rows", 0, {})["number"].to_list() for key in keys]
    assert tables == [[0], [1]]
