"""A job whose account has no calls left waits for them, or ends with exit code 5; `serve` is not held up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from batchsync.errors import AccountLimitError, CallsUsedUpError, ExitCode
from batchsync.ports import LimitReached
from batchsync.reconcile.describe import describe

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.ports import TargetFacts, Vendor

DAY = timedelta(days=1)


@dataclass
class UsedUp:
    """A vendor whose calls are used up for some attempts."""

    vendor: Vendor
    free_at: datetime
    attempts: int

    def describe(self, *words: Any) -> TargetFacts:
        self.attempts -= 1
        if self.attempts >= 0:
            raise CallsUsedUpError(self.free_at)
        return self.vendor.describe(*words)


def test_calls_of_the_next_day_are_waited_for_without_counting_as_failures(harness: Harness) -> None:
    context, services = harness.context("guests"), harness.services
    free_at = services.clock.now() + DAY
    vendor = UsedUp(context.vendor, free_at, attempts=9)
    assert describe(replace(context, vendor=cast("Vendor", vendor)), services) is not None
    assert services.clock.now() >= free_at


@pytest.mark.parametrize(("wait", "until"), [(False, None), (True, timedelta(hours=1))])
def test_job_that_does_not_wait_ends_and_says_when_it_can_go_on(
    harness: Harness, *, wait: bool, until: timedelta | None
) -> None:
    events: list[object] = []
    context, services = harness.context("guests"), harness.services
    services = replace(services, events=Recorder(events))
    before = services.clock.now()
    vendor = UsedUp(context.vendor, before + DAY, attempts=1)
    latest = None if until is None else before + until
    with pytest.raises(AccountLimitError) as ended:
        describe(replace(context, vendor=cast("Vendor", vendor)), services, latest, wait=wait)
    assert ended.value.exit_code is ExitCode.UNSETTLED
    assert f"{before + DAY:%Y-%m-%d %H:%M}Z" in ended.value.message
    assert services.clock.now() - before < timedelta(minutes=1)
    (reached,) = [item for item in events if isinstance(item, LimitReached)]
    assert (reached.job, reached.batch, reached.until) == ("guests", "", before + DAY)


@dataclass
class Recorder:
    """Sink of events that keeps them."""

    events: list[object]

    def emit(self, event: object, /) -> None:
        self.events.append(event)
