"""Spans of times of day, jitter, and what becomes of ticks."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.schedule import (
    CatchUp,
    Schedule,
    TimeSpan,
    is_always_closed,
    is_missed,
    jitter_of,
    parse_span,
)

#: A local time.
MONDAY = datetime(2026, 6, 1, tzinfo=UTC).replace(tzinfo=None)
SUNDAY = MONDAY - timedelta(days=1)
TICK = datetime(2026, 6, 1, 2, tzinfo=UTC)


def span(text: str) -> TimeSpan:
    found = parse_span(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            "08:00-18:00",
            [MONDAY.replace(hour=8), MONDAY.replace(hour=17)],
            [MONDAY.replace(hour=18), MONDAY],
        ),
        ("22:00-06:00", [MONDAY.replace(hour=22), MONDAY.replace(hour=5, minute=59)], [MONDAY.replace(hour=6)]),
        ("mon 22:00-06:00", [MONDAY.replace(hour=23), MONDAY + timedelta(hours=29)], [MONDAY, SUNDAY.replace(hour=23)]),
        ("sat,sun", [SUNDAY, SUNDAY.replace(hour=23, minute=59)], [MONDAY]),
        ("fri-mon 00:00-24:00", [MONDAY.replace(hour=23), SUNDAY], [MONDAY + timedelta(days=1)]),
        ("08:00-24:00", [MONDAY.replace(hour=23, minute=59)], [MONDAY, MONDAY.replace(hour=7)]),
    ],
)
def test_span_covers_times_from_its_begin_up_to_its_end(
    text: str, inside: list[datetime], outside: list[datetime]
) -> None:
    assert [span(text).covers(at) for at in inside] == [True] * len(inside)
    assert [span(text).covers(at) for at in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "8:00-18:00", "08:00", "24:00-06:00", "08:00-08:00", "08:00-25:00", "08:00-18:60"),
        *("Mon", "mon,", "mon-", "mon 08:00", "mon  08:00-09:00", "08:00-09:00 mon", "mon\n08:00-09:00", "funday"),
    ],
)
def test_other_texts_are_no_spans(text: str) -> None:
    assert parse_span(text) is None


@given(st.datetimes(), st.sampled_from(["mon-fri 08:00-18:00", "22:00-06:00", "sat,sun", "sun-tue 12:00-12:01"]))
def test_coverage_changes_at_edges_only(at: datetime, text: str) -> None:
    found = span(text)
    at = at.replace(year=2026, second=0, microsecond=0)
    changed = found.covers(at) != found.covers(at - timedelta(minutes=1))
    edges = {edge for number in (-1, 0) for edge in found.edges(at.date() + timedelta(days=number))}
    assert not changed or at in edges


def test_jitter_depends_on_job_and_tick_alone() -> None:
    found = [jitter_of("guests", TICK + timedelta(days=day), timedelta(minutes=5)) for day in range(200)]

    assert found == [jitter_of("guests", TICK + timedelta(days=day), timedelta(minutes=5)) for day in range(200)]
    assert min(found) >= timedelta(0)
    assert max(found) <= timedelta(minutes=5)
    assert len(set(found)) > 100
    assert jitter_of("guests", TICK, timedelta(hours=1)) != jitter_of("vehicles", TICK, timedelta(hours=1))
    # Fixed for ever: a later version must not move the runs of a state folder that several processes serve.
    assert jitter_of("guests", TICK, timedelta(hours=1)) == timedelta(seconds=2916)
    assert jitter_of("guests", TICK, timedelta(0)) == timedelta(0)


def test_ticks_long_before_the_process_are_missed_with_catch_up_none() -> None:
    since = TICK + timedelta(minutes=16)

    assert is_missed(TICK, CatchUp.NONE, since)
    assert not is_missed(TICK, CatchUp.NONE, since - timedelta(minutes=1))
    assert not is_missed(TICK, CatchUp.NONE, None)
    assert not is_missed(TICK, CatchUp.LAST, since)
    assert not is_missed(TICK, CatchUp.ALL, since)


@pytest.mark.parametrize(
    ("window", "quiet", "closed"),
    [
        ([], [], False),
        ([], ["00:00-24:00"], True),
        ([], ["00:00-12:00", "12:00-24:00"], True),
        ([], ["00:00-12:00", "12:01-24:00"], False),
        (["mon-fri 08:00-18:00"], [], False),
        (["mon-fri 08:00-18:00"], ["mon-fri 07:00-19:00"], True),
        (["mon-fri 08:00-18:00"], ["mon-thu 07:00-19:00"], False),
        (["22:00-06:00"], ["20:00-24:00"], False),
    ],
)
def test_spans_that_leave_no_time_are_found(window: list[str], quiet: list[str], *, closed: bool) -> None:
    schedule = Schedule(
        every=timedelta(hours=1), window=tuple(map(span, window)), quiet=tuple(span(text) for text in quiet)
    )
    assert is_always_closed(schedule) is closed


@pytest.mark.parametrize("text", ["08:00-18:00", "mon,tue 22:00-06:00", "sat,sun", "00:00-24:00", "fri 10:00-24:00"])
def test_span_is_written_as_it_is_read(text: str) -> None:
    assert str(span(text)) == text


def test_days_of_a_span_begin_on_monday() -> None:
    assert span("mon-fri 08:00-18:00") == TimeSpan(begin=time(8), end=time(18), days=frozenset(range(5)))
    assert span("sun").days == {6}
