"""Contract of a source: which counts break it, in which words, and what an approval of a broken one refers to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.accounting import PlanCounts
from batchsync.core.contract import (
    ColumnRule,
    Contract,
    ContractCounts,
    Freshness,
    contract_breaches,
    instant_text,
)
from batchsync.core.guards import Guards, Limit
from batchsync.core.job import Job, Source
from batchsync.core.mapping import Object
from batchsync.core.plan import Plan, begin_run, broken_contract, with_broken_contract, with_guards

if TYPE_CHECKING:
    from batchsync.core.run import Run

NOW = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FRESH = Contract(freshness=Freshness(column="updated_at", max_age=timedelta(hours=26)))
COUNT = st.integers(0, 10**9)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def counted(moment: datetime | None, rows: int = 10, **nulls: int) -> ContractCounts:
    return ContractCounts(rows=rows, nulls=nulls, newest=None if moment is None else micros(moment))


def columns(**limits: Limit) -> Contract:
    return Contract(columns=tuple(ColumnRule(column=name, max_null=limit) for name, limit in limits.items()))


@pytest.mark.parametrize(
    ("age", "broken"),
    [
        (timedelta(hours=26), False),
        (timedelta(hours=26, microseconds=1), True),
        (timedelta(0), False),
        (timedelta(days=400_000), True),
        (-timedelta(days=1), False),
        (-timedelta(days=1, microseconds=1), True),
    ],
)
def test_source_is_fresh_up_to_its_maximum_age(age: timedelta, *, broken: bool) -> None:
    found = contract_breaches(FRESH, counted(NOW - age), NOW)
    assert [breach.guard for breach in found] == ["freshness"] * broken


def test_reasons_name_column_value_and_limit() -> None:
    stale = NOW - timedelta(days=2, seconds=1)
    (breach,) = contract_breaches(FRESH, counted(stale), NOW)
    words = "older than max_age 26h"
    assert breach.message == f'column "updated_at": the newest value, 2026-11-27T21:59:59Z, is {words}'
    (breach,) = contract_breaches(FRESH, counted(None, rows=1_000), NOW)
    assert breach.message == (
        'column "updated_at": none of the 1,000 rows has a value, so the age of the source is unknown'
    )
    (breach,) = contract_breaches(FRESH, counted(NOW + timedelta(days=2)), NOW)
    assert "2026-12-01T22:00:00Z, is more than a day in the future" in breach.message
    contract = columns(email=Limit(percent=1.0), id=Limit(count=0))
    found = contract_breaches(contract, counted(None, rows=1_000, email=37, id=1), NOW)
    assert [breach.message for breach in found] == [
        'column "email": 37 of 1,000 rows are null (3.7 %), allowed 1%',
        'column "id": 1 of 1,000 rows are null (0.1 %), allowed none',
    ]


def test_hidden_newest_value_is_in_no_message() -> None:
    assert FRESH.freshness is not None
    hidden = replace(FRESH, freshness=replace(FRESH.freshness, shown=False))
    for moment in (NOW - timedelta(days=900), NOW + timedelta(days=900)):
        (breach,) = contract_breaches(hidden, counted(moment), NOW)
        assert str(moment.year) not in breach.message


def test_source_without_rows_breaks_no_contract() -> None:
    contract = replace(FRESH, columns=columns(email=Limit(count=0)).columns)
    assert contract_breaches(contract, ContractCounts(), NOW) == ()
    assert len(contract_breaches(contract, counted(None, rows=1, email=1), NOW)) == 2


@given(rows=st.integers(1, 10**6), data=st.data(), percent=st.integers(0, 10_000))
def test_percentage_is_exact(rows: int, data: st.DataObject, percent: int) -> None:
    nulls = data.draw(st.integers(0, rows))
    limit = Limit(percent=float(f"{percent / 100:.2f}"))
    found = contract_breaches(columns(email=limit), counted(None, rows=rows, email=nulls), NOW)
    assert bool(found) == (Fraction(nulls, rows) > Fraction(percent, 10_000))


NULLS = st.fixed_dictionaries({"a": COUNT})


@given(parts=st.lists(st.builds(ContractCounts, rows=COUNT, nulls=NULLS, newest=st.none() | COUNT)))
def test_counts_of_parts_add_up(parts: list[ContractCounts]) -> None:
    total = ContractCounts()
    for part in parts:
        total = total.plus(part)
    newest = [part.newest for part in parts if part.newest is not None]
    assert total.rows == sum(part.rows for part in parts)
    assert total.nulls.get("a", 0) == sum(part.nulls["a"] for part in parts)
    assert total.newest == max(newest, default=None)
    assert ContractCounts.from_dict(json.loads(json.dumps(total.to_dict()))) == total


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (10**18, "a time after the year 9999"),
        (-(10**18), "a time before the year 1"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_times_are_shown_to_the_second(value: int, text: str) -> None:
    assert instant_text(value) == text


def a_job(**limits: Limit) -> Job:
    contract = columns(**limits)
    return Job(
        name="guests",
        source=Source(path="a.csv", folder="/", key=("id",), contract=contract),
        connection="c",
        target={},
        mode="upsert",
        record=Object(()),
        spec_hash="s",
        mapping_hash="m",
        guards=Guards(min_rows=1_000),
    )


def a_plan(**changes: Any) -> Plan:
    plan = Plan(
        job="guests",
        account_id="a",
        spec_hash="s",
        removal_hash="r",
        baseline=(),
        baseline_rows=0,
        counts=PlanCounts(source_rows=10, selected=10, added=10),
        changes_digest="f" * 64,
        contract=counted(None, email=3),
    )
    return replace(plan, **changes)


def with_contract(plan: Plan, job: Job, last: Run | None, now: datetime = NOW) -> Plan:
    return with_broken_contract(plan, broken_contract(plan, job, now), last)


def test_contract_is_listed_before_the_guards() -> None:
    job = a_job(email=Limit(count=2))
    plan = with_contract(with_guards(a_plan(), job, None), job, None)
    assert [breach.guard for breach in plan.breaches] == ["columns", "min_rows"]


def test_approval_is_of_one_run_and_of_what_is_broken() -> None:
    job = a_job(email=Limit(count=2))
    last = begin_run(a_plan(), serial=1, at=NOW, awaiting_approval=False)
    later = begin_run(a_plan(), serial=2, at=NOW, awaiting_approval=False)
    plans = [(a_plan(), None), (a_plan(), last), (a_plan(), later), (a_plan(contract=counted(None, email=4)), last)]
    digests = [with_contract(plan, job, run).changes_digest for plan, run in plans]
    assert len({*digests, a_plan().changes_digest}) == 5
    assert with_contract(a_plan(), job, last, NOW + timedelta(days=9)).changes_digest == digests[1]


@pytest.mark.parametrize("email", [0, 2])
def test_contract_that_is_met_changes_nothing(email: int) -> None:
    plan = a_plan(contract=counted(None, email=email))
    assert with_contract(plan, a_job(email=Limit(count=2)), None) is plan
