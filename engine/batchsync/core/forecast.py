"""Forecast of what a plan costs: batch files, bytes, vendor calls and time, each with what it is known from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

from batchsync.core.account_limits import days_needed
from batchsync.core.vendor_calls import CallName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.policy import Policy
    from batchsync.core.vendor_calls import Dialect
    from batchsync.core.vendor_rules import FileRules, VendorRules

#: Polls after which the interval is taken as constant.
_POLLS_COUNTED = 1_000
#: Calls of a delivery that are made once per file.
_ONCE = (CallName.ALLOCATE, CallName.UPLOAD, CallName.COMMIT)
#: Bytes of past batches from which the speed of uploads is known: the time of a small file is that of its request.
_SPEED_BYTES = 1_000_000


class Basis(StrEnum):
    """What a figure of a forecast is known from, or who set a limit."""

    #: past batches of the job in the same account
    JOB = "batches_of_job"
    #: past batches of the vendor
    VENDOR_BATCHES = "batches_of_vendor"
    #: the first changed records, encoded and compressed
    SAMPLE = "sample"
    #: the vendor spec
    VENDOR = "vendor_spec"
    #: the connection in jobs.yaml
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastBatch:
    """A delivered batch.

    Attributes:
        rows: Its records.
        size: Its bytes.
        took: Time from submission to verdict.
        upload: Time of its upload; None if that is not known, or the upload was in doubt.
    """

    rows: int
    size: int
    took: timedelta
    upload: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastBatches:
    """Past batches: of the job in the same account, and of all jobs of its vendor."""

    of_job: Sequence[PastBatch] = ()
    of_vendor: Sequence[PastBatch] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSample:
    """Size of some changed records as they would be sent.

    Attributes:
        records: Number of records to add or change.
        size: Bytes of these, compressed as in a batch file.
        removals: Number of removal records.
        removals_size: Bytes of these.
        file_size: Bytes of a batch file besides its records.
    """

    records: int = 0
    size: int = 0
    removals: int = 0
    removals_size: int = 0
    file_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSend:
    """What a plan sends.

    Attributes:
        records: Number of records, removals included.
        removals: Number of removals.
        bytes_per_record: Mean size of a record before compression; None if it is not known.
        sample: Size of some of them; None if it is not known.
    """

    records: int
    removals: int = 0
    bytes_per_record: float | None = None
    sample: EncodedSample | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a plan is expected to cost.

    Attributes:
        vendor: Name of the vendor.
        files: Number of batch files; at least that many if `size` is not known.
        rows_per_file: Records of a full file.
        size: Bytes of all files; None if they are not known.
        size_from: What they are known from; None if they are not.
        measured: Number of records of past batches, or of the sample, that `size` rests on.
        raw_size: Bytes of all records before compression, from the records that the plan shows; None without any.
        in_flight: Batches that the vendor has at a time.
        in_flight_from: Who limits them.
        calls: Number of vendor calls about the batches; if the time of a batch is not known, those besides polls.
        per_batch: Time from the submission of a batch to its verdict; None if it is not known.
        per_batch_from: What it is known from; None if it is not.
        past: Number of past batches that it is known from.
        past_rows: Mean number of records of these.
        uploads: Time of all uploads, by the speed of past ones; None if that is not known.
        duration: Time from the first upload to the last verdict; None if the time of a batch is not known.
        at_least: What is known of `duration` in any case: no batch is asked about before the first poll.
        days: Number of days in which the account may send that much; 1 without a limit of a day.
        day_limit: The limit of a day that asks for most days, such as `1,000,000 rows`; empty if one day is enough.
        day_limit_from: Who set it; None without it.
    """

    vendor: str
    files: int
    rows_per_file: int
    size: int | None = None
    size_from: Basis | None = None
    measured: int = 0
    raw_size: int | None = None
    in_flight: int = 1
    in_flight_from: Basis = Basis.VENDOR
    calls: int = 0
    per_batch: timedelta | None = None
    per_batch_from: Basis | None = None
    past: int = 0
    past_rows: int = 0
    uploads: timedelta | None = None
    duration: timedelta | None = None
    at_least: timedelta = timedelta()
    days: int = 1
    day_limit: str = ""
    day_limit_from: Basis | None = None


