"""Forecast of files, bytes, calls and time, and what each figure is known from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.core.account_limits import AccountLimits
from batchsync.core.forecast import Basis, EncodedSample, Forecast, PastBatch, PastBatches, ToSend, forecast
from batchsync.core.kept_forecast import forecast_from_dict, forecast_to_dict
from batchsync.core.policy import Policy
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.vendor_rules import VendorRules

MINUTE = timedelta(minutes=1)
POLICY = Policy(poll_first=MINUTE, poll_max=MINUTE, in_flight_max=1)
NONE = PastBatches()


@pytest.fixture(scope="module")
def rules() -> VendorRules:
    """The rules of Sitecore CDP, with at most 1,000 rows in a file."""
    found = load_vendor("sitecore-cdp")
    return replace(found, file=replace(found.file, rows_max=1_000, bytes_max=1_000_000))


def past(minutes: float = 10, rows: int = 100, size: int = 1_000, upload: timedelta | None = None) -> PastBatch:
    return PastBatch(rows=rows, size=size, took=minutes * MINUTE, upload=upload)


def of_job(*batches: PastBatch) -> PastBatches:
    return PastBatches(of_job=batches, of_vendor=batches)


def expected(to_send: ToSend | int, rules: VendorRules, policy: Policy = POLICY, known: PastBatches = NONE) -> Forecast:
    found = forecast(ToSend(records=to_send) if isinstance(to_send, int) else to_send, rules, policy, known)
    assert found is not None
    return found


def test_nothing_to_send_has_no_forecast(rules: VendorRules) -> None:
    assert forecast(ToSend(records=0), rules, POLICY, of_job(past())) is None


def test_batches_one_after_another_add_up(rules: VendorRules) -> None:
    found = expected(2_500, rules, known=of_job(past(9), past(10), past(60)))

    assert (found.files, found.rows_per_file, found.size, found.size_from) == (3, 1_000, 25_000, Basis.JOB)
    assert (found.per_batch, found.per_batch_from, found.past) == (10 * MINUTE, Basis.JOB, 3)
    assert (found.duration, found.past_rows, found.measured) == (30 * MINUTE, 100, 300)


def test_batches_at_the_same_time_do_not_add_up(rules: VendorRules) -> None:
    found = expected(2_500, rules, replace(POLICY, in_flight_max=2), of_job(past()))

    assert (found.in_flight, found.in_flight_from, found.duration) == (2, Basis.CONNECTION, 20 * MINUTE)
    assert expected(2_500, rules, known=of_job(past())).in_flight_from is Basis.VENDOR


def test_bytes_limit_files_too(rules: VendorRules) -> None:
    found = expected(900, rules, known=of_job(past(rows=1, size=5_000)))

    assert (found.size, found.rows_per_file, found.files) == (4_500_000, 200, 5)


def test_record_larger_than_a_file_makes_one_file_each(rules: VendorRules) -> None:
    assert expected(3, rules, known=of_job(past(rows=1, size=5_000_000))).files == 3


def test_batches_of_other_jobs_say_how_long_but_not_how_large(rules: VendorRules) -> None:
    found = expected(ToSend(records=10, bytes_per_record=50.5), rules, known=PastBatches(of_vendor=[past()]))

    assert (found.size, found.size_from, found.raw_size) == (None, None, 505)
    assert (found.duration, found.per_batch_from) == (10 * MINUTE, Basis.VENDOR_BATCHES)


def test_sample_says_how_large_records_and_removals_are(rules: VendorRules) -> None:
    sample = EncodedSample(records=10, size=1_000, removals=5, removals_size=100, file_size=20)
    found = expected(ToSend(records=3_000, removals=1_000, sample=sample), rules)

    assert (found.files, found.size) == (3, 2_000 * 100 + 1_000 * 20 + 3 * 20)
    assert (found.size_from, found.measured) == (Basis.SAMPLE, 15)


@pytest.mark.parametrize("sample", [EncodedSample(records=5, size=50), EncodedSample(removals=5, removals_size=50)])
def test_sample_that_lacks_a_kind_of_record_says_nothing(rules: VendorRules, sample: EncodedSample) -> None:
    assert expected(ToSend(records=10, removals=4, sample=sample), rules).size is None


def test_past_batches_of_the_job_come_before_a_sample(rules: VendorRules) -> None:
    sample = EncodedSample(records=10, size=1_000)

    assert expected(ToSend(records=10, sample=sample), rules, known=of_job(past())).size == 100


def test_without_past_batches_time_is_unknown_and_polls_are_not_counted(rules: VendorRules) -> None:
    without = expected(2_500, rules)
    having = expected(2_500, rules, known=of_job(past(10)))

    assert (without.duration, without.per_batch_from, without.past, without.raw_size) == (None, None, 0, None)
    assert without.at_least == 3 * MINUTE
    assert having.calls == without.calls + 3 * 10


def test_documented_time_of_a_vendor_counts_until_a_batch_was_delivered(rules: VendorRules) -> None:
    policy = replace(POLICY, processing_time=15 * MINUTE)
    documented = expected(2_500, rules, policy)
    measured = expected(2_500, rules, policy, of_job(past(7)))

    assert (documented.duration, documented.per_batch_from, documented.past) == (45 * MINUTE, Basis.VENDOR, 0)
    assert (measured.duration, measured.per_batch_from) == (21 * MINUTE, Basis.JOB)
    assert expected(1, rules, replace(policy, processing_time=timedelta(seconds=1))).per_batch == MINUTE


def test_polls_grow_to_the_longest_interval(rules: VendorRules) -> None:
    policy = Policy(poll_first=timedelta(seconds=10), poll_growth=2, poll_max=timedelta(seconds=40))
    seconds = (0, 10, 30, 31, 110, 60 * 60 * 24 * 30)
    calls = [expected(1, rules, policy, of_job(past(minutes=took / 60, rows=1, size=1))).calls for took in seconds]

    assert [number - calls[0] for number in calls[1:5]] == [0, 1, 2, 3]
    assert calls[5] - calls[0] > 60_000


def test_vendor_in_python_makes_few_calls(rules: VendorRules) -> None:
    assert expected(1, replace(rules, dialect=None)).calls == 2


def test_uploads_count_only_where_their_speed_is_known(rules: VendorRules) -> None:
    fast = past(rows=1_000, size=1_000_000, upload=timedelta(seconds=10))
    found = expected(4_000, rules, known=of_job(fast, past(rows=1_000, size=1_000_000)))
    small = expected(4_000, rules, known=of_job(past(upload=timedelta(seconds=10))))

    assert (found.size, found.uploads) == (4_000_000, timedelta(seconds=40))
    assert found.duration == 40 * MINUTE + timedelta(seconds=40)
    assert small.uploads is None


@pytest.mark.parametrize(
    ("limits", "days", "limit"),
    [
        # A day takes two whole files of 1,000 rows.
        (AccountLimits(rows_per_day=2_500), 2, "2,500 rows"),
        (AccountLimits(rows_per_day=1_000), 3, "1,000 rows"),
        (AccountLimits(bytes_per_day=10_000), 3, "10,000 bytes"),
        (AccountLimits(rows_per_day=1_000, calls_per_day=10), 5, "10 calls"),
        (AccountLimits(rows_per_day=3_000), 1, ""),
    ],
)
def test_daily_limits_stretch_the_time(rules: VendorRules, limits: AccountLimits, days: int, limit: str) -> None:
    found = expected(3_000, rules, replace(POLICY, account=limits), of_job(past()))

    assert (found.days, found.day_limit) == (days, limit)
    assert found.duration == max(30 * MINUTE, timedelta(days=days - 1))
    assert found.day_limit_from is (Basis.CONNECTION if limit else None)


def test_daily_limit_of_the_vendor_differs_from_that_of_the_connection(rules: VendorRules) -> None:
    vendor = replace(rules, policy=replace(rules.policy, account=AccountLimits(rows_per_day=1_000)))

    found = expected(3_000, vendor, replace(POLICY, account=vendor.policy.account))
    assert (found.day_limit_from, found.at_least) == (Basis.VENDOR, timedelta(days=2))


def test_a_thousand_million_records_are_computed_without_any() -> None:
    found = load_vendor("sitecore-cdp")
    batches: Sequence[PastBatch] = [past(rows=250_000, size=50_000_000) for _ in range(12)]

    cdp = expected(1_000_000_000, found, found.policy, of_job(*batches))
    assert (cdp.files, cdp.rows_per_file, cdp.in_flight, cdp.past) == (4_000, 250_000, 1, 12)
    assert (cdp.size, cdp.duration) == (200_000_000_000, 40_000 * MINUTE)


@pytest.mark.parametrize("known", [NONE, of_job(past(upload=MINUTE))])
def test_forecast_in_a_plan_file_is_the_same(rules: VendorRules, known: PastBatches) -> None:
    found = expected(3_000, rules, replace(POLICY, in_flight_max=3, account=AccountLimits(rows_per_day=1_000)), known)

    assert forecast_from_dict(forecast_to_dict(found)) == found


@pytest.mark.parametrize(
    ("member", "value", "error"),
    [
        ("files", 0, ValueError),
        ("files", -1, TypeError),
        ("files", "1", TypeError),
        ("vendor", 1, TypeError),
        ("size_from", "a guess", ValueError),
        ("per_batch", 0.5, TypeError),
        ("at_least", None, TypeError),
    ],
)
def test_wrong_forecast_in_a_plan_file_is_refused(
    rules: VendorRules, member: str, value: object, error: type[Exception]
) -> None:
    values = forecast_to_dict(expected(3, rules)) | {member: value}
    with pytest.raises(error):
        forecast_from_dict(values)
    with pytest.raises(KeyError):
        forecast_from_dict({name: item for name, item in values.items() if name != member})
    assert (
        forecast_from_dict(values | {member: getattr(expected(3, rules), member), "at_least": 10**30}).at_least > MINUTE
    )
