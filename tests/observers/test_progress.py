"""Built-in observers: a display on a terminal, log lines, and NDJSON."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RunId, Verdict
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.observers.log import LogObserver
from batchsync.observers.ndjson import NdjsonObserver
from batchsync.observers.terminal import TerminalObserver
from batchsync.ports import BatchChanged, PartialRead, Progress, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Beginning of a log line of level INFO about the job, at this second.
LINE = "2026-11-22T07:30:{}Z INFO    guests: "
NOW = datetime(2026, 11, 22, 7, 30, 14, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)
BATCH = Batch(
    id=BatchId("guests-1f0c2a9be77d"),
    run=RunId("guests-1"),
    job="guests",
    seq=1,
    file=BatchFile(path="a.gz", row_manifest="a.parquet", digest="d", md5="m", size=9_800, rows=115),
    phase=Phase.PREPARED,
    prepared_at=NOW,
)


def batch(**changes: Any) -> Batch:
    return replace(BATCH, **changes)


def progress(job: str, stage: str, done: int, unit: str, total: int | None = None, **more: Any) -> Progress:
    return Progress(job=job, stage=stage, done=done, unit=unit, total=total, **more)


LIFECYCLE = (
    batch(),
    batch(phase=Phase.ALLOCATED),
    batch(phase=Phase.SUBMITTED),
    batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", polls=1),
    batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", polls=2),
    batch(phase=Phase.FINISHED, vendor_status="DONE", verdict=Verdict.MIXED),
    batch(phase=Phase.DELIVERED, counts=OutcomeCounts.of(accepted=112, rejected=3)),
)


def test_log_has_one_line_per_event() -> None:
    output: list[str] = []
    observer = LogObserver(output.append)
    observer.observe(progress("guests", "compare", 60, "rows", 120), NOW)
    observer.observe(progress("guests", "compare", 120, "rows", 120), NOW)
    for item in LIFECYCLE:
        observer.observe(BatchChanged(batch=item), NOW)
        observer.observe(Waiting(until=SOON), NOW)

    waiting = "2026-11-22T07:30:14Z INFO    waiting until 2026-11-22T07:30:19Z"
    name = "2026-11-22T07:30:14Z INFO    guests: batch guests-1f0c2a9be77d:"
    assert output == [
        LINE.format(14) + "compare 60 of 120 rows",
        f"{name} prepared, 115 records, 9.8 kB",
        waiting,
        f"{name} allocated",
        waiting,
        f"{name} submitted",
        waiting,
        f'{name} submitted, vendor status "PROCESSING"',
        waiting,
        f"{name} finished, verdict mixed (DONE)",
        waiting,
        f"{name} delivered, accepted 112, rejected 3, unknown 0",
        waiting,
    ]


@pytest.mark.parametrize(
    ("changed", "level", "text"),
    [
        (
            batch(failures=2, reason="HTTP 503", not_before=SOON),
            "WARNING",
            "prepared, failure 2: HTTP 503, again at 2026-11-22 07:30:19Z",
        ),
        (
            batch(attempt=2, reason="the allocation expired"),
            "INFO   ",
            "allocation lost, next attempt 2: the allocation expired",
        ),
    ],
)
def test_failures_are_described_with_reason(changed: Batch, level: str, text: str) -> None:
    output: list[str] = []
    LogObserver(output.append).observe(BatchChanged(batch=changed), NOW)

    assert output == [f"2026-11-22T07:30:14Z {level} guests: batch guests-1f0c2a9be77d: {text}"]


def test_ndjson_has_one_object_per_event() -> None:
    output: list[Mapping[str, object]] = []
    observer = NdjsonObserver(lambda line, at: output.append({"at": at} | dict(line)))
    observer.observe(progress("guests", "compare", 60, "rows", 120), NOW)
    observer.observe(progress("guests", "compare", 120, "rows", 120), NOW)
    for item in LIFECYCLE:
        observer.observe(BatchChanged(batch=item), NOW)
        observer.observe(Waiting(until=SOON), NOW)

    assert [item["event"] for item in output] == ["stage", "run_started", *["batch_changed", "waiting"] * 6]
    assert output[1] == {"at": NOW, "event": "run_started", "job": "guests", "run": "guests-1"}
    assert output[3] == {"at": NOW, "event": "waiting", "until": "2026-11-22T07:30:19Z"}


def screen(observer: TerminalObserver) -> list[str]:
    """Return the lines that a terminal shows now."""
    console = Console(file=io.StringIO(), width=120)
    console.print(observer.drawn())
    buffer = console.file
    assert isinstance(buffer, io.StringIO)
    # The character that moves while a vendor works depends on the time.
    return [re.sub(r" +[-\\\\|/]?$", "", line) for line in buffer.getvalue().splitlines()]


def test_next_poll_of_another_day_has_its_date() -> None:
    observer = TerminalObserver(lambda: NOW)
    tomorrow = SOON + timedelta(days=1)
    observer.observe(BatchChanged(batch=batch(phase=Phase.SUBMITTED, vendor_status="X", not_before=tomorrow)), NOW)
    (line,) = screen(observer)
    assert line.endswith(f"next poll at {tomorrow:%Y-%m-%d} 07:30:19Z")


def test_partial_read_is_shown_by_each_observer() -> None:
    event = PartialRead(job="guests", column="no", start="7", full_at=SOON)
    words = 'reading only rows with "no" from 7 on, or null; all rows again from 2026-11-22T07:30:19Z on'
    lines: list[str] = []
    LogObserver(lines.append).observe(event, NOW)
    assert lines == [LINE.format(14) + words]
    objects: list[Mapping[str, object]] = []
    NdjsonObserver(lambda line, _: objects.append(line)).observe(event, NOW)
    members = {"column": "no", "from": "7", "full_read_from": "2026-11-22T07:30:19Z"}
    assert objects == [{"event": "partial_read", "job": "guests", **members}]
    terminal = TerminalObserver(lambda: NOW)
    terminal.observe(event, NOW)
    terminal.observe(progress("guests", "land", 2, "rows"), NOW)
    assert screen(terminal) == ["guests    land 2 rows", f"          {words}"]


def test_terminal_shows_one_line_per_job() -> None:
    observer = TerminalObserver(lambda: NOW)
    observer.observe(progress("guests", "compare", 60, "rows", 120), NOW)
    observer.observe(progress("orders", "stage", 0, "rows"), NOW)
    assert screen(observer) == ["guests    compare 60 of 120 rows, 50 %", "orders    stage"]

    observer.observe(BatchChanged(batch=batch(phase=Phase.SUBMITTED, vendor_status="PROCESSING", not_before=SOON)), NOW)
    observer.observe(BatchChanged(batch=batch(id="guests-2", seq=2)), NOW)
    observer.observe(Waiting(until=SOON), NOW)
    assert screen(observer) == [
        'guests  0 of 2 batches  submitted, vendor status "PROCESSING", next poll at 07:30:19Z',
        "orders                  stage",
        "                        next check in 5 s",
    ]

    observer.observe(BatchChanged(batch=batch(phase=Phase.DELIVERED, counts=OutcomeCounts.of(accepted=115))), NOW)
    observer.observe(
        BatchChanged(batch=batch(id="guests-2", seq=2, phase=Phase.DELIVERED, counts=OutcomeCounts.of(accepted=115))),
        NOW,
    )
    assert screen(observer)[0] == "guests  2 of 2 batches  settled"


def test_quiet_log_has_warnings_only() -> None:
    output: list[str] = []
    observer = LogObserver(output.append, logging.WARNING)
    observer.observe(progress("guests", "compare", 1, "rows"), NOW)
    observer.observe(BatchChanged(batch=BATCH), NOW)
    observer.observe(Waiting(until=SOON), NOW)
    assert output == []

    observer.observe(BatchChanged(batch=batch(failures=1, reason="HTTP 503")), NOW)
    assert [line.split()[1] for line in output] == ["WARNING"]


class ManualClock:
    """Clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def set(self, seconds: float) -> None:
        self.now = NOW + timedelta(seconds=seconds)


