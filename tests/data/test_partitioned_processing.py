"""Partitioned and eager processing gives the same results as processing at once, and as a naive program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import ENVELOPE, HEAD, NOW, Bench, engine_in, job, record, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal
from batchsync.core.naming import staging_prefix
from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.baseline import segments
from batchsync.data.batchfile import eager_encode, prepare
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.compare import classify
from batchsync.data.frame import partitioned_spill
from batchsync.data.row import parquet_reader, partitions
from batchsync.data.row.open_source import open_source
from batchsync.ports import CompareContext

if TYPE_CHECKING:
    from batchsync.ports import Comparison

SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=3000, envelope=ENVELOPE)
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make partitions, chunks and frames so small that a few rows fill many of them."""
    monkeypatch.setattr(partitioned_spill, "ROWS_IN_MEMORY", 7)
    monkeypatch.setattr(classify, "PARTITION_ROWS", 10)
    monkeypatch.setattr("batchsync.data.compare.compare.ROWS_IN_MEMORY", 5)
    monkeypatch.setattr(segments, "RANGE_ROWS", 3)
    monkeypatch.setattr(parquet_reader, "RANGE_ROWS", 11)
    for module in (partitions, eager_encode, prepare):
        monkeypatch.setattr(module, "FRAME_ROWS", 10)
    monkeypatch.setattr(prepare, "MIN_TASK_ROWS", 5)


def compared(bench: Bench, *, eager: bool) -> Comparison:
    """Compare, with or without eager encoding."""
    bench.runs += 1
    context = CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW, eager=eager)
    return bench.engine.compare(bench.job, bench.rules, bench.baseline, context)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_eager_encoding_gives_identical_files(tmp_path: Path, suffix: str) -> None:
    made = job(tmp_path, {"id": "=id", "name": "=name", "n": "=CAST(n AS INT)"}, source={"path": f"source.{suffix}"})
    bench = Bench(tmp_path, made, rules(file=SMALL))
    rows = pl.DataFrame({"id": [str(index) for index in range(95)], "name": "x" * 30, "n": "1"})
    rows = rows.with_columns(n=pl.when(pl.col("id") == "33").then(pl.lit("bad")).otherwise("n"))
    source = tmp_path / made.source.path
    rows.write_csv(source) if suffix == "csv" else rows.write_parquet(source)
    late, eager = compared(bench, eager=False), compared(bench, eager=True)
    assert eager.plan == late.plan
    assert (eager.folder / "ahead.json").exists()
    files = bench.stage(late)
    others = engine_in(tmp_path / "others").stage(bench.job, bench.rules, eager)
    assert [(file.digest, file.rows) for file in files] == [(item.digest, item.rows) for item in others]
    assert len(files) > 1
    for item, other in zip(files, others, strict=True):
        assert pl.read_parquet(item.row_manifest).equals(pl.read_parquet(other.row_manifest))
        assert Path(other.path).read_bytes() == Path(item.path).read_bytes()


@pytest.mark.usefixtures("tiny")
def test_eager_files_are_dropped_if_a_row_is_superseded(bench: Bench) -> None:
    bench.change_source(duplicates="last")
    bench.source(HEAD + "1,a,m\n1,b,m\n2,c,m\n")
    eager = compared(bench, eager=True)
    assert not (eager.folder / "ahead.json").exists()
    assert [item.rows for item in bench.stage(eager)] == [2]


@pytest.mark.usefixtures("tiny")
def test_eager_files_are_dropped_if_most_rows_of_a_frame_are_invalid(bench: Bench) -> None:
    bench.change(record=record({"id": "=id", "n": "=CAST(name AS INT)"}))
    bench.source(HEAD + "".join(f"{row},{'x' if row < 8 else 1},m\n" for row in range(25)))
    eager, late = compared(bench, eager=True), compared(bench, eager=False)
    assert not (eager.folder / "ahead.json").exists()
    eager_files = bench.engine.stage(bench.job, bench.rules, eager)
    assert [item.digest for item in eager_files] == [item.digest for item in bench.stage(late)]


def test_nothing_is_encoded_eagerly_if_baseline_has_rows(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,b,m\n")
    eager = compared(bench, eager=True)
    assert not (eager.folder / "ahead.json").exists()
    assert [item.rows for item in bench.stage(eager)] == [1]


def test_removed_key_is_escaped_despite_format_rule(bench: Bench) -> None:
    bench.rules = rules(fields={"mail": Rule(kind=Kind.STRING, format=Format.EMAIL)})
    bench.change(record=record({"id": "=id"}), removal=Removal(mode="delete", record=record({"mail": "=id"})))
    bench.source(HEAD + '"a""b",a,m\n2,b,m\n')
    bench.accept_all()
    bench.source(HEAD + "2,b,m\n")
    assert [item["value"] for item in bench.records()] == [{"mail": 'a"b'}]


KEY = st.integers(0, 40).map(str)
ROWS = st.dictionaries(KEY, st.sampled_from("abc"), max_size=40)


@pytest.mark.usefixtures("tiny")
@FEW
@given(before=ROWS, after=ROWS, removes=st.booleans())
def test_partitioned_comparison_equals_comparison_of_dictionaries(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, str],
    after: dict[str, str],
    *,
    removes: bool,
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    bench = Bench(folder, job(folder, {"id": "=id", "name": "=name"}), rules())
    if removes:
        bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source("id,name\n" + "".join(f"{key},{name}\n" for key, name in before.items()))
    bench.accept_all()
    bench.source("id,name\n" + "".join(f"{key},{name}\n" for key, name in after.items()))
    found = bench.compare()
    added, deleted = after.keys() - before.keys(), (before.keys() - after.keys()) if removes else set()
    changed = {key for key in after.keys() & before.keys() if after[key] != before[key]}
    plan = found.plan.counts
    assert (plan.added, plan.changed, plan.removed) == (len(added), len(changed), len(deleted))
    file = found.folder / "changes.parquet"
    changes = pl.read_parquet(file) if file.exists() else pl.DataFrame(schema=CHANGES)
    sent = [(row, key) for row, key in enumerate(after, start=1) if key in added | changed]
    assert list(changes.filter(pl.col("op") != "remove").select("row", "key").iter_rows()) == sent
    assert set(changes.filter(pl.col("op") == "remove")["key"]) == deleted


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("files", [1, 3])
def test_frames_are_independent_of_file_boundaries(bench: Bench, files: int) -> None:
    lines = [f"{row},a,m\n" for row in range(37)]
    for number in range(files):
        bench.source(HEAD + "".join(lines[number::files]), name=f"part-{number}.csv")
    bench.change_source(path="part-*.csv")
    source_files = open_source(bench.job.source)
    frames = list(partitions.frames(source_files, bench.folder, fresh=True))
    assert [frame.height for frame in frames] == [10, 10, 10, 7]
    assert pl.concat(frames)["batchsync:row"].to_list() == list(range(1, 38))


@pytest.mark.usefixtures("tiny")
def test_reader_can_be_closed_early(bench: Bench) -> None:
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(500)))
    frames = partitions.frames(open_source(bench.job.source), bench.folder, fresh=False)
    assert next(frames).height == 10
    frames.close()  # type: ignore[attr-defined] # a generator behind an Iterator


def test_adopted_eager_files_have_their_new_paths(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    eager = compared(bench, eager=True)
    (file,) = bench.stage(eager)
    assert Path(file.path).parent == bench.folder / staging_prefix(bench.job.name)
    assert Path(file.row_manifest).exists()
    assert not json.dumps(file.path).startswith(str(eager.folder))
