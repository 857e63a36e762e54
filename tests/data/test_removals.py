"""Which keys are removed after rows have left a source, and which are protected."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from data_kit import HEAD, Bench, record

from batchsync.core.job import Removal
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.compare import classify, removal_conflicts
from batchsync.data.frame import partitioned_spill


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def counts(bench: Bench) -> dict[str, int]:
    found = bench.compare().plan.counts.to_dict()
    names = ("unchanged", "added", "changed", "removed", "still_rejected")
    return {name: count for name, count in found.items() if count and name in names}


def test_rejected_removal_is_sent_again_after_mapping_change(bench: Bench) -> None:
    unmodified = Removal(mode="delete", record=record({"id": "=id"}), mapping_hash="1")
    bench.change(removal=unmodified)
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD)
    [file] = bench.stage(bench.compare())
    refused = bench.folder / "refused.parquet"
    ended = [pl.lit("rejected").alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code")]
    pl.read_parquet(file.row_manifest).with_columns(ended).write_parquet(refused)
    bench.baseline = bench.engine.apply_verdicts(bench.baseline, [refused])
    bench.change(mapping_hash="cd" * 32)
    assert counts(bench) == {"still_rejected": 1}
    bench.change(removal=replace(unmodified, mapping_hash="2"))
    assert counts(bench) == {"removed": 1}


def keyed_by(bench: Bench, columns: tuple[str, ...]) -> None:
    """Change the key of the job, and its removal with it."""
    bench.change_source(key=columns)
    bench.change(removal=Removal(mode="delete", record=record({column: f"={column}" for column in columns})))


PROTECTED = "keys not removed, because their removal would name a record of the source"


@pytest.mark.parametrize("part", [0, classify.PARTITION_ROWS])
def test_key_is_protected_if_its_removal_names_a_present_record(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(removal_conflicts, "PARTITION_ROWS", part)
    bench.change(removal=Removal(mode="delete", record=record({"id": "=lower(trim(id))"})))
    bench.source(HEAD + "G1,a,m\nG2,b,n\nG3,c,o\n")
    bench.accept_all()
    bench.source(HEAD + "g1,a,m\nG2,b,n\n")
    comparison = bench.compare()
    assert (
        comparison.plan.counts.added,
        comparison.plan.counts.removed,
        comparison.plan.counts.outcomes[RowOutcome.UNCHANGED],
    ) == (1, 1, 1)
    assert comparison.plan.warnings == {PROTECTED: 1}
    assert [item["value"] for item in bench.records() if item["mode"] == "delete"] == [{"id": "g3"}]
    bench.accept_all()
    assert bench.compare().plan.warnings == {PROTECTED: 1}
    bench.source(HEAD + "G2,b,n\n")
    comparison = bench.compare()
    assert (comparison.plan.counts.removed, comparison.plan.warnings) == (2, {}), (
        "no present record has the same removal record"
    )


def test_invalid_row_protects_key_from_removal(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=lower(id)"})))
    bench.source(HEAD + "G1,5,m\n")
    bench.accept_all()
    bench.change(record=record({"id": "=id", "name": "=CAST(name AS INT)"}))
    bench.source(HEAD + "g1,five,m\n")
    comparison = bench.compare()
    assert (comparison.plan.counts.outcomes[RowOutcome.INVALID], comparison.plan.counts.removed) == (1, 0)


def test_many_keys_are_protected_with_spilled_hashes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitioned_spill, "ROWS_IN_MEMORY", 10)
    monkeypatch.setattr(partitioned_spill, "_FLUSH_ROWS", 5)
    bench.change_source(key=("id", "name"))
    bench.change(removal=Removal(mode="delete", record=record({"who": "=lower(id)", "name": "=name"})))
    bench.source(HEAD + "".join(f"G{row},a,m\n" for row in range(100)))
    bench.accept_all()
    bench.source(HEAD + "".join(f"g{row},{'a' if row < 50 else 'b'},m\n" for row in range(100)))
    comparison = bench.compare()
    assert (comparison.plan.counts.added, comparison.plan.counts.removed) == (100, 50)
    assert comparison.plan.warnings == {PROTECTED: 50}
    assert sorted(path.name for path in comparison.folder.glob("*.arrow")) == []


def test_removal_with_unmodified_key_skips_protection(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    unmodified, modified = ({"id": "=id", "mail": "=lower(id)"}, {"id": "=lower(id)"})
    bench.change(removal=Removal(mode="delete", record=record(unmodified)))
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "2,b,n\n")
    monkeypatch.setattr(removal_conflicts, "_partitions", never)
    assert counts(bench) == {"unchanged": 1, "removed": 1}
    bench.change(removal=Removal(mode="delete", record=record(modified)))
    with pytest.raises(AssertionError):
        bench.compare()


def test_key_without_computable_removal_record_is_not_protected(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"no": "=CAST(id AS INT)"})))
    bench.source(HEAD + "x1,a,m\n7,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "x2,a,m\n07,b,n\n")
    comparison = bench.compare()
    assert (comparison.plan.counts.removed, comparison.plan.warnings) == (1, {PROTECTED: 1})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("id",), ("id", "name")),
        (("id", "name"), ("id",)),
        (("id", "name"), ("id", "mail")),
        (("mail",), ("id",)),
    ],
)
def test_keys_of_earlier_definition_are_not_removed(
    bench: Bench, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    keyed_by(bench, before)
    bench.source(HEAD + '"[""1"",""a""]",a,m\n2,b,n\n')
    bench.accept_all()
    keyed_by(bench, after)
    comparison = bench.compare()
    assert (comparison.plan.counts.added, comparison.plan.counts.removed) == (2, 0)
    assert comparison.plan.warnings == {"keys of an earlier key definition, which are not removed": 2}
    bench.accept_all()
    bench.source(HEAD + "2,b,n\n")
    assert counts(bench) == {"unchanged": 1, "removed": 1}, "keys of the current definition are"
    bench.accept_all()
    keyed_by(bench, before)
    assert bench.compare().plan.warnings == {"keys of an earlier key definition, which are not removed": 1}


def test_equal_key_of_earlier_definition_is_sent_again(removing: Bench) -> None:
    removing.source("id,name,mail,no\n1,a,m,1\n2,b,n,2\n")
    removing.accept_all()
    keyed_by(removing, ("no",))
    assert counts(removing) == {"changed": 2}
    removing.accept_all()
    removing.source("id,name,mail,no\n1,a,m,1\n")
    assert counts(removing) == {"unchanged": 1, "removed": 1}
