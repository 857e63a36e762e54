"""Which edits change the fingerprint of a record, and which do not."""

from __future__ import annotations

import polars as pl
from data_kit import HEAD, Bench, record

from batchsync.core.job import Removal, Send
from batchsync.core.row_outcome import RowOutcome


def unchanged(bench: Bench) -> bool:
    """Return whether the only row is unchanged."""
    plan = bench.compare().plan.counts
    assert (plan.selected, plan.outcomes[RowOutcome.UNCHANGED] + plan.changed) == (1, 1)
    return plan.outcomes[RowOutcome.UNCHANGED] == 1


def test_job_edit_outside_mapping_changes_no_record(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.change(spec_hash="cd" * 32, removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.change_source(duplicates="first", delimiter=";")
    bench.source("id;name;mail\n1;a;m\n")
    assert unchanged(bench)


def test_text_column_of_parquet_equals_csv_and_number_differs(bench: Bench) -> None:
    bench.change(record=record({"id": "=id", "free": "=name", "whole": "=mail"}))
    bench.source(HEAD + "1,1.5,7\n")
    bench.accept_all()
    bench.change_source(path="source.parquet")
    texts = {"id": ["1"], "name": ["1.5"], "mail": ["7"]}
    pl.DataFrame(texts).write_parquet(bench.folder / "source.parquet")
    assert unchanged(bench)
    for more in ({"name": [1.5]}, {"mail": [7]}, {"mail": pl.Series([7], dtype=pl.UInt64)}):
        pl.DataFrame(texts | more).write_parquet(bench.folder / "source.parquet")
        assert not unchanged(bench), "a number is written without quotes"


def test_resent_unchanged_row_is_counted_separately(bench: Bench) -> None:
    bench.change(send=Send(rows="all"))
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n")
    plan = bench.compare().plan.counts
    assert (plan.added, plan.changed, plan.resent) == (1, 2, 1)
    bench.change(send=Send())
    plan = bench.compare().plan.counts
    assert (plan.added, plan.changed, plan.resent) == (1, 1, 0)
