"""Any executor (threads, processes, or a custom one) gives identical batch files."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENVELOPE, NOW, Bench, engine_in, job, rules
from inline_executor import Inline

from batchsync.core.job import Join
from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.batchfile import eager_encode, prepare
from batchsync.data.row import partitions
from batchsync.errors import SourceError
from batchsync.ports import CompareContext, Comparison
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.executor import SerialExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.batch import BatchFile
    from batchsync.data import PolarsEngine

ROWS = 2600
SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=20_000, envelope=ENVELOPE)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@dataclass
class Sent:
    """Comparison and files of one engine."""

    comparison: Comparison
    files: tuple[BatchFile, ...]

    def facts(self) -> list[Any]:
        manifests = [pl.read_parquet(file.row_manifest).rows() for file in self.files]
        numbers = [(file.digest, file.md5, file.size, file.rows) for file in self.files]
        return [
            self.comparison.plan.counts,
            self.comparison.plan.changes_digest,
            self.comparison.plan.watermark,
            numbers,
            manifests,
        ]


def sent(bench: Bench, engine: PolarsEngine, *, eager: bool) -> Sent:
    bench.runs += 1
    context = CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW, eager=eager)
    comparison = engine.compare(bench.job, bench.rules, bench.baseline, context)
    return Sent(comparison, engine.stage(bench.job, bench.rules, comparison))


def table() -> pl.DataFrame:
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(ROWS)]
    return pl.DataFrame(
        {"id": [f"k{row:05}" for row in range(ROWS)], "name": digests, "place": ["a", "b"] * (ROWS // 2)}
    )


@pytest.fixture(params=["csv", "parquet", "jsonl"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A source with a join, in frames of a few hundred rows."""
    for module in (partitions, eager_encode, prepare):
        monkeypatch.setattr(module, "FRAME_ROWS", 300)
    monkeypatch.setattr(prepare, "MIN_TASK_ROWS", 150)
    name = f"source.{request.param}"
    mapping = {"id": "=id", "name": "=name", "town": "=town"}
    places = Join(path="places.csv", on=(("place", "code"),))
    made = job(tmp_path, mapping, source={"path": name, "joins": (places,)})
    (tmp_path / "places.csv").write_text("code,town\na,Ålesund\nb,Bergen\n", encoding="utf-8")
    write = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[request.param]
    getattr(table(), write)(tmp_path / name)
    return Bench(tmp_path, made, rules(file=SMALL))


@pytest.mark.parametrize("eager", [True, False])
def test_any_executor_gives_the_same_files(bench: Bench, processes: ProcessPoolExecutor, *, eager: bool) -> None:
    inline = Inline()
    engines = [engine_in(bench.folder, threads=count) for count in (1, 2, 4)]
    engines += [engine_in(bench.folder, executor=processes, threads=2), engine_in(bench.folder, executor=inline)]
    engines.append(engine_in(bench.folder, executor=Inline(), shared=LocalFolder))
    first, *others = [sent(bench, engine, eager=eager).facts() for engine in engines]
    assert all(other == first for other in others)
    assert len(first[3]) > 5
    assert len(inline.tasks) >= ROWS // 300


def test_any_executor_gives_the_same_changes(bench: Bench, processes: ProcessPoolExecutor) -> None:
    first = sent(bench, engine_in(bench.folder, threads=2), eager=False)
    for file in first.files[::2]:
        verdicts = bench.accepted_verdicts(file)
        bench.baseline = bench.engine.apply_verdicts(bench.baseline, [verdicts])
    engines = [
        engine_in(bench.folder, threads=1),
        engine_in(bench.folder, threads=3),
        engine_in(bench.folder, executor=processes),
        engine_in(bench.folder, executor=Inline()),
        engine_in(bench.folder, executor=Inline(), shared=LocalFolder),
    ]
    expected, *others = [sent(bench, engine, eager=False).facts() for engine in engines]
    assert all(other == expected for other in others)
    assert 0 < sum(count for *_, count in expected[3]) < ROWS


def test_task_refers_to_parquet_rows_instead_of_containing_them(bench: Bench) -> None:
    inline = Inline()
    sent(bench, engine_in(bench.folder, executor=inline), eager=True)
    sizes = [len(pickle.dumps(task)) for task in inline.tasks]
    carried = bench.job.source.path != "source.parquet"
    assert all((size > 20_000) == carried for size in sizes[:-1])


def test_any_executor_gives_the_same_grouped_records(tmp_path: Path, processes: ProcessPoolExecutor) -> None:
    mapping = {"no": "=no", "items": [{"each": {"sku": "=sku"}}]}
    bench = Bench(tmp_path, job(tmp_path, mapping, source={"key": ("no",)}), rules(file=SMALL))
    bench.source("no,sku\n" + "".join(f"{row // 3},s{row}\n" for row in range(3000)))
    engines = [
        engine_in(bench.folder, threads=1),
        engine_in(bench.folder, threads=4),
        engine_in(bench.folder, executor=processes),
        engine_in(bench.folder, executor=Inline()),
    ]
    expected, *others = [sent(bench, engine, eager=False).facts() for engine in engines]
    assert all(other == expected for other in others)


def test_error_in_worker_process_is_raised_unchanged(tmp_path: Path, processes: ProcessPoolExecutor) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id"}, source={"path": "source.parquet"}), rules())
    pl.DataFrame({"id": ["a", "b"]}).write_parquet(tmp_path / "source.parquet")
    context = CompareContext(folder=tmp_path / "work", now=NOW)
    comparison = bench.engine.compare(bench.job, bench.rules, bench.baseline, context)
    pl.DataFrame({"id": ["a", "other"]}).write_parquet(tmp_path / "source.parquet")
    with pytest.raises(SourceError, match="changed between comparing and preparing") as raised:
        engine_in(tmp_path, executor=processes).stage(bench.job, bench.rules, comparison)
    assert raised.value.hint


def test_failed_call_stops_serial_executor() -> None:
    done: list[int] = []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    with SerialExecutor(1) as executor:
        executor.submit(done.append, 1)
        failed = executor.submit(fail)
        assert isinstance(failed.exception(), OSError)
        with pytest.raises(OSError, match="No space left"):
            executor.submit(done.append, 2)
        with pytest.raises(OSError, match="No space left"):
            executor.finish()
    assert done == [1]
