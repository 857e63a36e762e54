"""Times of past batches: from submission to verdict, and of uploads that were made in one request."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from journal_samples import ALLOCATION, DELIVERED, EVENTS, NOW, make_baseline, record_all, start_run

from batchsync.core.batch import Verb, Verdict
from batchsync.core.events import (
    Allocated,
    Collected,
    Event,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Uploaded,
    VendorFinished,
)
from batchsync.core.row_outcome import OutcomeCounts

if TYPE_CHECKING:
    from batchsync.journal import Journal

SECOND = timedelta(seconds=1)
#: An upload of 4 seconds, and a verdict 60 seconds later.
DELIVERY: tuple[Event, ...] = (
    Allocated(at=NOW, allocation=ALLOCATION),
    IntentRecorded(at=NOW + SECOND, verb=Verb.UPLOAD),
    Uploaded(at=NOW + 5 * SECOND),
    VendorFinished(at=NOW + 65 * SECOND, verdict=Verdict.PROCESSED, vendor_status="done"),
    Collected(at=NOW + 66 * SECOND, counts=OutcomeCounts.of(accepted=10)),
)


def deliver(journal: Journal, events: tuple[Event, ...], job: str = "guests") -> None:
    """Deliver the only batch of a new run."""
    (batch,) = start_run(journal, job)
    collected = record_all(journal, batch, events)
    delivered = replace(DELIVERED, at=NOW + 70 * SECOND)
    journal.deliver(collected, delivered, baseline=make_baseline(collected), rejects=())


def test_upload_in_one_request_is_timed(journal: Journal) -> None:
    deliver(journal, DELIVERY)
    (found,) = journal.past_batches(["guests"], 20)

    assert (found.rows, found.size, found.took, found.upload) == (10, 1234, 60 * SECOND, 4 * SECOND)


@pytest.mark.parametrize(
    "between",
    [
        OutcomeUnknown(at=NOW + 2 * SECOND, verb=Verb.UPLOAD, reason="timeout", retry_at=NOW),
        NotApplied(at=NOW + 2 * SECOND, verb=Verb.UPLOAD, reason="503", retry_at=NOW),
    ],
)
def test_repeated_or_doubtful_upload_is_not_timed(journal: Journal, between: Event) -> None:
    again = (IntentRecorded(at=NOW + 3 * SECOND, verb=Verb.UPLOAD),) if isinstance(between, NotApplied) else ()
    deliver(journal, (*DELIVERY[:2], between, *again, *DELIVERY[2:]))
    (found,) = journal.past_batches(["guests"], 20)

    assert (found.took, found.upload) == (60 * SECOND, None)


def test_long_story_is_not_timed_either(journal: Journal) -> None:
    deliver(journal, EVENTS)

    assert journal.past_batches(["guests"], 20)[0].upload is None


def test_batches_of_an_account_exclude_those_of_others(journal: Journal) -> None:
    deliver(journal, DELIVERY)
    deliver(journal, DELIVERY, job="orders")

    assert len(journal.past_batches(["guests", "orders"], 20)) == 2
    assert len(journal.past_batches(["guests", "orders"], 1)) == 1
    assert len(journal.past_batches(["guests"], 20, "motorweb:acme")) == 1
    assert journal.past_batches(["guests"], 20, "motorweb:other") == ()
