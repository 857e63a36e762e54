"""Content of records in the baseline: what is kept, what a plan shows of it, and what becomes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import HEAD, Bench, csv_rules, job, record, resolve_first, rules, segment_paths, verdicts

from batchsync.core.job import Removal
from batchsync.core.keep import Keep
from batchsync.core.vendor_rules import Sends

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.ports import PlanRecords

ANN, BOB = "1,Ann,a@example.com\n", "2,Bob,b@example.com\n"
CONTENT = ("layout", "hashes", "record")


def review(bench: Bench, limit: int = 3) -> PlanRecords:
    """Compare, and return the records of the plan."""
    return bench.engine.review(bench.job, bench.rules, bench.compare(), bench.baseline, limit)


def renew(bench: Bench) -> None:
    """Renew the baseline as a run does that has nothing to send."""
    bench.baseline = bench.engine.renew(bench.job, bench.rules, bench.compare(), bench.baseline)


def kept(bench: Bench) -> dict[str, tuple[str | None, ...]]:
    """Return what the segments hold of each key, in the columns of content that they have."""
    found: dict[str, tuple[str | None, ...]] = {}
    for path in segment_paths(bench.folder, bench.baseline):
        rows = pl.read_parquet(path, glob=False)
        names = [name for name in CONTENT if name in rows.columns]
        found |= {row[0]: row[1:] for row in rows.select("key", *names).iter_rows()}
    return found


@pytest.fixture
def members(bench: Bench) -> Bench:
    """A job that keeps hashes of members, whose target holds two records."""
    bench.change(keep=Keep.MEMBERS)
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    return bench


def test_fingerprints_alone_are_kept_by_default(bench: Bench) -> None:
    bench.source(HEAD + ANN)
    bench.accept_all()

    (segment,) = segment_paths(bench.folder, bench.baseline)
    assert not set(CONTENT) & set(pl.read_parquet_schema(segment))


def test_records_to_add_are_shown_as_they_would_be_sent(bench: Bench) -> None:
    bench.source(HEAD + ANN + BOB)

    shown = review(bench, 1).added

    assert [(item.key, item.row) for item in shown] == [("1", 1)]
    assert json.loads(shown[0].record) == {"id": "1", "name": "Ann", "mail": "a@example.com"}
    assert bench.records()[0]["value"] == json.loads(shown[0].record)


def test_no_record_is_read_if_none_is_wanted(bench: Bench) -> None:
    bench.source(HEAD + ANN)
    found = review(bench, 0)

    assert found.added == ()
    assert found.bytes_per_record is None


def test_removal_records_are_shown(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.source(HEAD + ANN)

    assert [json.loads(item.record) for item in review(bench).removed] == [{"id": "2"}]


def test_changed_members_are_found_by_their_hashes(members: Bench) -> None:
    members.source(HEAD + "1,Ann,new@example.com\n" + "2,Bert,\n")

    found = review(members)

    assert [item.members for item in found.changed] == [("mail",), ("name", "mail")]
    assert found.members == {"mail": 2, "name": 1}
    assert found.without_content == 0
    assert [item.before for item in found.changed] == [None, None]


def test_counts_by_member_include_records_that_are_not_shown(members: Bench) -> None:
    members.source(HEAD + "1,Ann,new@example.com\n" + "2,Bert,b@example.com\n")

    found = review(members, 0)

    assert found.changed == ()
    assert found.members == {"mail": 1, "name": 1}


def test_records_before_are_kept_on_request(bench: Bench) -> None:
    bench.change(keep=Keep.RECORDS)
    bench.source(HEAD + ANN)
    bench.accept_all()
    bench.source(HEAD + "1,Ann,new@example.com\n")

    (shown,) = review(bench).changed

    assert shown.before is not None
    assert json.loads(shown.before)["mail"] == "a@example.com"
    assert json.loads(shown.record)["mail"] == "new@example.com"
    assert shown.members == ("mail",)


def test_members_of_an_older_baseline_are_not_known(bench: Bench) -> None:
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.change(keep=Keep.MEMBERS)
    bench.source(HEAD + "1,Ann,new@example.com\n" + BOB)

    found = review(bench)

    assert [item.members for item in found.changed] == [None]
    assert found.without_content == 1


@pytest.mark.parametrize("keep", [Keep.MEMBERS, Keep.RECORDS])
def test_keeping_more_sends_nothing_and_completes_unchanged_records(bench: Bench, keep: Keep) -> None:
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.change(keep=keep)

    assert bench.compare().plan.counts.to_send == 0
    renew(bench)
    assert bench.compare().plan.counts.to_send == 0

    bench.source(HEAD + "1,Ann,new@example.com\n" + BOB)
    found = review(bench)
    assert [item.members for item in found.changed] == [("mail",)]
    assert (found.changed[0].before is not None) == (keep is Keep.RECORDS)


def test_members_become_records_without_sending(members: Bench) -> None:
    members.change(keep=Keep.RECORDS)
    renew(members)

    assert all(row[2] is not None for row in kept(members).values())
    assert members.compare().plan.counts.to_send == 0


def test_a_second_renewal_changes_nothing(members: Bench) -> None:
    before = members.baseline
    renew(members)

    assert members.baseline == before


@pytest.mark.parametrize(("keep", "columns"), [(Keep.FINGERPRINTS, 0), (Keep.MEMBERS, 2)])
def test_keeping_less_drops_content_and_sends_nothing(bench: Bench, keep: Keep, columns: int) -> None:
    bench.change(keep=Keep.RECORDS)
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.change(keep=keep)
    renew(bench)

    assert {len(row) for row in kept(bench).values()} == {columns}
    assert not any(b"example.com" in path.read_bytes() for path in segment_paths(bench.folder, bench.baseline))
    assert bench.compare().plan.counts.to_send == 0
    renewed = bench.baseline
    renew(bench)
    assert bench.baseline == renewed


def test_kept_members_are_used_after_records_were_dropped(bench: Bench) -> None:
    bench.change(keep=Keep.RECORDS)
    bench.source(HEAD + ANN)
    bench.accept_all()
    bench.change(keep=Keep.MEMBERS)
    renew(bench)
    bench.source(HEAD + "1,Anna,a@example.com\n")

    assert [item.members for item in review(bench).changed] == [("name",)]


def test_rejected_version_leaves_the_content_of_the_accepted_one(members: Bench) -> None:
    members.source(HEAD + "1,Ann,new@example.com\n" + BOB)
    verdicts(members, "rejected")
    members.source(HEAD + "1,Anna,a@example.com\n" + BOB)

    assert [item.members for item in review(members).changed] == [("name",)]


def test_resolved_version_has_no_content(members: Bench) -> None:
    members.source(HEAD + "1,Ann,new@example.com\n" + BOB)
    verdicts(members, "unknown")
    resolve_first(members, delivered=True)
    members.source(HEAD + "1,Anna,a@example.com\n" + BOB)

    found = review(members)
    assert [item.members for item in found.changed] == [None]
    assert found.without_content == 1


def test_row_to_be_sent_again_keeps_the_content_of_the_accepted_version(members: Bench) -> None:
    members.source(HEAD + "1,Ann,new@example.com\n" + BOB)
    verdicts(members, "unknown")
    resolve_first(members, delivered=False)

    assert [item.members for item in review(members).changed] == [("mail",)]


@pytest.mark.parametrize("keep", [Keep.MEMBERS, Keep.RECORDS])
def test_compaction_keeps_the_newest_content(bench: Bench, keep: Keep) -> None:
    bench.change(keep=keep)
    for number in range(15):
        bench.source(HEAD + f"1,Ann,{number}@example.com\n" + (BOB if number else ""))
        bench.accept_all()
    assert len(bench.baseline.segments) <= 12
    bench.source(HEAD + "1,Ann,14@example.com\n2,Bert,b@example.com\n")

    (changed,) = review(bench).changed

    assert (changed.key, changed.members) == ("2", ("name",))
    known = bench.engine.lookup("1", bench.baseline, ())
    assert known.record is None or json.loads(known.record)["mail"] == "14@example.com"


def test_many_records_are_distributed_by_key(bench: Bench) -> None:
    bench.change(keep=Keep.RECORDS)
    numbers = range(25_000)
    bench.source(HEAD + "".join(f"{number},Name {number},{number}@example.com\n" for number in numbers))
    bench.accept_all()
    for key in ("0", "12345", "24999"):
        found = bench.engine.lookup(key, bench.baseline, ())
        assert found.record is not None
        assert json.loads(found.record)["mail"] == f"{key}@example.com"
    bench.source(HEAD + "".join(f"{number},Name {number},{number % 7}@example.com\n" for number in numbers))

    found = review(bench)

    assert found.members == {"mail": 25_000 - 7}


def test_erased_key_leaves_no_content(bench: Bench) -> None:
    bench.change(keep=Keep.RECORDS)
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.baseline = bench.engine.erase(bench.baseline, ["1"])

    assert list(kept(bench)) == ["2"]
    assert not any(b"a@example.com" in path.read_bytes() for path in segment_paths(bench.folder, bench.baseline))


def test_equal_values_of_different_keys_have_different_hashes(bench: Bench) -> None:
    bench.change(keep=Keep.MEMBERS)
    bench.source(HEAD + "1,Ann,x@example.com\n2,Ann,x@example.com\n")
    bench.accept_all()

    first, second = (row[1] for row in kept(bench).values())
    assert first is not None
    assert second is not None
    assert all(first[at : at + 4] != second[at : at + 4] for at in range(0, 12, 4))


def test_number_and_its_text_differ(bench: Bench) -> None:
    bench.change(keep=Keep.MEMBERS)
    bench.source(HEAD + ANN)
    bench.accept_all()
    changed = job(bench.folder, {"id": "=cast(id AS INTEGER)", "name": "=name", "mail": "=mail"}, keep=Keep.MEMBERS)
    bench.change(record=changed.record)

    assert [item.members for item in review(bench).changed] == [("id",)]


def test_member_that_is_no_longer_mapped_is_named(members: Bench) -> None:
    changed = job(members.folder, {"id": "=id", "name": "=name", "phone": "=mail"})
    members.change(record=changed.record)

    assert [item.members for item in review(members).changed] == [("phone", "mail"), ("phone", "mail")]


def test_order_of_items_without_declared_order_is_no_difference(tmp_path: Path) -> None:
    mapping = {"id": "=id", "names": [{"each": "=name"}], "mail": "=min(mail)"}
    bench = Bench(tmp_path, job(tmp_path, mapping, keep=Keep.MEMBERS), rules())
    bench.source(HEAD + "1,Ann,a@example.com\n1,Bob,a@example.com\n")
    bench.accept_all()
    bench.source(HEAD + "1,Bob,b@example.com\n1,Ann,b@example.com\n")

    (changed,) = review(bench).changed

    assert changed.members == ("mail",)
    assert json.loads(changed.record) == {"id": "1", "names": ["Bob", "Ann"], "mail": "b@example.com"}


def test_csv_records_are_kept_and_compared(tmp_path: Path) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id", "mail": "=mail"}, keep=Keep.RECORDS), csv_rules())
    bench.source(HEAD + ANN)
    bench.accept_all()
    bench.source(HEAD + "1,Ann,new@example.com\n")

    (changed,) = review(bench).changed

    assert changed.members == ("mail",)
    assert json.loads(changed.before or "") == {"id": "1", "mail": "a@example.com"}
    assert bench.rules.modes["upsert"] is Sends.RECORDS


def test_constants_are_named_because_they_are_no_values_of_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path, job(tmp_path, {"id": "=id", "type": "customer"}), rules())
    bench.source(HEAD + ANN)

    assert review(bench).constants == {"type"}


def test_row_that_changes_while_content_is_completed_is_left_to_a_later_run(bench: Bench) -> None:
    bench.source(HEAD + ANN + BOB)
    bench.accept_all()
    bench.change(keep=Keep.RECORDS)
    comparison = bench.compare()
    bench.source(HEAD + "1,Anna,a@example.com\n" + BOB)
    bench.baseline = bench.engine.renew(bench.job, bench.rules, comparison, bench.baseline)
    bench.source(HEAD + "1,Ann,b@example.com\n" + "2,Bert,b@example.com\n")

    found = review(bench)

    assert [item.members for item in found.changed] == [None, ("name",)]
    assert found.without_content == 1


def test_source_that_is_gone_while_content_is_completed_stops_no_run(bench: Bench) -> None:
    path = bench.source(HEAD + ANN)
    bench.accept_all()
    bench.change(keep=Keep.MEMBERS)
    comparison = bench.compare()
    path.unlink()

    assert bench.engine.renew(bench.job, bench.rules, comparison, bench.baseline) == bench.baseline
