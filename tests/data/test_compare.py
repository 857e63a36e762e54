"""Each record of the source is in exactly one place, and the place follows from the baseline and what is in flight."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from data_kit import HEAD, NOW, Bench, counts, job, record, rules, verdicts, view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.job import Removal, Send
from lading.data import Columnar, baseline, diff, ordered, scatter, sealed, segments
from lading.data.scatter import HASH
from lading.errors import EnvironmentProblem, SourceError, StateError
from lading.ports import Baseline, CompareContext, Segment, Size


def test_nothing_known_is_all_added_and_afterwards_all_unchanged(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    assert counts(bench) == {"added": 2}
    bench.accept_all()
    assert counts(bench) == {"unchanged": 2}
    assert bench.compare().baseline_rows == 2
    bench.source(HEAD + "1,a,m\n2,B,n\n3,c,o\n")
    assert counts(bench) == {"unchanged": 1, "changed": 1, "added": 1}


def test_a_column_that_is_not_mapped_changes_nothing(bench: Bench) -> None:
    bench.source("id,name,mail,x\n1,a,m,1\n")
    bench.accept_all()
    bench.source("x,id,name,mail\n2,1,a,m\n")
    assert counts(bench) == {"unchanged": 1}


def test_another_mapping_sends_everything_again(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.change(mapping_hash="cd" * 32)
    assert counts(bench) == {"changed": 1}


def test_a_null_and_an_empty_neighbour_are_different_rows(bench: Bench) -> None:
    bench.source(HEAD + "1,ab,\n")
    bench.accept_all()
    bench.source(HEAD + "1,,ab\n")
    assert counts(bench) == {"changed": 1}


def test_send_all_sends_what_is_unchanged(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    bench.accept_all()
    bench.change(send=Send(what="all"))
    assert counts(bench) == {"changed": 2}


def test_a_rejected_row_stands_until_it_changes(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "rejected")
    assert counts(bench) == {"standing_rejected": 1}
    bench.source(HEAD + "1,b,m\n")
    assert counts(bench) == {"added": 1}


def test_a_rejected_row_is_sent_again_unchanged_on_request(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n2,b,n\n")
    removing.accept_all()
    removing.source(HEAD + "2,B,n\n3,c,o\n")
    verdicts(removing, "rejected")
    assert counts(removing) == {"standing_rejected": 3}
    removing.change(send=Send(rejected=True))
    assert counts(removing) == {"added": 1, "changed": 1, "removed": 1}


def test_a_rejected_row_that_may_be_retried_is_sent_again(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    verdicts(bench, "rejected", retry=True)
    assert counts(bench) == {"added": 1}


def test_rows_in_flight_are_held_whether_they_changed_or_not(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n3,c,o\n")
    [file] = bench.stage(bench.compare())
    bench.in_flight = (Path(file.evidence),)
    bench.source(HEAD + "1,a,m\n2,B,n\n4,d,p\n")
    assert counts(bench) == {"held": 2, "added": 1}


def test_a_row_that_went_back_to_what_the_target_holds_waits_while_a_newer_one_flies(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,b,m\n")
    [file] = bench.stage(bench.compare())
    bench.in_flight = (Path(file.evidence),)
    bench.source(HEAD + "1,a,m\n")
    assert counts(bench) == {"held": 1}


@pytest.fixture
def removing(bench: Bench) -> Bench:
    bench.change(removal=Removal(mode="delete", record=record({"identifiers": [{"provider": "CRM", "id": "=id"}]})))
    return bench


def test_a_key_that_left_the_source_is_removed_last_and_then_forgotten(removing: Bench) -> None:
    removing.source(HEAD + "2,b,n\n1,a,m\n")
    removing.accept_all()
    removing.source(HEAD + "3,c,o\n")
    comparison = removing.compare()
    assert (comparison.tally.selected, comparison.tally.removed, comparison.tally.added) == (3, 2, 1)
    sent = removing.records()
    assert [one["mode"] for one in sent] == ["upsert", "delete", "delete"]
    assert sent[1]["value"] == {"identifiers": [{"provider": "CRM", "id": "1"}]}
    removing.accept_all()
    assert set(view(removing.baseline)) == {"3"}


def test_nothing_is_removed_while_a_row_has_lost_its_key(removing: Bench) -> None:
    removing.source(HEAD + ",b,m\n")
    comparison = removing.compare()
    assert comparison.tally.removed == 0
    assert comparison.tally.invalid == 1
    assert comparison.warnings["rows without a key, so nothing is removed"] == 1


def test_no_removal_without_the_job_asking_for_it(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    bench.source(HEAD)
    assert counts(bench) == {}


def test_an_invalid_row_is_still_there_and_is_not_removed(removing: Bench) -> None:
    removing.source(HEAD + "1,5,m\n")
    removing.accept_all()
    removing.change(record=record({"id": "=id", "name": "=CAST(name AS INT)"}))
    removing.source(HEAD + "1,five,m\n")
    assert counts(removing) == {"invalid": 1}


def test_a_key_in_flight_is_not_removed(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n")
    removing.accept_all()
    removing.source(HEAD + "1,b,m\n")
    [file] = removing.stage(removing.compare())
    removing.in_flight = (Path(file.evidence),)
    removing.source(HEAD)
    assert counts(removing) == {}


def test_a_rejected_removal_stands(removing: Bench) -> None:
    removing.source(HEAD + "1,a,m\n")
    removing.accept_all()
    removing.source(HEAD)
    verdicts(removing, "rejected")
    assert counts(removing) == {"standing_rejected": 1}


def test_composite_keys_are_taken_apart_for_a_removal(removing: Bench) -> None:
    removing.change_source(key=("id", "name"))
    removing.change(removal=Removal(mode="delete", record=record({"who": "=name", "no": "=id"})))
    removing.source(HEAD + '1,"a ""q"" ü",m\n')
    removing.accept_all()
    removing.source(HEAD)
    assert removing.records()[0]["value"] == {"who": 'a "q" ü', "no": "1"}


def test_a_removal_whose_record_cannot_be_made_is_not_sent_without_its_identity(removing: Bench) -> None:
    removing.source(HEAD + "x1,a,m\n")
    removing.accept_all()
    removing.change(removal=Removal(mode="delete", record=record({"kind": "guest", "no": "=CAST(id AS INT)"})))
    removing.source(HEAD)
    with pytest.raises(SourceError, match="removal"):
        removing.records()


@pytest.mark.parametrize("mark", ["31/12/2025", "soon", "2026-01-01", "-4"])
def test_what_cannot_be_put_in_order_is_compared_with_the_baseline_and_told(bench: Bench, mark: str) -> None:
    bench.change(send=Send(what="changed", since="name"))
    bench.source(HEAD + "1,01/02/2026,m\n2,never,m\n3,-5,m\n4,12,m\n")
    bench.high_water = mark
    comparison = bench.compare()
    assert (comparison.tally.added, comparison.tally.unchanged) == (4, 0)
    assert list(comparison.warnings.values()) == [3]
    assert comparison.high_water == ("2026-01-01" if mark == "2026-01-01" else "12")


def test_the_plan_has_the_same_fingerprint_exactly_when_the_same_would_be_sent(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,n\n")
    first = bench.compare().fingerprint
    bench.source(HEAD + "2,b,n\n1,a,m\n")
    assert bench.compare().fingerprint == first
    bench.source(HEAD + "2,b,n\n1,a,M\n")
    assert bench.compare().fingerprint != first
    bench.change(spec_hash="00" * 32)
    assert bench.compare().fingerprint != first


def test_many_parts_give_what_one_part_gives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(300)))
    bench.accept_all()
    bench.source(HEAD + "".join(f"{row},{row % 3},m\n" for row in range(100, 400)))
    whole = bench.compare()
    monkeypatch.setattr(diff, "PART", 40)
    parts = bench.compare()
    assert (parts.tally, parts.fingerprint) == (whole.tally, whole.fingerprint)


ROW = st.tuples(st.sampled_from(["1", "2", "3", "4", ""]), st.sampled_from(["a", "b", "bad", ""]))
STEP = st.tuples(st.lists(ROW, max_size=6), st.sampled_from(["accepted", "rejected", "unknown", "flying"]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=4), removes=st.booleans(), policy=st.sampled_from(["first", "last"]))
def test_the_books_balance_whatever_happened_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], *, removes: bool, policy: str
) -> None:
    folder = tmp_path_factory.mktemp("books")
    made = job(folder, {"id": "=id", "n": "=CASE name WHEN 'bad' THEN CAST(name AS INT) ELSE 1 END", "name": "=name"})
    made = replace(made, source=replace(made.source, duplicates=policy))
    if removes:
        made = replace(made, removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench = Bench(folder, made, rules())
    bench.baseline = Baseline()
    for rows, state in steps:
        bench.source("id,name\n" + "".join(f"{key},{name}\n" for key, name in rows))
        comparison = bench.compare()
        comparison.tally.check()
        files = bench.stage(comparison)
        assert sum(one.rows for one in files) == comparison.tally.to_send
        assert sum(len(chunk) for chunk in Columnar().invalid(comparison)) == comparison.tally.invalid
        if state == "flying":
            bench.in_flight += tuple(Path(one.evidence) for one in files)
            continue
        for file in files:
            path = folder / f"{file.digest}.{bench.runs}.parquet"
            ended = [pl.lit(state).alias("state"), pl.lit(value=False).alias("retry"), pl.lit("").alias("code")]
            pl.read_parquet(file.evidence).with_columns(ended).write_parquet(path)
            moved = Columnar().advance(bench.baseline, [path], folder / "baselines")
            again = Columnar().advance(moved, [path], folder / "baselines")
            assert view(again) == view(moved)
            bench.baseline = moved


@pytest.mark.parametrize("damage", [b"", b"PAR1 no", None])
def test_a_baseline_or_evidence_that_is_gone_or_damaged_stops_everything(bench: Bench, damage: bytes | None) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.accept_all()
    path = bench.folder / "broken.parquet"
    if damage is not None:
        path.write_bytes(damage)
    bench.in_flight = (path,)
    with pytest.raises(StateError, match=r"broken\.parquet"):
        bench.compare()
    bench.in_flight = ()
    bench.baseline = Baseline(segments=(Segment(path=path, rows=1),))
    with pytest.raises(StateError, match=r"broken\.parquet"):
        bench.compare()
    with pytest.raises(StateError, match=r"broken\.parquet"):
        Columnar().advance(bench.baseline, [], bench.folder)


def test_a_disk_that_is_full_is_said_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    bench.source(HEAD + "1,a,m\n")
    comparison = bench.compare()
    monkeypatch.setattr(sealed, "settle_on_disk", full)
    with pytest.raises(EnvironmentProblem, match="the disk is full"):
        bench.stage(comparison)


def test_a_watcher_is_told_how_far_the_reading_is(bench: Bench) -> None:
    told: list[int] = []

    class Watcher:
        def progress(
            self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
        ) -> None:
            told.append(done)
            assert size is not None
            assert (size[1] is None) == (stage == "stage")
            assert size[1] is None or abs(size[0] - size[1] * done // 60_000) < 100
            assert (job, unit in {"rows", "records"}, stage in {"compare", "stage"}) == ("job", True, True)
            assert total in (None, 60_000)

        def moved(self, batch: object) -> None: ...

        def waiting(self, until: object) -> None: ...

    bench.source(HEAD + "".join(f"{row:05},a,m\n" for row in range(60_000)))
    context = CompareContext(folder=bench.folder / "w", now=NOW, watcher=Watcher())
    comparison = Columnar().compare(bench.job, bench.rules, bench.baseline, context)
    assert told == [25_000, 50_000, 60_000]
    Columnar(Watcher()).stage(bench.job, bench.rules, comparison, bench.folder / "f")
    assert told[-1] == 60_000


@pytest.mark.parametrize("policy", ["fail", "last"])
def test_keys_that_share_a_hash_are_compared_by_themselves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    alike = pl.lit(7, dtype=pl.UInt64).alias(HASH)
    for module in (diff, ordered, segments, baseline, scatter):
        monkeypatch.setattr(module, "hashed", lambda key: pl.when(pl.col(key) != "").then(alike), raising=False)
    bench.change_source(duplicates=policy)
    bench.source(HEAD + "1,a,m\n2,b,m\n3,c,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,m\n2,x,m\n4,d,m\n")
    tally = bench.compare().tally
    assert (tally.unchanged, tally.changed, tally.added) == (1, 1, 1)
    bench.source(HEAD + "1,a,m\n1,b,m\n")
    if policy == "fail":
        with pytest.raises(SourceError, match="stands more than once"):
            bench.compare()
    else:
        assert bench.compare().tally.invalid == 1
