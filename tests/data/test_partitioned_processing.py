"""What is done in parts and ahead of time gives what is done at once, and what the plainest program would give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import HEAD, NOW, Bench, job, record, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.job import Removal
from lading.core.record_schema import Format, Kind, Rule
from lading.core.vendor_rules import FileFormat, FileRules
from lading.data import Columnar, ahead, diff, pull, read, scatter, segments, stage
from lading.ports import CompareContext

if TYPE_CHECKING:
    from lading.ports import Comparison

SMALL = FileRules(format=FileFormat.JSONL, gzip=True, suffix="json.gz", bytes_max=3000, envelope=True)
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts, stretches and frames so small that a few rows are many."""
    monkeypatch.setattr(scatter, "HELD", 7)
    monkeypatch.setattr(diff, "PART", 10)
    monkeypatch.setattr(diff, "HELD", 5)
    monkeypatch.setattr(segments, "STRETCH", 3)
    monkeypatch.setattr(pull, "STRETCH", 11)
    for module in (read, ahead, stage):
        monkeypatch.setattr(module, "FRAME_ROWS", 10)
    monkeypatch.setattr(stage, "FEW", 5)


def compared(bench: Bench, *, early: bool) -> Comparison:
    """Compare, with or without encoding ahead."""
    bench.runs += 1
    context = CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW, ahead=early)
    return Columnar().compare(bench.job, bench.rules, bench.baseline, context)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_encoding_ahead_gives_the_very_same_files(tmp_path: Path, suffix: str) -> None:
    made = job(tmp_path, {"id": "=id", "name": "=name", "n": "=CAST(n AS INT)"}, source={"path": f"source.{suffix}"})
    bench = Bench(tmp_path, made, rules(file=SMALL))
    rows = pl.DataFrame({"id": [str(one) for one in range(95)], "name": "x" * 30, "n": "1"})
    rows = rows.with_columns(n=pl.when(pl.col("id") == "33").then(pl.lit("bad")).otherwise("n"))
    source = tmp_path / made.source.path
    rows.write_csv(source) if suffix == "csv" else rows.write_parquet(source)
    late, early = compared(bench, early=False), compared(bench, early=True)
    assert (early.tally, early.fingerprint) == (late.tally, late.fingerprint)
    assert (early.folder / "ahead.json").exists()
    files = bench.stage(late)
    others = Columnar().stage(bench.job, bench.rules, early, tmp_path / "others")
    assert [(one.digest, one.rows) for one in files] == [(one.digest, one.rows) for one in others]
    assert len(files) > 1
    for one, other in zip(files, others, strict=True):
        assert pl.read_parquet(one.evidence).equals(pl.read_parquet(other.evidence))
        assert Path(other.path).read_bytes() == Path(one.path).read_bytes()


@pytest.mark.usefixtures("tiny")
def test_nothing_is_encoded_ahead_when_a_row_loses_against_another_of_its_key(bench: Bench) -> None:
    bench.change_source(duplicates="last")
    bench.source(HEAD + "1,a,m\n1,b,m\n2,c,m\n")
    early = compared(bench, early=True)
    assert not (early.folder / "ahead.json").exists()
    assert [one.rows for one in bench.stage(early)] == [2]


@pytest.mark.usefixtures("tiny")
def test_a_frame_of_mostly_invalid_rows_leaves_the_work_to_the_second_pass(bench: Bench) -> None:
    bench.change(record=record({"id": "=id", "n": "=CAST(name AS INT)"}))
    bench.source(HEAD + "".join(f"{row},{'x' if row < 8 else 1},m\n" for row in range(25)))
    early, late = compared(bench, early=True), compared(bench, early=False)
    assert not (early.folder / "ahead.json").exists()
    there = Columnar().stage(bench.job, bench.rules, early, bench.folder / "others")
    assert [one.digest for one in there] == [one.digest for one in bench.stage(late)]


def test_nothing_is_encoded_ahead_when_the_target_holds_something(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,b,m\n")
    early = compared(bench, early=True)
    assert not (early.folder / "ahead.json").exists()
    assert [one.rows for one in bench.stage(early)] == [1]


def test_a_removed_key_is_escaped_whatever_rule_its_member_has(bench: Bench) -> None:
    bench.rules = rules(fields={"mail": Rule(kind=Kind.STRING, format=Format.EMAIL)})
    bench.change(record=record({"id": "=id"}), removal=Removal(mode="delete", record=record({"mail": "=id"})))
    bench.source(HEAD + '"a""b",a,m\n2,b,m\n')
    bench.accept_all()
    bench.source(HEAD + "2,b,m\n")
    assert [one["value"] for one in bench.records()] == [{"mail": 'a"b'}]


KEY = st.integers(0, 40).map(str)
ROWS = st.dictionaries(KEY, st.sampled_from("abc"), max_size=40)


@pytest.mark.usefixtures("tiny")
@FEW
@given(before=ROWS, after=ROWS, removes=st.booleans())
def test_a_comparison_in_parts_finds_what_two_dictionaries_say(
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
    added, gone = after.keys() - before.keys(), (before.keys() - after.keys()) if removes else set()
    changed = {key for key in after.keys() & before.keys() if after[key] != before[key]}
    tally = found.tally
    assert (tally.added, tally.changed, tally.removed) == (len(added), len(changed), len(gone))
    changes = pl.read_parquet(found.folder / "changes.parquet")
    sent = [(row, key) for row, key in enumerate(after, start=1) if key in added | changed]
    assert list(changes.filter(pl.col("op") != "remove").select("row", "key").iter_rows()) == sent
    assert set(changes.filter(pl.col("op") == "remove")["key"]) == gone


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("files", [1, 3])
def test_frames_are_cut_at_the_same_rows_however_they_lie_in_files(bench: Bench, files: int) -> None:
    lines = [f"{row},a,m\n" for row in range(37)]
    for number in range(files):
        bench.source(HEAD + "".join(lines[number::files]), name=f"part-{number}.csv")
    bench.change_source(path="part-*.csv")
    given_ = read.open_source(bench.job.source)
    frames = list(read.frames(given_, bench.folder, fresh=True))
    assert [one.height for one in frames] == [10, 10, 10, 7]
    assert pl.concat(frames)["lading:row"].to_list() == list(range(1, 38))


@pytest.mark.usefixtures("tiny")
def test_a_reader_that_is_left_early_lets_go(bench: Bench) -> None:
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(500)))
    frames = read.frames(read.open_source(bench.job.source), bench.folder, fresh=False)
    assert next(frames).height == 10
    frames.close()  # type: ignore[attr-defined] # a generator behind an Iterator


def test_files_taken_ahead_are_remembered_with_their_new_places(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    early = compared(bench, early=True)
    (file,) = bench.stage(early)
    assert Path(file.path).parent == bench.folder / f"files-{bench.runs}"
    assert Path(file.evidence).exists()
    assert not json.dumps(file.path).startswith(str(early.folder))