def test_log_shows_rate_and_remaining_time_every_ten_seconds() -> None:
    output: list[str] = []
    clock = ManualClock()
    observer = LogObserver(output.append)
    for second in range(0, 41, 2):
        clock.set(second)
        rows = 25_000 + second * 100_000
        observer.observe(
            progress("guests", "compare", rows, "rows", 8_025_000, size=(rows * 200, 1_605_000_000)), clock()
        )
    clock.set(41)
    observer.observe(progress("guests", "stage", 25_000, "records", 4_000_000, size=(5_000_000, None)), clock())

    assert output == [
        LINE.format(14) + "compare 25,000 of 8,025,000 rows, 5.0 MB of 1.6 GB",
        LINE.format(24) + "compare 1,025,000 of 8,025,000 rows, 205.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        LINE.format(34) + "compare 2,025,000 of 8,025,000 rows, 405.0 MB of 1.6 GB, 100,000 rows/s, about 1 min left",
        LINE.format(44) + "compare 3,025,000 of 8,025,000 rows, 605.0 MB of 1.6 GB, 100,000 rows/s, about 50 s left",
        LINE.format(54) + "compare 4,025,000 of 8,025,000 rows, 805.0 MB of 1.6 GB, 100,000 rows/s, about 40 s left",
        LINE.format(55) + "stage 25,000 of 4,000,000 records, 5.0 MB",
    ]


