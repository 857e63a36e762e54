"""What is made aside comes in order, its error after everything that was made, and it stops when nobody wants it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lading.aside import Aside, Inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = timedelta(0)
LONG = timedelta(seconds=30)


def three(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield from (1, 2, 3)


def broken(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield 1
    raise OSError("the disk is gone")


@pytest.mark.parametrize("kind", [Aside, Inline])
def test_everything_comes_in_order_and_then_the_end(kind: type[Aside[int] | Inline[int]]) -> None:
    feed = kind(three)
    assert [feed.take(LONG) for _ in range(3)] == [1, 2, 3]
    assert not feed.ended
    assert feed.take(None) is None
    assert feed.ended
    assert feed.take(None) is None
    feed.close()


@pytest.mark.parametrize("kind", [Aside, Inline])
def test_an_error_comes_after_what_was_made_before_it(kind: type[Aside[int] | Inline[int]]) -> None:
    feed = kind(broken)
    assert feed.take(LONG) == 1
    with pytest.raises(OSError, match="gone"):
        feed.take(LONG)
    feed.close()


def test_nobody_waits_for_what_is_not_there_yet() -> None:
    go = threading.Event()

    def slow(_stopped: Callable[[], bool]) -> Iterator[int]:
        go.wait(30)
        yield 1

    feed = Aside(slow)
    assert feed.take(SOON) is None
    assert feed.take(timedelta(milliseconds=5)) is None
    assert feed.take(timedelta(seconds=-5)) is None
    assert not feed.ended
    go.set()
    assert feed.take(None) == 1
    feed.close()


def test_closing_stops_the_worker_and_lets_it_clean_up() -> None:
    begun, cleaned = threading.Event(), threading.Event()

    def endless(stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            while not stopped():
                begun.set()
            yield 1
        finally:
            cleaned.set()

    feed = Aside(endless)
    assert begun.wait(30)
    feed.close()
    assert cleaned.wait(30)


def test_who_does_not_wait_is_not_given_two_inline_things_in_a_row() -> None:
    feed = Inline(three)
    assert [feed.take(SOON) for _ in range(4)] == [1, None, 2, None]
    assert feed.take(LONG) == 3
    feed.close()


def test_what_is_made_inline_is_closed_where_it_stands() -> None:
    told: list[str] = []

    def made(_stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            told.append("one")
            yield 1
            told.append("two")
            yield 2
        finally:
            told.append("closed")

    feed = Inline(made)
    assert told == []
    assert feed.take(None) == 1
    feed.close()
    assert told == ["one", "closed"]
