"""Each call of a vendor is emitted when it ends, with what its answer proves; an interrupted call is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from batchsync.core.batch import Allocation, Verdict
from batchsync.errors import (
    AllocationExpiredError,
    AmbiguousOutcomeError,
    NotReadyError,
    PermanentError,
    RetryableError,
    VendorError,
)
from batchsync.interrupts import TimeLimitReached
from batchsync.ports import VendorCalled
from batchsync.reconcile.vendor_calls import EmittingVendor, with_emitted_calls

if TYPE_CHECKING:
    from batchsync.ports import RunEvent
    from batchsync.reconcile.services import JobContext, Services


@dataclass
class Recorder:
    """Event sink that keeps events."""

    events: list[RunEvent] = field(default_factory=list)

    def emit(self, event: RunEvent, /) -> None:
        self.events.append(event)


class AnyVendor:
    """Vendor that returns the name of each call, or raises."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure

    def __getattr__(self, name: str) -> Any:
        """Return the call of a name."""

        def call(*_: object) -> str:
            if self.failure is not None:
                raise self.failure
            return name

        return call


def emitting(failure: BaseException | None = None) -> tuple[EmittingVendor, Recorder]:
    recorder = Recorder()
    vendor = EmittingVendor(
        vendor=cast("Any", AnyVendor(failure)), events=recorder, job="guests", connection="sitecore", run="r", batch="b"
    )
    return vendor, recorder


def test_every_call_is_passed_on_and_emitted() -> None:
    vendor, recorder = emitting()
    allocation, file = Allocation(id="a"), cast("Any", object())
    returned = [
        vendor.describe({}, "upsert"),
        vendor.allocate(cast("Any", "key"), file, {}),
        vendor.find(cast("Any", "key"), {}),
        vendor.upload(allocation, file),
        vendor.commit(allocation, file),
        vendor.poll(allocation),
        vendor.collect(allocation, Verdict.PROCESSED, Path()),
    ]
    vendor.cancel(allocation)

    called = [event for event in recorder.events if isinstance(event, VendorCalled)]
    assert [event.call for event in called] == [*map(str, returned), "cancel"]
    assert {(event.job, event.connection, event.run, event.batch) for event in called} == {
        ("guests", "sitecore", "r", "b")
    }
    assert {event.answer for event in called} == {"ok"}
    assert all(event.duration.total_seconds() >= 0 for event in called)


@pytest.mark.parametrize(
    ("failure", "answer"),
    [
        (RetryableError("x"), "not_applied"),
        (NotReadyError("x"), "not_applied"),
        (AmbiguousOutcomeError("x"), "outcome_unknown"),
        (PermanentError("x"), "permanent"),
        (AllocationExpiredError("x"), "expired"),
    ],
)
def test_answer_is_what_the_failure_proves(failure: VendorError, answer: str) -> None:
    vendor, recorder = emitting(failure)
    with pytest.raises(type(failure)):
        vendor.poll(Allocation(id="a"))
    assert [event.answer for event in recorder.events if isinstance(event, VendorCalled)] == [answer]


def test_interrupted_call_is_not_emitted() -> None:
    vendor, recorder = emitting(TimeLimitReached())
    with pytest.raises(TimeLimitReached):
        vendor.poll(Allocation(id="a"))
    assert recorder.events == []


def test_calls_about_no_batch_name_none(harness: Any) -> None:
    context: JobContext = harness.context("guests")
    recorder = Recorder()
    services = cast("Services", SimpleNamespace(events=recorder))
    with_emitted_calls(context, services).vendor.describe(context.job.target)
    (event,) = recorder.events
    assert isinstance(event, VendorCalled)
    assert (event.call, event.answer, event.run, event.batch) == ("describe", "ok", "", "")