def forecast(to_send: ToSend, rules: VendorRules, policy: Policy, past: PastBatches) -> Forecast | None:
    """Return what a plan is expected to cost; None if it sends nothing.

    Args:
        to_send: What the plan sends.
        rules: Rules of the vendor, for the account.
        policy: Policy of the connection.
        past: Past batches.
    """
    records = to_send.records
    if not records:
        return None
    size, size_from, measured = _size(to_send, past.of_job)
    rows_per_file = _rows_per_file(records, size, rules.file)
    files = math.ceil(records / rows_per_file)
    if size_from is Basis.SAMPLE and to_send.sample is not None and size is not None:
        size += files * to_send.sample.file_size
    in_flight = max(1, policy.in_flight_max)
    rounds = math.ceil(files / in_flight)
    per_batch, per_batch_from, used = _time_of_batch(policy, past)
    uploads = None if size is None else _uploads(size, past)
    duration = None if per_batch is None else per_batch * rounds + (uploads or timedelta()) / in_flight
    calls = files * (_calls(rules.dialect) + (0 if per_batch is None else _polls(per_batch, policy)))
    days, day_limit, day_limit_from = _days((records, size, calls), rows_per_file, rules.policy, policy)
    whole_days = timedelta(days=days - 1)
    return Forecast(
        vendor=rules.name,
        files=files,
        rows_per_file=rows_per_file,
        size=size,
        size_from=size_from,
        measured=measured,
        raw_size=None if to_send.bytes_per_record is None else math.ceil(records * to_send.bytes_per_record),
        in_flight=in_flight,
        in_flight_from=Basis.VENDOR if policy.in_flight_max == rules.policy.in_flight_max else Basis.CONNECTION,
        calls=calls,
        per_batch=per_batch,
        per_batch_from=per_batch_from,
        past=len(used),
        past_rows=round(sum(batch.rows for batch in used) / len(used)) if used else 0,
        uploads=uploads,
        duration=None if duration is None else max(duration, whole_days),
        at_least=max(policy.poll_first * rounds, whole_days),
        days=days,
        day_limit=day_limit,
        day_limit_from=day_limit_from,
    )


def _size(to_send: ToSend, own: Sequence[PastBatch]) -> tuple[int | None, Basis | None, int]:
    """Return the bytes of all records, what they are known from, and the number of records measured for it."""
    sent = sum(batch.rows for batch in own)
    if sent:
        return math.ceil(to_send.records * sum(batch.size for batch in own) / sent), Basis.JOB, sent
    sample, kept = to_send.sample, to_send.records - to_send.removals
    if sample is None or (kept and not sample.records) or (to_send.removals and not sample.removals):
        return None, None, 0
    size = kept * sample.size / max(1, sample.records) + to_send.removals * sample.removals_size / max(
        1, sample.removals
    )
    return math.ceil(size), Basis.SAMPLE, sample.records + sample.removals


def _rows_per_file(records: int, size: int | None, rules: FileRules) -> int:
    """Return the number of records of a full file, by the limits of rows and bytes."""
    rows = min(records, rules.rows_max or records)
    if rules.bytes_max and size:
        rows = min(rows, max(1, records * rules.bytes_max // size))
    return rows


def _time_of_batch(policy: Policy, past: PastBatches) -> tuple[timedelta | None, Basis | None, Sequence[PastBatch]]:
    """Return the time of a batch at the vendor, what it is known from, and the past batches used."""
    for batches, basis in ((past.of_job, Basis.JOB), (past.of_vendor, Basis.VENDOR_BATCHES)):
        if batches:
            seconds = median(batch.took.total_seconds() for batch in batches)
            return timedelta(seconds=seconds), basis, batches
    if policy.processing_time is not None:
        return max(policy.processing_time, policy.poll_first), Basis.VENDOR, ()
    return None, None, ()


def _uploads(size: int, past: PastBatches) -> timedelta | None:
    """Return the time of uploading some bytes one after another, by the speed of past uploads; None if unknown."""
    timed = [(batch.size, batch.upload) for batch in (past.of_job or past.of_vendor) if batch.upload is not None]
    sent = sum(size for size, _ in timed)
    took = sum((upload for _, upload in timed), timedelta())
    return took * (size / sent) if sent >= _SPEED_BYTES else None


def _days(
    amounts: tuple[int, int | None, int], rows_per_file: int, vendor: Policy, policy: Policy
) -> tuple[int, str, Basis | None]:
    """Return the days that limits of the account ask for, the limit that asks for most, and who set it.

    Args:
        amounts: Records, bytes and calls of all batches.
        rows_per_file: Records of a full batch; a batch is not divided between days.
        vendor: Policy of the vendor.
        policy: Policy of the connection.
    """
    days, limit_text, set_by = 1, "", None
    for amount, name in zip(amounts, ("rows", "bytes", "calls"), strict=True):
        limit = getattr(policy.account, f"{name}_per_day")
        of_batch = 1 if name == "calls" else math.ceil((amount or 0) * rows_per_file / amounts[0])
        needed = days_needed(amount, limit, of_batch)
        if needed > days:
            days, limit_text = needed, f"{limit:,} {name}"
            set_by = Basis.VENDOR if getattr(vendor.account, f"{name}_per_day") == limit else Basis.CONNECTION
    return days, limit_text, set_by


def _calls(dialect: Dialect | None) -> int:
    """Return the number of calls about a batch besides polls: to send it, and to fetch its results or row log."""
    if dialect is None:
        return 2
    sending = sum(name in dialect.calls for name in _ONCE)
    downloads = [item for item in (dialect.results, *(dialect.errors.downloads[:1] if dialect.errors else ())) if item]
    return sending + sum(1 + (item.locate is not None) for item in downloads)


def _polls(took: timedelta, policy: Policy) -> int:
    """Return how often a batch is polled until its verdict."""
    passed, polls = timedelta(), 0
    while passed < took and polls < _POLLS_COUNTED:
        grown = policy.poll_first.total_seconds() * policy.poll_growth**polls
        passed += timedelta(seconds=max(1.0, min(grown, policy.poll_max.total_seconds())))
        polls += 1
    if passed < took:
        polls += math.ceil((took - passed) / max(policy.poll_max, timedelta(seconds=1)))
    return max(1, polls)
