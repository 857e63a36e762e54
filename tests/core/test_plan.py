from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.accounting import PlanCounts
from batchsync.core.contract import ContractCounts
from batchsync.core.guards import AbsentAnswers, Breach, Guards, Limit
from batchsync.core.job import Job, Removal, Source
from batchsync.core.mapping import Object
from batchsync.core.plan import Plan, begin_run, with_guards, with_removed_answers
from batchsync.core.row_outcome import PLAN_OUTCOMES, OutcomeCounts
from batchsync.core.run import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNT = st.integers(0, 10**12)
TEXT = st.text(max_size=20)
CONTRACT_COUNTS = st.builds(
    ContractCounts, rows=COUNT, nulls=st.dictionaries(TEXT, COUNT, max_size=2), newest=st.none() | COUNT
)
PLANS = st.builds(
    Plan,
    job=TEXT,
    account_id=TEXT,
    spec_hash=TEXT,
    removal_hash=TEXT,
    baseline=st.lists(TEXT, max_size=3).map(tuple),
    baseline_rows=COUNT,
    counts=st.builds(
        PlanCounts,
        outcomes=st.builds(OutcomeCounts, st.dictionaries(st.sampled_from(PLAN_OUTCOMES), COUNT)),
        **{item.name: COUNT for item in fields(PlanCounts) if item.name != "outcomes"},
    ),
    changes_digest=TEXT,
    watermark=st.none() | TEXT,
    warnings=st.dictionaries(TEXT, COUNT, max_size=3),
    removals_known=st.booleans(),
    contract=st.none() | CONTRACT_COUNTS,
    breaches=st.lists(st.builds(Breach, TEXT, TEXT), max_size=2).map(tuple),
)
NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
PLAN = Plan(
    job="guests",
    account_id="motorweb:acme",
    spec_hash="s",
    removal_hash="r",
    baseline=("a.parquet", "b.parquet"),
    baseline_rows=20,
    counts=PlanCounts(
        source_rows=25, selected=34, added=20, changed=1, removed=9, outcomes=OutcomeCounts.of(unchanged=3, rejected=1)
    ),
    changes_digest="f" * 64,
    watermark="2026-11-22",
    warnings={"email: not an address": 2},
)
#: Another value of each part of `PLAN`.
OTHER: Mapping[str, Any] = {
    "job": "orders",
    "account_id": "motorweb:other",
    "spec_hash": "t",
    "removal_hash": "q",
    "baseline": ("b.parquet", "a.parquet"),
    "baseline_rows": 21,
    "counts": replace(PLAN.counts, outcomes=OutcomeCounts.of(unchanged=3, unknown=1)),
    "changes_digest": "e" * 64,
    "watermark": None,
    "warnings": {"email: not an address": 3},
    "removals_known": False,
    "source_files": 2,
    "incomparable": 1,
    "contract": ContractCounts(rows=25, nulls={"email": 1}),
    "breaches": (Breach("max_remove", "too many"),),
}


@given(plan=PLANS)
def test_plan_survives_its_serialised_form(plan: Plan) -> None:
    again = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert (again, again.digest) == (plan, plan.digest)


@given(one=PLANS, other=PLANS)
def test_digests_are_equal_exactly_for_equal_plans(one: Plan, other: Plan) -> None:
    assert (one.digest == other.digest) is (one == other)


@pytest.mark.parametrize("part", [item.name for item in fields(Plan)])
def test_each_part_changes_the_digest(part: str) -> None:
    changed = replace(PLAN, **{part: OTHER[part]})
    assert changed.digest != PLAN.digest
    assert replace(changed, **{part: getattr(PLAN, part)}).digest == PLAN.digest


def test_digest_does_not_depend_on_the_order_of_names() -> None:
    one, other = replace(PLAN, warnings={"a": 1, "b": 2}), replace(PLAN, warnings={"b": 2, "a": 1})
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"more": 1},
        {"counts": {"selected": 1, "more": 1}},
        {"counts": 7},
        {"baseline": None},
        {"contract": {"more": 1}},
        {"contract": 7},
        {"breaches": [{"guard": "max_remove"}]},
    ],
)
def test_anything_else_is_no_plan(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"plan|unknown counts: more"):
        Plan.from_dict(PLAN.to_dict() | change)


@pytest.mark.parametrize("part", PLAN.to_dict())
def test_incomplete_values_are_no_plan(part: str) -> None:
    values = PLAN.to_dict()
    del values[part]
    with pytest.raises(ValueError, match="not a plan of format 1"):
        Plan.from_dict(values)


def test_toy_reader_needs_only_core() -> None:
    blocked = replace(PLAN, breaches=(Breach("max_remove", "the plan would remove 9 of 20 records"),))
    reader = Path(__file__).with_name("plan_reader.py")
    done = subprocess.run(
        [sys.executable, str(reader)], input=json.dumps(blocked.to_dict()), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "stop for approval: max_remove: the plan would remove 9 of 20 records",
        "add 20 of 20 records at motorweb:acme",
        "change 1 of 20 records at motorweb:acme",
        "remove 9 of 20 records at motorweb:acme",
        "leave 3 unchanged",
        "leave 1 rejected earlier",
        "warn of 2: email: not an address",
        f"plan {blocked.digest}",
        "imported besides core: nothing",
    ]


