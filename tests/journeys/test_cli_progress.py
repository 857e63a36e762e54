"""Progress, as a person sees it live, as a log keeps it, and as a program reads it."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from lading.cli.watch_lines import LineWatcher, NdjsonWatcher, QuietWatcher
from lading.cli.watch_live import LiveWatcher
from lading.core.batch import Batch, BatchFile, BatchId, Books, Phase, RunId, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)
BATCH = Batch(
    id=BatchId("guests-1f0c2a9be77d"),
    run=RunId("guests-1"),
    job="guests",
    seq=1,
    file=BatchFile(path="a.gz", evidence="a.parquet", digest="d", md5="m", size=9_800, rows=115),
    phase=Phase.PREPARED,
    prepared_at=NOW,
)


def batch(**changes: Any) -> Batch:
    return replace(BATCH, **changes)


LIFE = (
    batch(),
    batch(phase=Phase.ALLOCATED),
    batch(phase=Phase.SUBMITTED),
    batch(phase=Phase.SUBMITTED, word="PROCESSING", polls=1),
    batch(phase=Phase.SUBMITTED, word="PROCESSING", polls=2),
    batch(phase=Phase.SETTLED, word="DONE", verdict=Verdict.MIXED),
    batch(phase=Phase.DELIVERED, books=Books(accepted=112, rejected=3)),
)


def test_a_log_gets_one_line_for_each_thing_that_happened() -> None:
    said: list[str] = []
    watcher = LineWatcher(said.append, lambda: NOW)
    watcher.progress("guests", "compare", 60, "rows", 120)
    watcher.progress("guests", "compare", 120, "rows", 120)
    for one in LIFE:
        watcher.moved(one)
        watcher.waiting(SOON)

    name = "07:30:14 guests: batch guests-1f0c2a9be77d:"
    assert said == [
        "07:30:14 guests: compare 60 of 120 rows",
        f"{name} prepared, 115 records, 9.8 kB",
        "07:30:14 waiting until 07:30:19",
        f"{name} allocated",
        "07:30:14 waiting until 07:30:19",
        f"{name} submitted",
        "07:30:14 waiting until 07:30:19",
        f'{name} submitted, the vendor says "PROCESSING"',
        "07:30:14 waiting until 07:30:19",
        f"{name} settled, the vendor's word is mixed (DONE)",
        "07:30:14 waiting until 07:30:19",
        f"{name} delivered, accepted 112, rejected 3, unknown 0",
        "07:30:14 waiting until 07:30:19",
    ]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (batch(failures=2, reason="HTTP 503", not_before=SOON), "prepared, failure 2: HTTP 503, again at 07:30:19"),
        (batch(attempt=2, reason="the slot ran out"), "slot lost, next attempt 2: the slot ran out"),
        (batch(phase=Phase.STUCK, reason="no\x1b[2Jway"), "stuck: no\\x1b[2Jway"),
    ],
)
def test_what_went_wrong_is_told_with_its_reason(one: Batch, told: str) -> None:
    said: list[str] = []
    LineWatcher(said.append, lambda: NOW).moved(one)

    assert said == [f"07:30:14 guests: batch guests-1f0c2a9be77d: {told}"]


def test_a_program_gets_one_object_for_each_thing_that_happened() -> None:
    said: list[Mapping[str, object]] = []
    watcher = NdjsonWatcher(said.append)
    watcher.progress("guests", "compare", 60, "rows", 120)
    watcher.progress("guests", "compare", 120, "rows", 120)
    for one in LIFE:
        watcher.moved(one)
        watcher.waiting(SOON)

    assert [one["event"] for one in said] == ["stage", "run_started", *["batch_moved", "waiting"] * 6]
    assert said[1] == {"event": "run_started", "job": "guests", "run": "guests-1"}
    assert said[3] == {"event": "waiting", "until": "2026-11-22T07:30:19Z"}


def drawn(watcher: LiveWatcher) -> list[str]:
    """Return what a terminal shows now."""
    console = Console(file=io.StringIO(), width=120)
    console.print(watcher.drawn())
    written = console.file
    assert isinstance(written, io.StringIO)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_a_terminal_shows_each_job_in_its_own_line() -> None:
    watcher = LiveWatcher(lambda: NOW)
    watcher.progress("guests", "compare", 60, "rows", 120)
    watcher.progress("orders", "stage", 0, "rows")
    assert drawn(watcher) == ["guests    compare 60 of 120 rows", "orders    stage"]

    watcher.moved(batch(phase=Phase.SUBMITTED, word="PROCESSING", not_before=SOON))
    watcher.moved(batch(id="guests-2", seq=2))
    watcher.waiting(SOON)
    assert drawn(watcher) == [
        'guests  0 of 2 batches  submitted, the vendor says "PROCESSING", next poll at 07:30:19Z',
        "orders                  stage",
        "                        next look in 5 s",
    ]

    watcher.moved(batch(phase=Phase.DELIVERED, books=Books(accepted=115)))
    watcher.moved(batch(id="guests-2", seq=2, phase=Phase.DELIVERED, books=Books(accepted=115)))
    assert drawn(watcher)[0] == "guests  2 of 2 batches  settled"


def test_whoever_wants_quiet_gets_it(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = QuietWatcher()
    watcher.progress("guests", "compare", 1, "rows")
    watcher.moved(BATCH)
    watcher.waiting(SOON)

    assert capsys.readouterr() == ("", "")


class Ticking:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def after(self, seconds: float) -> None:
        self.now = NOW + timedelta(seconds=seconds)


def test_a_log_says_every_ten_seconds_how_fast_a_stage_goes_and_what_is_left() -> None:
    said: list[str] = []
    clock = Ticking()
    watcher = LineWatcher(said.append, clock)
    for second in range(0, 41, 2):
        clock.after(second)
        rows = 25_000 + second * 100_000
        watcher.progress("guests", "compare", rows, "rows", 8_025_000, size=(rows * 200, 1_605_000_000))
    clock.after(41)
    watcher.progress("guests", "stage", 25_000, "records", 4_000_000, size=(5_000_000, None))

    assert said == [
        "07:30:14 guests: compare 25,000 of 8,025,000 rows, 5.0 MB of 1.6 GB",
        "07:30:24 guests: compare 1,025,000 of 8,025,000 rows, 205.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        "07:30:34 guests: compare 2,025,000 of 8,025,000 rows, 405.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        "07:30:44 guests: compare 3,025,000 of 8,025,000 rows, 605.0 MB of 1.6 GB, 100,000 rows/s, about 50 s left",
        "07:30:54 guests: compare 4,025,000 of 8,025,000 rows, 805.0 MB of 1.6 GB, 100,000 rows/s, about 40 s left",
        "07:30:55 guests: stage 25,000 of 4,000,000 records, 5.0 MB",
    ]


def test_what_is_left_is_told_by_bytes_where_rows_are_not_known() -> None:
    clock = Ticking()
    watcher = LiveWatcher(clock)
    watcher.progress("guests", "compare", 25_000, "rows", size=(1_000_000, 9_000_000))
    assert drawn(watcher) == ["guests    compare 25,000 rows, 1.0 MB of 9.0 MB"]
    clock.after(4)
    watcher.progress("guests", "compare", 75_000, "rows", size=(3_000_000, 9_000_000))
    assert drawn(watcher) == ["guests    compare 75,000 rows, 3.0 MB of 9.0 MB, 12,500 rows/s, about 12 s left"]
    clock.after(5)
    watcher.progress("guests", "stage", 10, "records", 10)
    assert drawn(watcher) == ["guests    stage 10 records"]
