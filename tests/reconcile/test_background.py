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


def three_items(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield from (1, 2, 3)


def failing(_stopped: Callable[[], bool]) -> Iterator[int]:
    yield 1
    raise OSError("the disk is gone")


@pytest.mark.parametrize("producer_class", [BackgroundProducer, InlineProducer])
def test_items_come_in_order_followed_by_end(
    producer_class: type[BackgroundProducer[int] | InlineProducer[int]],
) -> None:
    producer = producer_class(three_items)
    assert [producer.take(LONG) for _ in range(3)] == [1, 2, 3]
    assert not producer.ended
    assert producer.take(None) is None
    assert producer.ended
    assert producer.take(None) is None
    producer.close()


@pytest.mark.parametrize("producer_class", [BackgroundProducer, InlineProducer])
def test_error_is_raised_after_earlier_items(
    producer_class: type[BackgroundProducer[int] | InlineProducer[int]],
) -> None:
    producer = producer_class(failing)
    assert producer.take(LONG) == 1
    with pytest.raises(OSError, match="gone"):
        producer.take(LONG)
    producer.close()


def test_take_without_item_returns_none_in_time() -> None:
    go = threading.Event()

    def slow(_stopped: Callable[[], bool]) -> Iterator[int]:
        go.wait(30)
        yield 1

    producer = BackgroundProducer(slow)
    assert producer.take(SOON) is None
    assert producer.take(timedelta(milliseconds=5)) is None
    assert producer.take(timedelta(seconds=-5)) is None
    assert not producer.ended
    go.set()
    assert producer.take(None) == 1
    producer.close()


def test_close_stops_worker_and_runs_cleanup() -> None:
    started, cleaned = threading.Event(), threading.Event()

    def endless(stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            while not stopped():
                started.set()
            yield 1
        finally:
            cleaned.set()

    producer = BackgroundProducer(endless)
    assert started.wait(30)
    producer.close()
    assert cleaned.wait(30)


def test_inline_take_without_wait_returns_every_second_time() -> None:
    producer = InlineProducer(three_items)
    assert [producer.take(SOON) for _ in range(4)] == [1, None, 2, None]
    assert producer.take(LONG) == 3
    producer.close()


def test_inline_close_ends_iterator() -> None:
    produced: list[str] = []

    def work(_stopped: Callable[[], bool]) -> Iterator[int]:
        try:
            produced.append("first")
            yield 1
            produced.append("second")
            yield 2
        finally:
            produced.append("closed")

    producer = InlineProducer(work)
    assert produced == []
    assert producer.take(None) == 1
    producer.close()
    assert produced == ["first", "closed"]