def test_run_of_a_plan_has_its_values() -> None:
    run = begin_run(PLAN, serial=7, at=NOW, awaiting_approval=False)
    assert (run.id, run.state, run.created_at, run.settled_at, run.reason) == (
        "guests-7",
        RunState.PREPARING,
        NOW,
        None,
        "",
    )
    shared = {"job", "spec_hash", "account_id", "counts", "watermark", "warnings", "removal_hash"}
    assert {name: getattr(run, name) for name in shared} == {name: getattr(PLAN, name) for name in shared}
    assert run.plan == PLAN.changes_digest


def test_run_of_a_blocked_plan_awaits_approval_with_the_reasons() -> None:
    blocked = replace(PLAN, breaches=(Breach("max_remove", "one"), Breach("max_change", "two")))
    run = begin_run(blocked, serial=1, at=NOW, awaiting_approval=True)
    assert (run.state, run.reason, run.settled_at) == (RunState.AWAITING_APPROVAL, "one; two", None)
    assert begin_run(blocked, serial=1, at=NOW, awaiting_approval=False).reason == ""


def test_run_of_a_plan_with_nothing_to_send_is_settled() -> None:
    idle = replace(PLAN, counts=PlanCounts(source_rows=3, selected=3, outcomes=OutcomeCounts.of(unchanged=3)))
    run = begin_run(idle, serial=1, at=NOW, awaiting_approval=False)
    assert (run.state, run.settled_at) == (RunState.SETTLED, NOW)


def a_job(**changes: Any) -> Job:
    """Return a job that removes, with the removal hash of `PLAN`."""
    job = Job(
        name="guests",
        source=Source(path="a.csv", folder="/", key=("id",)),
        connection="c",
        target={},
        mode="upsert",
        record=Object(()),
        spec_hash="s",
        mapping_hash="m",
        removal_hash="r",
        removal=Removal(mode="delete", record=Object(())),
    )
    return replace(job, **changes)


def test_guards_of_the_job_are_checked_against_the_plan() -> None:
    last = begin_run(PLAN, serial=3, at=NOW, awaiting_approval=False)
    guarded = with_guards(PLAN, a_job(), last)
    assert [breach.guard for breach in guarded.breaches] == []
    guarded = with_guards(PLAN, a_job(guards=Guards(max_remove=Limit(count=8)), removal_hash="edited"), last)
    assert [breach.guard for breach in guarded.breaches] == ["removals_after_edit", "max_remove"]
    assert replace(guarded, breaches=()) == PLAN
    assert [breach.guard for breach in with_guards(PLAN, a_job(removal=None), last).breaches] == []


@pytest.mark.parametrize(
    ("before", "now", "held"), [(3, 2, True), (2, 2, False), (2, 3, False), (None, 1, False), (3, 0, True)]
)
def test_removals_are_held_if_the_source_lost_a_file(before: int | None, now: int, *, held: bool) -> None:
    last = replace(begin_run(PLAN, serial=3, at=NOW, awaiting_approval=False), source_files=before)
    guarded = with_guards(replace(PLAN, source_files=now), a_job(), last)
    assert [breach.guard for breach in guarded.breaches] == ["removals_after_lost_file"] * held
    if held:
        assert f"the source has {now} of the 3 files that it had in run guests-3" in guarded.breaches[0].message


def test_a_lost_file_counts_until_all_keys_that_left_were_removed() -> None:
    last = replace(begin_run(PLAN, serial=3, at=NOW, awaiting_approval=False), source_files=3)
    waiting = replace(PLAN, counts=replace(PLAN.counts, selected=99, outcomes=OutcomeCounts.of(deferred=1)))
    for plan in (replace(PLAN, removals_known=False), waiting):
        assert with_guards(replace(plan, source_files=2), a_job(), last).source_files == 3
        assert with_guards(replace(plan, source_files=2), a_job(), None).source_files == 2
    assert with_guards(replace(PLAN, source_files=2), a_job(), last).source_files == 2


def test_changes_that_cannot_be_compared_after_an_upgrade_await_approval() -> None:
    last = begin_run(PLAN, serial=3, at=NOW, awaiting_approval=False)
    upgraded = replace(PLAN, incomparable=2)
    assert with_guards(upgraded, a_job(), last).breaches == ()
    assert with_guards(upgraded, a_job(spec_hash="edited"), None).breaches == ()
    assert with_guards(PLAN, a_job(spec_hash="edited"), last).breaches == ()
    (breach,) = with_guards(upgraded, a_job(spec_hash="edited"), last).breaches
    assert breach.guard == "changes_after_upgrade"
    assert f"2 of {PLAN.counts.changed} changed records cannot be compared" in breach.message
    assert "edited since run guests-3" in breach.message


def test_removed_answers_are_part_of_the_plan_that_is_approved() -> None:
    one, other = (AbsentAnswers(rows=9, absent=2, digest=digest) for digest in ("one", "other"))
    digests = {with_removed_answers(PLAN, answers).changes_digest for answers in (one, other)}
    assert len(digests | {PLAN.changes_digest}) == 3
    assert with_removed_answers(PLAN, AbsentAnswers(rows=9, absent=0, digest="one")) is PLAN
    assert 2 in with_removed_answers(PLAN, one).warnings.values()


def test_plan_without_known_removals_keeps_the_removal_hash_of_the_last_run() -> None:
    last = begin_run(replace(PLAN, removal_hash="last"), serial=3, at=NOW, awaiting_approval=False)
    unknown = replace(PLAN, removals_known=False)
    assert with_guards(unknown, a_job(), last).removal_hash == "last"
    assert with_guards(unknown, a_job(), None).removal_hash == "r"
    assert with_guards(PLAN, a_job(), last).removal_hash == "r"
