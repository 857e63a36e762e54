"""What makes a row another row, and what does not."""

from __future__ import annotations

import polars as pl
from data_kit import HEAD, Bench, record

from batchsync.core.job import Removal, Send


def unchanged(bench: Bench) -> bool:
    """Whether the only row is what the target holds."""
    tally = bench.compare().counts
    assert (tally.selected, tally.unchanged + tally.changed) == (1, 1)
    return tally.unchanged == 1


def test_an_edit_of_the_job_that_leaves_the_mapping_alone_sends_nothing_again(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.change(spec_hash="cd" * 32, removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.change_source(duplicates="first", delimiter=";")
    bench.source("id;name;mail\n1;a;m\n")
    assert unchanged(bench)


def test_the_same_texts_in_parquet_are_the_same_rows_and_numbers_are_others(bench: Bench) -> None:
    bench.change(record=record({"id": "=id", "free": "=name", "whole": "=mail"}))
    bench.source(HEAD + "1,1.5,7\n")
    bench.accept_all()
    bench.change_source(path="source.parquet")
    texts = {"id": ["1"], "name": ["1.5"], "mail": ["7"]}
    pl.DataFrame(texts).write_parquet(bench.folder / "source.parquet")
    assert unchanged(bench)
    for more in ({"name": [1.5]}, {"mail": [7]}, {"mail": pl.Series([7], dtype=pl.UInt64)}):
        pl.DataFrame(texts | more).write_parquet(bench.folder / "source.parquet")
        assert not unchanged(bench), "it stands in JSON without quotes"


def test_a_row_sent_again_as_the_target_holds_it_is_counted_apart(bench: Bench) -> None:
    bench.change(send=Send(what="all"))
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n")
    tally = bench.compare().counts
    assert (tally.added, tally.changed, tally.resent) == (1, 2, 1)
    bench.change(send=Send())
    tally = bench.compare().counts
    assert (tally.added, tally.changed, tally.resent) == (1, 1, 0)
