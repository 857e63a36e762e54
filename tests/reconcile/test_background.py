"""Background producers: order, errors and shutdown."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.reconcile.background import BackgroundProducer, InlineProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = timedelta(0)
LONG = timedelta(seconds=30)


def three(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield from (1, 2, 3)


def broken(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield 1
    raise OSError("the disk is gone")


@pytest.mark.parametrize("kind", [BackgroundProducer, InlineProducer])
def test_items_come_in_order_followed_by_end(kind: type[BackgroundProducer[int] | InlineProducer[int]]) -> None:
    feed = kind(three)
    assert [feed.take(LONG) for _ in range(3)] == [1, 2, 3]
    assert not feed.ended
    assert feed.take(None) is None
    assert feed.ended
    assert feed.take(None) is None
    feed.close()


@pytest.mark.parametrize("kind", [BackgroundProducer, InlineProducer])
def test_error_is_raised_after_earlier_items(
    kind: type[BackgroundProducer[int] | InlineProducer[int]],
) -> None:
    feed = kind(broken)
    assert feed.take(LONG) == 1
    with pytest.raises(OSError, match="gone"):
        feed.take(LONG)
    feed.close()


def test_take_without_item_returns_none_in_time() -> None:
    go = threading.Event()

    def slow(_stopped: Callable[[], bool]) -> Iterator[int]:
        go.wait(30)
        yield 1

    feed = BackgroundProducer(slow)
    assert feed.take(SOON) is None
    assert feed.take(timedelta(milliseconds=5)) is None
    assert feed.take(timedelta(seconds=-5)) is None
    assert not feed.ended
    go.set()
    assert feed.take(None) == 1
    feed.close()


def test_close_stops_worker_and_runs_cleanup() -> None:
    begun, cleaned = threading.Event(), threading.Event()

    def endless(stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            while not stopped():
                begun.set()
            yield 1
        finally:
            cleaned.set()

    feed = BackgroundProducer(endless)
    assert begun.wait(30)
    feed.close()
    assert cleaned.wait(30)


def test_inline_take_without_wait_returns_every_second_time() -> None:
    feed = InlineProducer(three)
    assert [feed.take(SOON) for _ in range(4)] == [1, None, 2, None]
    assert feed.take(LONG) == 3
    feed.close()


def test_inline_close_ends_iterator() -> None:
    reported: list[str] = []

    def made(_stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            reported.append("one")
            yield 1
            reported.append("two")
            yield 2
        finally:
            reported.append("closed")

    feed = InlineProducer(made)
    assert reported == []
    assert feed.take(None) == 1
    feed.close()
    assert reported == ["one", "closed"]
