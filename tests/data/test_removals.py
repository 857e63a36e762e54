"""What is removed when rows have left a source, and what must not be."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from data_kit import Bench, record

from lading.core.job import Removal
from lading.data import Columnar

HEAD = "id,name,mail\n"


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def counts(bench: Bench) -> dict[str, int]:
    tally = bench.compare().tally
    found = {name: getattr(tally, name) for name in ("unchanged", "added", "changed", "removed", "standing_rejected")}
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
    pl.read_parquet(file.evidence).with_columns(ended).write_parquet(refused)
    bench.baseline = Columnar().advance(bench.baseline, [refused], bench.folder / "baselines")
    bench.change(mapping_hash="cd" * 32)
    assert counts(bench) == {"standing_rejected": 1}
    bench.change(removal=replace(plain, mapping_hash="2"))
    assert counts(bench) == {"removed": 1}


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
    removing: Bench, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    removing.change_source(key=before)
    removing.source(HEAD + '"[""1"",""a""]",a,m\n2,b,n\n')
    removing.accept_all()
    removing.change_source(key=after)
    comparison = removing.compare()
    assert (comparison.tally.added, comparison.tally.removed) == (2, 0)
    assert comparison.warnings == {"keys of an earlier key definition, which are not removed": 2}
    removing.accept_all()
    removing.source(HEAD + "2,b,n\n")
    assert counts(removing) == {"unchanged": 1, "removed": 1}, "those of today's are"
    removing.accept_all()
    removing.change_source(key=before)
    assert removing.compare().warnings == {"keys of an earlier key definition, which are not removed": 1}


def test_a_key_with_the_same_text_under_another_definition_is_sent_again_and_is_of_today_then(removing: Bench) -> None:
    removing.source("id,name,mail,no\n1,a,m,1\n2,b,n,2\n")
    removing.accept_all()
    removing.change_source(key=("no",))
    assert counts(removing) == {"changed": 2}
    removing.accept_all()
    removing.change(removal=Removal(mode="delete", record=record({"no": "=no"})))
    removing.source("id,name,mail,no\n1,a,m,1\n")
    assert counts(removing) == {"unchanged": 1, "removed": 1}
