"""A comparison by tasks that share a store equals one in this process, in every outcome and byte."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import ENVELOPE, NOW, Bench, engine_in, invalid, job, manifest_key, record, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_executor import Inline

from batchsync.core.job import Removal
from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.batchfile import changes, eager_encode, encode_range, prepare, scattered_changes
from batchsync.data.compare import scattered
from batchsync.data.record import stored_value
from batchsync.data.row import partitions
from batchsync.errors import SourceError, StateError
from batchsync.ports import CompareContext
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.data import PolarsEngine
    from batchsync.ports import Comparison

SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=1500, envelope=ENVELOPE)
FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: Rows of a source: number of the key (negative: none), and a value, which is invalid as text.
ROWS = st.lists(st.tuples(st.integers(-1, 40), st.sampled_from(["1", "2", "3", "text"])), max_size=50)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make frames, ranges and buckets so small that a few rows fill many of them."""
    for module in (partitions, prepare, changes, eager_encode):
        monkeypatch.setattr(module, "FRAME_ROWS", 5)
    monkeypatch.setattr(prepare, "MIN_TASK_ROWS", 3)
    monkeypatch.setattr(scattered, "RANGE_MIN", 10)
    monkeypatch.setattr(scattered, "RANGE_MAX", 25)
    monkeypatch.setattr(scattered, "BUCKET_ROWS", 25)
    monkeypatch.setattr(scattered_changes, "RANGE_FRAMES", 3)
    monkeypatch.setattr(encode_range, "TASK_ROWS", 12)


def made(folder: Path, suffix: str, **more: Any) -> Bench:
    """Return a bench whose job removes what is gone, from a source of two files."""
    source = {"path": f"source-*.{suffix}", "duplicates": more.pop("duplicates", "last")}
    removal = Removal(mode="delete", record=record({"id": "=id"}))
    built = job(folder, {"id": "=id", "n": "=CAST(n AS INT)"}, source=source, removal=removal, **more)
    return Bench(folder, built, rules(file=SMALL))


def write(bench: Bench, suffix: str, rows: list[tuple[int, str]]) -> None:
    """Write the files of the source."""
    ids = [f"k{number}" if number >= 0 else None for number, _ in rows]
    frame = pl.DataFrame({"id": ids, "n": [value for _, value in rows]}, schema={"id": pl.String, "n": pl.String})
    half = len(rows) // 2
    for number, part in enumerate((frame[:half], frame[half:])):
        path = bench.folder / f"source-{number}.{suffix}"
        if suffix == "csv":
            path.write_text(part.write_csv().replace("\n", "\n\n"), encoding="utf-8")
        else:
            part.write_parquet(path)


def compared(bench: Bench, engine: PolarsEngine, *, eager: bool) -> Comparison:
    """Compare in a folder of its own."""
    bench.runs += 1
    folder = bench.folder / f"work-{bench.runs}"
    context = CompareContext(folder=folder, now=NOW, eager=eager, in_flight=bench.in_flight)
    return engine.compare(bench.job, bench.rules, bench.baseline, context)


def facts(bench: Bench, engine: PolarsEngine, *, eager: bool) -> list[Any]:
    """Return all that a comparison and its files say."""
    comparison = compared(bench, engine, eager=eager)
    shown = engine.preview(comparison, 100) if not eager else None
    files = engine.stage(bench.job, bench.rules, comparison)
    manifests = [pl.read_parquet(file.row_manifest).rows() for file in files]
    return [comparison.plan, invalid(comparison), shown, [(file.digest, file.rows) for file in files], manifests]


def by_tasks(folder: Path) -> PolarsEngine:
    """Return an engine whose tasks share a store."""
    return engine_in(folder, executor=Inline(), shared=LocalFolder)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@FEW
@given(runs=st.lists(ROWS, min_size=1, max_size=3), kept=st.integers(0, 3), eager=st.booleans())
def test_same_plan_files_and_invalid_rows(
    tmp_path: Path, suffix: str, runs: list[list[tuple[int, str]]], kept: int, *, eager: bool
) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    bench = made(tmp_path, suffix)
    for rows in runs:
        write(bench, suffix, rows)
        expected = facts(bench, engine_in(tmp_path, threads=1), eager=eager)
        assert facts(bench, by_tasks(tmp_path), eager=eager) == expected
        files = bench.stage(compared(bench, bench.engine, eager=False))
        # Some files are accepted, and the others stay in flight.
        for file in files[:kept]:
            verdicts = bench.accepted_verdicts(file)
            bench.baseline = bench.engine.apply_verdicts(bench.baseline, [verdicts], [manifest_key(file)])
        bench.in_flight = tuple(manifest_key(file) for file in files[kept:])


@pytest.mark.parametrize("known", [False, True])
def test_rows_stay_in_the_shared_store(tmp_path: Path, *, known: bool) -> None:
    bench = made(tmp_path, "parquet")
    if known:
        write(bench, "parquet", [(1000, "1")])
        bench.accept_all()
    write(bench, "parquet", [(number, "1") for number in range(200)])
    inline = Inline()
    engine = engine_in(tmp_path, executor=inline, shared=LocalFolder)
    comparison = compared(bench, engine, eager=True)
    assert not (comparison.folder / "changes.parquet").exists()
    assert len(engine.stage(bench.job, bench.rules, comparison)) > 5
    # A first load is encoded while it is compared.
    tasks = {"KnownTask", "LayoutTask", "EncodeTask"} if known else set()
    assert {type(task).__name__ for task in inline.tasks} == {"ScatterTask", "JoinTask", "SealTask"} | tasks


def test_duplicate_keys_of_several_ranges_are_one_error(tmp_path: Path) -> None:
    bench = made(tmp_path, "parquet", duplicates="fail")
    write(bench, "parquet", [(number % 30, "1") for number in range(60)])
    messages = []
    for engine in (engine_in(tmp_path, threads=1), by_tasks(tmp_path)):
        with pytest.raises(SourceError) as raised:
            compared(bench, engine, eager=True)
        messages.append(raised.value.message)
    assert messages[0] == messages[1]


def test_source_that_changes_before_it_is_encoded_is_refused(tmp_path: Path) -> None:
    bench = made(tmp_path, "parquet")
    write(bench, "parquet", [(1000, "1")])
    bench.accept_all()
    write(bench, "parquet", [(number, "1") for number in range(50)])
    engine = by_tasks(tmp_path)
    comparison = compared(bench, engine, eager=True)
    write(bench, "parquet", [(number, "2") for number in range(50)])
    with pytest.raises(SourceError, match="changed between comparing and preparing"):
        engine.stage(bench.job, bench.rules, comparison)


def test_foreign_content_in_the_shared_store_is_not_unpickled(tmp_path: Path) -> None:
    bench = made(tmp_path, "parquet")
    write(bench, "parquet", [(number, "1") for number in range(50)])
    engine = by_tasks(tmp_path)
    comparison = compared(bench, engine, eager=True)
    for file in (comparison.folder / "shuffle").rglob("*.value"):
        file.write_bytes(b"x" * file.stat().st_size)
    # Another process has not loaded the values yet.
    stored_value._loaded.cache_clear()
    with pytest.raises(StateError, match="is damaged"):
        engine.stage(bench.job, bench.rules, comparison)
