"""Which edits change the fingerprint of a record, and which do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
from data_kit import HEAD, Bench, job, record, rules, segment_paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal, Send
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.baseline.segments import holds_former_fingerprints
from batchsync.data.batchfile import encode
from batchsync.data.record import examine
from batchsync.data.record.fingerprint import former_fingerprints

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.record.compiled_job import CompiledJob


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


def test_fingerprints_in_stored_baselines_stay_the_same(bench: Bench) -> None:
    """Other bytes for the same record would send every record of every target again."""
    wide = {f"m{number}": "=coalesce(name, mail)" if number % 3 else f"constant {number}" for number in range(30)}
    nested = {"list": ["=name", "=mail", "x"], "object": {"mail": "=mail", "flag": True, "number": 1.5, "none": None}}
    bench.change(record=record({"id": "=id", "name": "=name", "mail": "=mail", **nested, **wide}))
    bench.source(HEAD + "1,a,m\n2,,n\n3,ü🙂,\n4,,\n")
    changes = pl.read_parquet(bench.compare().folder / "changes.parquet").sort("key")
    assert changes["fingerprint"].bin.encode("hex").to_list() == [
        "0227d712d434e02f652d27105d837aa96efc949a4d",
        "020d43380645ec83ec6603823c82803fb3fc949a4d",
        "02702db2547ad7d762d2a488e40c571015fc949a4d",
        "022a055a7d54ee87bd0d8372f10ff364e4fc949a4d",
    ]


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


MAPPINGS: list[dict[str, Any]] = [
    {"id": "=id", "name": "=name", "mail": "=mail"},
    {"mail": "=mail", "name": "=name", "id": "=id"},
    {"id": "=id", "name": "=trim(name)", "mail": "=lower(mail)"},
    {"id": "=id", "name": "=coalesce(name, 'a')", "mail": "=mail"},
    {"id": "=id", "name": "a", "mail": "=mail"},
    {"id": "=id", "name": "=name"},
    {"id": "=id", "name": "=name", "mail": "=mail", "more": "=NULLIF(name, 'a')"},
    {"id": "=id", "name": {"mail": "=mail", "more": "x"}},
    {"id": "=id", "name": {"more": "=CASE WHEN name = 'b' THEN 'x' ELSE 'x' END", "mail": "=mail"}},
    {"id": "=id", "name": ["=name", "=mail"]},
    {"id": "=id", "free": 1},
    {"id": "=id", "free": "1"},
    {"id": "=id", "free": "=CAST(1 AS BIGINT)"},
    {"id": "=id", "free": "=TRUE"},
    {"id": "=id", "free": True},
]
VALUES = st.sampled_from(["", "a", "b", " a", "A", "true", "1", "\0", "ü"])


def without_order(value: Any) -> str:
    """Return JSON with sorted members."""
    return json.dumps(value, sort_keys=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6),
    before=st.sampled_from(MAPPINGS),
    after=st.sampled_from(MAPPINGS),
)
def test_edit_of_mapping_sends_exactly_the_records_that_it_changes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], before: dict[str, Any], after: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("bench")
    text = "id,name,mail\n" + "".join(f'k{number},"{name}","{mail}"\n' for number, (name, mail) in enumerate(rows))
    bench, fresh = (Bench(folder / name, job(folder / name, before), rules()) for name in ("edited", "fresh"))
    for item in (bench, fresh):
        item.folder.mkdir()
        item.source(text)
    held = {line["value"]["id"]: without_order(line["value"]) for line in bench.records()}
    bench.accept_all()
    for item in (bench, fresh):
        item.change(record=record(after), mapping_hash="cd" * 32)
    wanted = {line["value"]["id"]: without_order(line["value"]) for line in fresh.records()}
    plan = bench.compare().plan.counts
    assert plan.changed == sum(held[key] != wanted[key] for key in held)
    assert plan.changed + plan.outcomes[RowOutcome.UNCHANGED] == len(rows)


def test_value_moved_between_members_or_rows_of_a_record_changes_it(tmp_path: Path) -> None:
    items = {"no": "=no", "items": [{"each": {"sku": "=sku", "qty": "=qty"}}], "notes": [{"each": {"note": "=note"}}]}
    bench = Bench(tmp_path, job(tmp_path, items, source={"key": ("no",)}), rules())
    head = "no,sku,qty,note\n"
    bench.source(head + "A,s1,1,x\nA,s2,2,\n")
    bench.accept_all()
    for other in ("A,s2,1,x\nA,s1,2,\n", "A,1,s1,x\nA,s2,2,\n", "A,s1,1,\nA,s2,2,\n", "A,x,1,s1\nA,s2,2,\n"):
        bench.source(head + other)
        assert bench.compare().plan.counts.changed == 1, other
    bench.source(head + "A,s2,2,\nA,,,\nA,s1,1,x\n")
    assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 1, "a row without items adds none"


def of_version_1(compiled: CompiledJob, mapped: MappedRecords) -> pl.Series:
    """Return fingerprints as an older release made them."""
    return former_fingerprints(compiled, mapped).alias("batchsync:fingerprint")


def test_baseline_of_an_older_release_is_carried_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    with monkeypatch.context() as older:
        for module in (examine, encode):
            older.setattr(module, "fingerprints", of_version_1)
        bench.accept_all()
    assert holds_former_fingerprints(segment_paths(bench.folder, bench.baseline)[0])
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n4,d,p\n")
    plan = bench.compare().plan.counts
    assert (plan.added, plan.changed, plan.outcomes[RowOutcome.UNCHANGED]) == (1, 1, 2)
    bench.accept_all()
    plan = bench.compare().plan.counts
    assert (plan.added, plan.changed, plan.outcomes[RowOutcome.UNCHANGED]) == (0, 0, 4)
    assert any(holds_former_fingerprints(path) for path in segment_paths(bench.folder, bench.baseline))


def test_fingerprints_of_unchanged_records_are_renewed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it, an edit that changes no record sends none."""
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    with monkeypatch.context() as older:
        for module in (examine, encode):
            older.setattr(module, "fingerprints", of_version_1)
        bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n4,d,p\n")
    comparison = bench.compare()
    assert comparison.plan.incomparable == 1
    bench.baseline = bench.engine.renew(bench.job, bench.rules, comparison, bench.baseline)
    again = bench.compare()
    assert again.plan.counts == comparison.plan.counts
    assert bench.engine.renew(bench.job, bench.rules, again, bench.baseline) == bench.baseline
    bench.accept_all()
    bench.change(mapping_hash="cd" * 32)
    edited = bench.compare().plan
    assert (edited.counts.changed, edited.counts.outcomes[RowOutcome.UNCHANGED], edited.incomparable) == (0, 4, 0)
    assert bench.engine.renew(bench.job, bench.rules, bench.compare(), bench.baseline) == bench.baseline


def test_segment_without_fingerprints_of_an_older_release_is_compared_with_one_version(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    assert not any(holds_former_fingerprints(path) for path in segment_paths(bench.folder, bench.baseline))