def test_remaining_time_uses_bytes_if_rows_are_unknown() -> None:
    clock = ManualClock()
    observer = TerminalObserver(clock)
    observer.observe(progress("guests", "compare", 25_000, "rows", size=(1_000_000, 9_000_000)), clock())
    assert screen(observer) == ["guests    compare 25,000 rows, 1.0 MB of 9.0 MB, 11 %"]
    clock.set(4)
    observer.observe(progress("guests", "compare", 75_000, "rows", size=(3_000_000, 9_000_000)), clock())
    assert screen(observer) == [
        "guests    compare 75,000 rows, 3.0 MB of 9.0 MB, 33 %, 4 s elapsed, 12,500 rows/s, about 12 s left"
    ]
    clock.set(5)
    observer.observe(progress("guests", "stage", 10, "records", 10), clock())
    assert screen(observer) == ["guests    stage 10 records"]


def test_terminal_shows_how_long_the_vendor_has_worked_and_what_is_left() -> None:
    clock = ManualClock()
    observer = TerminalObserver(clock)
    for number in (1, 2, 3):
        submitted = batch(id=f"guests-{number}", seq=number, phase=Phase.SUBMITTED, submitted_at=NOW)
        observer.observe(BatchChanged(batch=submitted), NOW)
    assert screen(observer) == ["guests  0 of 3 batches  submitted"]

    clock.set(60)
    done = batch(id="guests-1", phase=Phase.DELIVERED, submitted_at=NOW, counts=OutcomeCounts.of(accepted=115))
    observer.observe(BatchChanged(batch=done), clock())
    assert screen(observer) == ["guests  1 of 3 batches, 33 %, 1 min elapsed, about 2 min left  submitted"]


def test_terminal_moves_while_the_vendor_works_and_stands_still_otherwise() -> None:
    def shown(observer: TerminalObserver, at: float) -> str:
        console = Console(file=io.StringIO(), width=120, get_time=lambda: at)
        console.print(observer.drawn())
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    observer = TerminalObserver(lambda: NOW)
    observer.observe(BatchChanged(batch=batch(phase=Phase.SUBMITTED)), NOW)
    assert len({shown(observer, tenth / 10) for tenth in range(10)}) > 1
    observer.observe(progress("guests", "compare", 60, "rows", 120), NOW)
    assert len({shown(observer, tenth / 10) for tenth in range(10)}) == 1
