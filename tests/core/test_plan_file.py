"""Content of plan files: lossless, refused when incomplete, and compared with the present."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from test_plan import PLAN

from batchsync.core.guards import AbsentAnswers, Budget, Limit
from batchsync.core.plan_file import Author, NewerFormatError, PinnedFile, PinnedPlan, PinnedSource, PlanFile
from batchsync.core.plan_moved import Present, moved_since

AUTHOR = Author(user="ann", host="ci-7", version="0.1.0", at=datetime(2026, 11, 30, 8, 15, tzinfo=UTC))
PINNED = PinnedPlan(
    plan=PLAN,
    unguarded=replace(PLAN, changes_digest="0" * 64),
    declared="d",
    sending="s",
    answers=AbsentAnswers(rows=3, absent=1, digest="a"),
    in_flight=2,
    edited=True,
    budget=Budget(invalid=Limit(count=5), rejected=Limit(percent=1.5)),
    personal=True,
    source=PinnedSource(title="guests.csv", version="7", files=(PinnedFile(name="guests.csv", size=3, sha256="b"),)),
    partial=("updated_at", "2026-11-29"),
)
ORDERS = replace(PINNED, plan=replace(PLAN, job="orders"), unguarded=replace(PINNED.unguarded, job="orders"))
FILE = PlanFile(author=AUTHOR, state="j", plans=(PINNED, ORDERS))
PRESENT = Present(declared="d", sending="s", account_id=PLAN.account_id, state="j")


def written() -> dict[str, Any]:
    """Return the content as read from JSON."""
    values: dict[str, Any] = json.loads(json.dumps(FILE.to_dict()))
    return values


def test_content_is_lossless() -> None:
    assert PlanFile.from_dict(written(), "e" * 64) == replace(FILE, id="e" * 64)


def test_author_is_named_for_people_and_bounded() -> None:
    assert str(AUTHOR) == "made by ann on ci-7 at 2026-11-30 08:15 UTC"
    long = replace(FILE, author=replace(AUTHOR, user="u" * 500))
    assert len(long.to_dict()["author"]["user"]) == 100


@pytest.mark.parametrize("missing", ["author", "state", "plans"])
def test_incomplete_content_is_refused(missing: str) -> None:
    values = written()
    del values[missing]
    with pytest.raises(ValueError, match="incomplete"):
        PlanFile.from_dict(values, "")


@pytest.mark.parametrize("missing", sorted(PINNED.to_dict().keys() - {"expected"}))
def test_incomplete_plan_is_refused(missing: str) -> None:
    values = written()
    del values["plans"][0][missing]
    with pytest.raises(ValueError, match="incomplete"):
        PlanFile.from_dict(values, "")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("plan", "job"), 7),
        (("plan", "counts", "added"), "20"),
        (("plan", "counts", "added"), -1),
        (("plan", "counts", "added"), True),
        (("plan", "counts", "selected"), 35),
        (("plan", "counts"), []),
        (("plan", "baseline"), [1]),
        (("plan", "warnings"), {"x": "y"}),
        (("plan", "breaches"), [{"guard": 1, "message": "x"}]),
        (("unguarded", "account_id"), "other"),
        (("unguarded", "counts", "source_rows"), 1),
        (("answers",), {"rows": -1, "absent": 1, "digest": "a"}),
        (("budget", "invalid", "percent"), "x"),
        (("source", "files"), [{"name": "a", "size": "x", "sha256": "b"}]),
        (("source",), None),
        (("partial",), [1, 2]),
    ],
)
def test_values_of_another_type_are_refused(place: tuple[str, ...], value: Any) -> None:
    values = written()
    node = values["plans"][0]
    for name in place[:-1]:
        node = node[name]
    node[place[-1]] = value
    with pytest.raises(ValueError, match=r"incomplete|contradicts|add up|not a plan"):
        PlanFile.from_dict(values, "")


def test_content_that_contradicts_itself_is_refused() -> None:
    twice = written()
    twice["plans"][1] = twice["plans"][0]
    with pytest.raises(ValueError, match="contradicts itself"):
        PlanFile.from_dict(twice, "")
    with pytest.raises(NewerFormatError, match="format 2"):
        PlanFile.from_dict(written() | {"format": 2}, "")
    with pytest.raises(ValueError, match="no format"):
        PlanFile.from_dict({}, "")


MOVED = {
    "it was applied already, in run guests-3": {"applied": "guests-3"},
    "jobs.yaml has no such job any more": {"declared": None},
    "it was made for another state folder": {"state": "k"},
    "the job was edited in jobs.yaml": {"declared": "x"},
    "the connection or target of the job is another account": {"account_id": "x"},
    "the vendor spec was changed": {"sending": "x"},
}


@pytest.mark.parametrize("reason", MOVED)
def test_each_thing_that_moved_is_named(reason: str) -> None:
    assert moved_since(FILE, PINNED, replace(PRESENT, **MOVED[reason])) == (reason,)


def test_nothing_moved_if_all_is_as_it_was() -> None:
    assert moved_since(FILE, PINNED, PRESENT) == ()
    # A plan of the first run: the journal was begun since.
    assert moved_since(replace(FILE, state=""), PINNED, PRESENT) == ()
