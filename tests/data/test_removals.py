"""What is removed when rows have left a source, and what must not be."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from data_kit import HEAD, Bench, record

from batchsync.core.job import Removal
from batchsync.data import PolarsEngine
from batchsync.data.compare import classify, removal_conflicts
from batchsync.data.frame import partitioned_spill


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def counts(bench: Bench) -> dict[str, int]:
    tally = bench.compare().counts
    found = {name: getattr(tally, name) for name in ("unchanged", "added", "changed", "removed", "still_rejected")}
    return {name: count for name, count in found.items() if count}


def test_a_removal_that_was_refused_is_tried_again_when_its_own_mapping_changed(bench: Bench) -> None:
    plain = Removal(mode="delete", record=record({"id": "=id"}), mapping_hash="1")
    bench.change(removal=plain)
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD)
    [file] = bench.stage(bench.compare())
    refused = bench.folder / "refused.parquet"
    ended = [pl.lit("rejected").alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code")]
    pl.read_parquet(file.row_manifest).with_columns(ended).write_parquet(refused)
    bench.baseline = PolarsEngine().apply_verdicts(bench.baseline, [refused], bench.folder / "baselines")
    bench.change(mapping_hash="cd" * 32)
    assert counts(bench) == {"still_rejected": 1}
    bench.change(removal=replace(plain, mapping_hash="2"))
    assert counts(bench) == {"removed": 1}


def keyed_by(bench: Bench, columns: tuple[str, ...]) -> None:
    """Edit the key of the job, and its removal with it."""
    bench.change_source(key=columns)
    bench.change(removal=Removal(mode="delete", record=record({column: f"={column}" for column in columns})))


SPARED = "keys that are gone, whose removal would name a record still there: not removed"


@pytest.mark.parametrize("part", [0, classify.PARTITION_ROWS])
def test_a_key_is_spared_when_its_removal_would_name_a_record_that_is_still_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(removal_conflicts, "PARTITION_ROWS", part)
    bench.change(removal=Removal(mode="delete", record=record({"id": "=lower(trim(id))"})))
    bench.source(HEAD + "G1,a,m\nG2,b,n\nG3,c,o\n")
    bench.accept_all()
    bench.source(HEAD + "g1,a,m\nG2,b,n\n")
    comparison = bench.compare()
    assert (comparison.counts.added, comparison.counts.removed, comparison.counts.unchanged) == (1, 1, 1)
    assert comparison.warnings == {SPARED: 1}
    assert [item["value"] for item in bench.records() if item["mode"] == "delete"] == [{"id": "g3"}]
    bench.accept_all()
    assert bench.compare().warnings == {SPARED: 1}
    bench.source(HEAD + "G2,b,n\n")
    comparison = bench.compare()
    assert (comparison.counts.removed, comparison.warnings) == (2, {}), "now nothing answers to it any more"


def test_an_invalid_row_spares_too(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=lower(id)"})))
    bench.source(HEAD + "G1,5,m\n")
    bench.accept_all()
    bench.change(record=record({"id": "=id", "name": "=CAST(name AS INT)"}))
    bench.source(HEAD + "g1,five,m\n")
    comparison = bench.compare()
    assert (comparison.counts.invalid, comparison.counts.removed) == (1, 0)


def test_many_keys_are_spared_with_hashes_on_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_spill, "ROWS_IN_MEMORY", 10)
    monkeypatch.setattr(partitioned_spill, "_AT_ONCE", 5)
    bench.change_source(key=("id", "name"))
    bench.change(removal=Removal(mode="delete", record=record({"who": "=lower(id)", "name": "=name"})))
    bench.source(HEAD + "".join(f"G{row},a,m\n" for row in range(100)))
    bench.accept_all()
    bench.source(HEAD + "".join(f"g{row},{'a' if row < 50 else 'b'},m\n" for row in range(100)))
    comparison = bench.compare()
    assert (comparison.counts.added, comparison.counts.removed) == (100, 50)
    assert comparison.warnings == {SPARED: 50}
    assert sorted(path.name for path in comparison.folder.glob("*.arrow")) == []


def test_a_removal_that_holds_its_key_as_it_is_costs_no_further_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    plain, mended = ({"id": "=id", "mail": "=lower(id)"}, {"id": "=lower(id)"})
    bench.change(removal=Removal(mode="delete", record=record(plain)))
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "2,b,n\n")
    monkeypatch.setattr(removal_conflicts, "_beside", never)
    assert counts(bench) == {"unchanged": 1, "removed": 1}
    bench.change(removal=Removal(mode="delete", record=record(mended)))
    with pytest.raises(AssertionError):
        bench.compare()


def test_a_gone_key_that_no_record_can_be_made_of_is_not_taken_for_one_that_is_there(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"no": "=CAST(id AS INT)"})))
    bench.source(HEAD + "x1,a,m\n7,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "x2,a,m\n07,b,n\n")
    comparison = bench.compare()
    assert (comparison.counts.removed, comparison.warnings) == (1, {SPARED: 1})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("id",), ("id", "name")),
        (("id", "name"), ("id",)),
        (("id", "name"), ("id", "mail")),
        (("mail",), ("id",)),
    ],
)
def test_keys_of_an_earlier_definition_are_never_removed_and_the_run_goes_on(
    bench: Bench, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    keyed_by(bench, before)
    bench.source(HEAD + '"[""1"",""a""]",a,m\n2,b,n\n')
    bench.accept_all()
    keyed_by(bench, after)
    comparison = bench.compare()
    assert (comparison.counts.added, comparison.counts.removed) == (2, 0)
    assert comparison.warnings == {"keys of an earlier key definition, which are not removed": 2}
    bench.accept_all()
    bench.source(HEAD + "2,b,n\n")
    assert counts(bench) == {"unchanged": 1, "removed": 1}, "those of today's are"
    bench.accept_all()
    keyed_by(bench, before)
    assert bench.compare().warnings == {"keys of an earlier key definition, which are not removed": 1}


def test_a_key_with_the_same_text_under_another_definition_is_sent_again_and_is_of_today_then(removing: Bench) -> None:
    removing.source("id,name,mail,no\n1,a,m,1\n2,b,n,2\n")
    removing.accept_all()
    keyed_by(removing, ("no",))
    assert counts(removing) == {"changed": 2}
    removing.accept_all()
    removing.source("id,name,mail,no\n1,a,m,1\n")
    assert counts(removing) == {"unchanged": 1, "removed": 1}
