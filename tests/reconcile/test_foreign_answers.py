"""Answers that do not come from the vendor, or come after the effect: nothing is sent twice, nothing waits for long."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import ALLOCATE, POLL, UPLOAD, VENDOR_OF, WAIT, Harness

from batchsync.core.batch import Phase, Verb
from batchsync.core.events import FileMissing, Parked
from batchsync.reconcile.cancel import cancel

if TYPE_CHECKING:
    from batchsync.core.batch import Batch

JOBS = pytest.mark.parametrize("job", ["guests", "vehicles"])
#: Pages with a success status, as portals and proxies return them.
PAGES = [
    "<html><body>Please log in.</body></html>",
    "<!-- portal -->\n<!DOCTYPE HTML>\n<HTML><HEAD></HEAD></HTML>",
    "\ufeff  <!doctype html><title>Welcome</title>",
    "Please log in at http://portal.example/",
]
#: Refusals in the format of an API, which a gateway in front of the vendor may send after the work was done.
GATEWAY_JSON = '{"message": "Forbidden"}'


def events_of(harness: Harness, job: str, kind: type[Any]) -> list[Any]:
    return [event for event in harness.app.journal.events(harness.batch(job).id) if isinstance(event, kind)]


def settled_by_resume(harness: Harness, job: str) -> Batch:
    """Sync, and resume once if the batch needs attention; return the batch."""
    harness.sync(job, WAIT)
    if harness.batch(job).phase is Phase.NEEDS_ATTENTION:
        harness.resume(job)
    return harness.batch(job)


@JOBS
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_page_with_status_200_is_no_success(harness: Harness, job: str, page: str, verb: str) -> None:
    request = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="status", status=200, text=page, times=3, **request)
    started = harness.services.clock.now()

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)
    assert not events_of(harness, job, FileMissing)
    assert harness.services.clock.now() - started < timedelta(hours=3)


@JOBS
def test_empty_allocation_long_after_the_upload_reopens_the_doubt(harness: Harness, job: str) -> None:
    harness.arm(job, kind="status", status=200, text=" ", times=1, **UPLOAD)
    started = harness.services.clock.now()

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert harness.delivered_once(job)
    assert len(events_of(harness, job, FileMissing)) == 1
    assert harness.services.clock.now() - started < 2 * harness.context(job).policy.empty_max
    assert not list(harness.app.journal.audit())


@JOBS
def test_file_that_arrives_after_the_doubt_was_reopened_is_not_sent_again(harness: Harness, job: str) -> None:
    """A status from a replica that lags behind looks like an allocation without its file."""
    empty = {"guests": '{"status": {"code": "uploading"}}', "vehicles": '{"status": "PENDING"}'}
    harness.sync(job)
    harness.advance(harness.context(job).policy.empty_max + timedelta(minutes=1))
    harness.arm(job, kind="status", status=200, text=empty[job], times=1, **POLL[job])

    harness.resume(job)

    assert len(events_of(harness, job, FileMissing)) == 1
    assert (harness.batch(job).phase, harness.batch(job).attempt) == (Phase.DELIVERED, 1)
    assert harness.delivered_once(job)


def test_uploads_that_vanish_each_time_need_attention(harness: Harness) -> None:
    harness.arm("guests", kind="status", status=200, text=" ", times=0, **UPLOAD)
    started = harness.services.clock.now()

    harness.sync("guests", WAIT)

    assert harness.batch("guests").phase is Phase.NEEDS_ATTENTION
    assert harness.services.clock.now() - started < harness.context("guests").policy.deadline
    harness.clear_faults()
    harness.resume("guests")
    assert harness.delivered_once("guests")


@JOBS
@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 503])
@pytest.mark.parametrize("verb", ["allocate", "upload"])
def test_refusal_by_a_gateway_after_the_effect_heals(harness: Harness, job: str, status: int, verb: str) -> None:
    """Also a refusal in the vendor's format: the same key would get 409 after the allocation was granted."""
    request = ALLOCATE[job] if verb == "allocate" else UPLOAD
    harness.arm(job, kind="replace_answer", status=status, text=GATEWAY_JSON, **request)

    batch = settled_by_resume(harness, job)

    assert batch.phase is Phase.DELIVERED
    assert harness.delivered_once(job)
    assert verb == "allocate" or not events_of(harness, job, Parked)


@JOBS
def test_refused_allocation_stays_in_doubt_and_can_be_cancelled(harness: Harness, job: str) -> None:
    harness.arm(job, kind="status", status=422, text=GATEWAY_JSON, **ALLOCATE[job])
    harness.sync(job, WAIT)
    assert harness.batch(job).pending_intent is Verb.ALLOCATE

    with harness.services.lease(job):
        cancel(harness.batch(job), harness.context(job), harness.services)

    harness.sync(job, WAIT)
    assert harness.delivered_once(job)
    assert harness.deployment.delivered(VENDOR_OF[job])


@JOBS
def test_503_after_the_allocation_was_granted_heals_without_a_conflict(harness: Harness, job: str) -> None:
    harness.arm(job, kind="replace_answer", status=503, **ALLOCATE[job])

    harness.sync(job, WAIT)

    assert harness.batch(job).phase is Phase.DELIVERED
    assert not events_of(harness, job, Parked)
    assert harness.delivered_once(job)
