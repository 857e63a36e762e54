"""Sentences of a forecast: each figure with what it is known from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from batchsync.core.forecast import Basis, Forecast
from batchsync.report.forecast import ForecastReport

MINUTE = timedelta(minutes=1)
UNKNOWN = Forecast(
    vendor="sitecore-cdp", files=4_000, rows_per_file=250_000, calls=16_000, at_least=4_000 * timedelta(seconds=5)
)
SIZED = replace(UNKNOWN, size=200 * 10**9, size_from=Basis.SAMPLE, measured=10_000)
TIMED = replace(
    SIZED,
    calls=72_000,
    per_batch=10 * MINUTE,
    per_batch_from=Basis.JOB,
    past=12,
    past_rows=240_000,
    duration=40_000 * MINUTE,
)
SMALL = replace(TIMED, files=1, rows_per_file=240_000, duration=10 * MINUTE, past=1)


def sentences(forecast: Forecast) -> tuple[str, str]:
    """Return the sentences without their labels."""
    cost, time = ForecastReport(forecast).sentences()
    return cost.removeprefix("expected: "), time.removeprefix("expected time: ")


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        (UNKNOWN, "4,000 batch files, at least 16,000 vendor calls"),
        (
            replace(UNKNOWN, raw_size=10**12),
            "4,000 batch files, about 1.0 TB before compression and envelopes, at least 16,000 vendor calls",
        ),
        (
            SIZED,
            (
                "4,000 batch files, about 200.0 GB (by a sample of 10,000 records, encoded and compressed), at least "
                "16,000 vendor calls"
            ),
        ),
        (
            replace(TIMED, size_from=Basis.JOB, measured=3_000_000),
            (
                "4,000 batch files, about 200.0 GB (by 3,000,000 records in past batches of this job), about 72,000 "
                "vendor calls"
            ),
        ),
    ],
)
def test_size_has_its_origin(forecast: Forecast, text: str) -> None:
    assert sentences(forecast)[0] == text


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        (
            SIZED,
            (
                "not known, because there is no past batch of sitecore-cdp; at least 5 h 33 min: none has a verdict "
                "before the first poll; about 4,000 batches, one after another (limit of the vendor spec sitecore-cdp)"
            ),
        ),
        (
            TIMED,
            (
                "about 28 days at the vendor: about 4,000 batches, one after another (limit of the vendor spec "
                "sitecore-cdp), at 10 min each (by 12 past batches of this job); uploads not included"
            ),
        ),
        (
            replace(TIMED, in_flight=4, in_flight_from=Basis.CONNECTION, duration=10_000 * MINUTE, past_rows=300),
            (
                "about 6 d 22 h at the vendor: about 4,000 batches, 4 at a time (limit of the connection), at 10 min "
                "each (by 12 past batches of this job, of about 300 records each); uploads not included"
            ),
        ),
        (
            replace(TIMED, per_batch_from=Basis.VENDOR_BATCHES, uploads=400 * MINUTE, duration=40_400 * MINUTE),
            (
                "about 28 days at the vendor: about 4,000 batches, one after another (limit of the vendor spec "
                "sitecore-cdp), at 10 min each (by 12 past batches of sitecore-cdp); of it about 6 h 40 min for "
                "uploads, as fast as past ones"
            ),
        ),
        (
            replace(TIMED, per_batch_from=Basis.VENDOR, past=0, past_rows=0),
            (
                "about 28 days at the vendor: about 4,000 batches, one after another (limit of the vendor spec "
                "sitecore-cdp), at 10 min each (by the vendor spec sitecore-cdp); uploads not included"
            ),
        ),
        (SMALL, "about 10 min at the vendor: 1 batch (by 1 past batch of this job)"),
        (replace(UNKNOWN, files=1), "not known, because there is no past batch of sitecore-cdp"),
        (
            replace(TIMED, days=100, duration=99 * timedelta(days=1), day_limit="10,000,000 rows"),
            "100 days, because of a limit of 10,000,000 rows a day (set by the vendor spec sitecore-cdp)",
        ),
        (
            replace(SIZED, days=2, day_limit="300 calls", day_limit_from=Basis.CONNECTION),
            "2 days, because of a limit of 300 calls a day (set by the connection)",
        ),
    ],
)
def test_time_has_its_origin(forecast: Forecast, text: str) -> None:
    assert sentences(forecast)[1] == text


def test_limit_of_a_day_is_not_named_where_the_batches_take_longer() -> None:
    assert sentences(replace(TIMED, days=3, day_limit="10 rows"))[1] == sentences(TIMED)[1]
