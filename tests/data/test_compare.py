"""Each record of the source has exactly one classification, which depends on the baseline and the rows in flight."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from data_kit import ENGINE, HEAD, NOW, Bench, counts, engine_in, job, manifest_key, record, rules, verdicts, view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal, Send
from batchsync.core.mapping import Expression
from batchsync.core.naming import segment_key
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.baseline import apply, segments
from batchsync.data.compare import classify, classify_partition
from batchsync.data.frame import partitioned_spill
from batchsync.data.frame.hashes import HASH
from batchsync.errors import SourceError, StateError, UnavailableError
from batchsync.ports import BaselineEntry, CompareContext, Progress, RunEvent, SegmentEntry
from batchsync.storage import local_folder


def test_first_sync_adds_all_rows_and_second_none(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    assert counts(bench) == {"added": 2}
    bench.accept_all()
    assert counts(bench) == {"unchanged": 2}
    assert bench.compare().plan.baseline_rows == 2
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1, "added": 1}


def test_unmapped_column_does_not_change_record(bench: Bench) -> None:
    bench.source("id,name,mail,x\n1,a,m,1\n")
    bench.accept_all()
    bench.source("x,id,name,mail\n2,1,a,m\n")
    assert counts(bench) == {"unchanged": 1}


def test_another_target_or_mode_changes_all_records(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.change(target_hash="cd" * 32)
    assert counts(bench) == {"changed": 1}


def test_null_in_another_column_changes_record(bench: Bench) -> None:
    bench.source(HEAD + "1,ab,\n")
    bench.accept_all()
    bench.source(HEAD + "1,,ab\n")
    assert counts(bench) == {"changed": 1}


def test_send_all_sends_unchanged_rows(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.change(send=Send(rows="all"))
    assert counts(bench) == {"changed": 2}


def test_rejected_row_is_not_sent_until_it_changes(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "rejected")
    assert counts(bench) == {"still_rejected": 1}
    bench.source(HEAD + "1,b,m\n")
    assert counts(bench) == {"added": 1}


def test_rejected_row_is_sent_unchanged_on_request(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    removing.accept_all()
    removing.source(HEAD + "2,B,n\n3,c,o\n")
    verdicts(removing, "rejected")
    assert counts(removing) == {"still_rejected": 3}
    removing.change(send=Send(rejected=True))
    assert counts(removing) == {"added": 1, "changed": 1, "removed": 1}


def test_retryable_rejected_row_is_sent_again(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "rejected", retry=True)
    assert counts(bench) == {"added": 1}


def test_rows_in_flight_are_deferred(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    [file] = bench.stage(bench.compare())
    bench.in_flight = (manifest_key(file),)
    bench.source(HEAD + "1,a,m\n2,B,n\n4,d,p\n")
    assert counts(bench) == {"deferred": 2, "added": 1}


def test_reverted_row_is_deferred_while_newer_version_is_in_flight(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    [file] = bench.stage(bench.compare())
    bench.in_flight = (manifest_key(file),)
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"deferred": 1}


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def test_deleted_key_is_removed_last_and_leaves_baseline(removing: Bench) -> None:
    removing.source(HEAD + "2,b,n\n1,a,m\n")
    removing.accept_all()
    removing.source(HEAD + "3,c,o\n")
    comparison = removing.compare()
    assert (comparison.plan.counts.selected, comparison.plan.counts.removed, comparison.plan.counts.added) == (3, 2, 1)
    sent = removing.records()
    assert [item["mode"] for item in sent] == ["upsert", "delete", "delete"]
    assert sent[1]["value"] == {"identifiers": [{"provider": "CRM", "id": "1"}]}
    removing.accept_all()
    assert set(view(removing.folder, removing.baseline)) == {"3"}


def test_row_without_key_prevents_removals(removing: Bench) -> None:
    removing.source(HEAD + ",b,m\n")
    comparison = removing.compare()
    assert comparison.plan.counts.removed == 0
    assert comparison.plan.counts.outcomes[RowOutcome.INVALID] == 1
    assert comparison.plan.warnings["rows without a key, so nothing is removed"] == 1


def test_deleted_key_is_kept_without_on_removed(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD)
    assert counts(bench) == {}


def test_key_of_invalid_row_is_not_removed(removing: Bench) -> None:
    removing.source(HEAD + "1,5,m\n")
    removing.accept_all()
    removing.change(record=record({"id": "=id", "name": "=CAST(name AS INT)"}))
    removing.source(HEAD + "1,five,m\n")
    assert counts(removing) == {"invalid": 1}


def test_key_in_flight_is_not_removed(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n")
    removing.accept_all()
    removing.source(HEAD + "1,b,m\n")
    [file] = removing.stage(removing.compare())
    removing.in_flight = (manifest_key(file),)
    removing.source(HEAD)
    assert counts(removing) == {}


def test_rejected_removal_is_not_sent_again(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n")
    removing.accept_all()
    removing.source(HEAD)
    verdicts(removing, "rejected")
    assert counts(removing) == {"still_rejected": 1}


def test_removal_record_uses_columns_of_composite_key(removing: Bench) -> None:
    removing.change_source(key=("id", "name"))
    removing.change(removal=Removal(mode="delete", record=record({"who": "=name", "no": "=id"})))
    removing.source(HEAD + '1,"a ""q"" ü",m\n')
    removing.accept_all()
    removing.source(HEAD)
    assert removing.records()[0]["value"] == {"who": 'a "q" ü', "no": "1"}


def test_removal_record_that_cannot_be_computed_is_an_error(removing: Bench) -> None:
    removing.source(HEAD + "x1,a,m\n")
    removing.accept_all()
    removing.change(removal=Removal(mode="delete", record=record({"kind": "guest", "no": "=CAST(id AS INT)"})))
    removing.source(HEAD)
    with pytest.raises(SourceError, match="on_removed"):
        removing.records()


@pytest.mark.parametrize("watermark", ["31/12/2025", "soon", "2026-01-01", "-4"])
def test_unordered_since_value_is_compared_with_warning(bench: Bench, watermark: str) -> None:
    bench.change(send=Send(rows="changed", since="name"))
    bench.source(HEAD + "1,01/02/2026,m\n2,never,m\n3,-5,m\n4,12,m\n")
    bench.watermark = watermark
    comparison = bench.compare()
    assert (comparison.plan.counts.added, comparison.plan.counts.outcomes[RowOutcome.UNCHANGED]) == (4, 0)
    assert list(comparison.plan.warnings.values()) == [3]
    assert comparison.plan.watermark == ("2026-01-01" if watermark == "2026-01-01" else "12")


def test_plan_fingerprint_depends_on_changes_and_spec(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    first = bench.compare().plan.changes_digest
    bench.source(HEAD + "2,b,n\n1,a,m\n")
    assert bench.compare().plan.changes_digest == first
    bench.source(HEAD + "2,b,n\n1,a,M\n")
    assert bench.compare().plan.changes_digest != first
    bench.change(spec_hash="00" * 32)
    assert bench.compare().plan.changes_digest != first


def test_partitioned_comparison_equals_whole_comparison(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(300)))
    bench.accept_all()
    bench.source(HEAD + "".join(f"{row},{row % 3},m\n" for row in range(100, 400)))
    whole = bench.compare()
    monkeypatch.setattr(classify, "PARTITION_ROWS", 40)
    parts = bench.compare()
    assert parts.plan == whole.plan


ROW = st.tuples(st.sampled_from(["1", "2", "3", "4", ""]), st.sampled_from(["a", "b", "bad", ""]))
STEP = st.tuples(st.lists(ROW, max_size=6), st.sampled_from(["accepted", "rejected", "unknown", "in flight"]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=4), removes=st.booleans(), policy=st.sampled_from(["first", "last"]))
def test_counts_balance_after_any_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], *, removes: bool, policy: str
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    made = job(folder, {"id": "=id", "n": "=CASE name WHEN 'bad' THEN CAST(name AS INT) ELSE 1 END", "name": "=name"})
    made = replace(made, source=replace(made.source, duplicates=policy))
    if removes:
        made = replace(made, removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench = Bench(folder, made, rules())
    for rows, state in steps:
        bench.source("id,name\n" + "".join(f"{key},{name}\n" for key, name in rows))
        comparison = bench.compare()
        comparison.plan.counts.assert_balanced()
        files = bench.stage(comparison)
        assert sum(item.rows for item in files) == comparison.plan.counts.to_send
        listed = comparison.plan.counts.outcomes.sum_of((RowOutcome.INVALID, RowOutcome.SUPERSEDED))
        assert sum(len(chunk) for chunk in ENGINE.invalid(comparison)) == listed
        if state == "in flight":
            bench.in_flight += tuple(manifest_key(item) for item in files)
            continue
        for file in files:
            path = folder / f"{file.digest}.{bench.runs}.parquet"
            ended = [pl.lit(state).alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code")]
            pl.read_parquet(file.row_manifest).with_columns(ended).write_parquet(path)
            moved = bench.engine.apply_verdicts(bench.baseline, [path])
            again = bench.engine.apply_verdicts(moved, [path])
            assert view(folder, again) == view(folder, moved)
            bench.baseline = moved


@pytest.mark.parametrize("damage", [b"", b"PAR1 no", None])
def test_missing_or_damaged_state_file_is_an_error(bench: Bench, damage: bytes | None) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    broken = segment_key("job", "broken.parquet")
    path = bench.folder / broken
    if damage is not None:
        path.write_bytes(damage)
    bench.in_flight = (broken,)
    with pytest.raises(StateError, match=r"broken\.parquet"):
        bench.compare()
    bench.in_flight = ()
    bench.baseline = BaselineEntry(
        job="job", account_id="", segments=(SegmentEntry(file=path.name, digest="", rows=1),)
    )
    with pytest.raises(StateError, match=r"broken\.parquet"):
        bench.compare()
    with pytest.raises(StateError, match=r"broken\.parquet"):
        bench.engine.apply_verdicts(bench.baseline, [])


def test_full_disk_is_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bench.source(HEAD + "1,a,m\n")
    comparison = bench.compare()
    monkeypatch.setattr(local_folder, "fsync_file", full)
    with pytest.raises(UnavailableError, match="the disk is full"):
        bench.stage(comparison)


@pytest.mark.parametrize("where", [None, "id >= '30000'", "FALSE"])
def test_progress_is_emitted(bench: Bench, where: str | None) -> None:
    progress: list[int] = []
    bench.change_source(where=None if where is None else Expression(where))
    sent = {None: 60_000, "FALSE": 0}.get(where, 30_000)

    class RecordingSink:
        def emit(self, event: RunEvent, /) -> None:
            assert isinstance(event, Progress)
            progress.append(event.done)
            size = event.size
            assert size is not None
            assert (size[1] is None) == (event.stage == "stage")
            assert size[1] is None or abs(size[0] - size[1] * event.done // 60_000) < 100
            assert event.stage == "compare" or event.done <= sent
            assert (event.job, event.unit) in {("job", "rows"), ("job", "records")}
            assert event.stage in {"compare", "stage"}
            assert event.total in (None, sent)

    bench.source(HEAD + "".join(f"{row:05},a,m\n" for row in range(60_000)))
    context = CompareContext(folder=bench.folder / "w", now=NOW, events=RecordingSink())
    comparison = bench.engine.compare(bench.job, bench.rules, bench.baseline, context)
    assert progress == [25_000, 50_000, 60_000]
    engine_in(bench.folder, events=RecordingSink()).stage(bench.job, bench.rules, comparison)
    assert progress[-1] == sent or not sent


@pytest.mark.parametrize("policy", ["fail", "last"])
def test_keys_with_equal_hashes_are_compared_by_key(bench: Bench, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    same_hash = pl.lit(7, dtype=pl.UInt64).alias(HASH)
    for module in (classify_partition, segments, apply, partitioned_spill):
        monkeypatch.setattr(module, "hash_of", lambda key: pl.when(pl.col(key) != "").then(same_hash), raising=False)
    bench.change_source(duplicates=policy)
    bench.source(HEAD + "1,a,m\n2,b,m\n3,c,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,x,m\n4,d,m\n")
    plan = bench.compare().plan.counts
    assert (plan.outcomes[RowOutcome.UNCHANGED], plan.changed, plan.added) == (1, 1, 1)
    bench.source(HEAD + "1,a,m\n1,b,m\n")
    if policy == "fail":
        with pytest.raises(SourceError, match="occurs more than once"):
            bench.compare()
    else:
        assert bench.compare().plan.counts.outcomes[RowOutcome.SUPERSEDED] == 1
