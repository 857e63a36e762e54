"""Next commands for batches and runs that need attention."""

from __future__ import annotations

from typing import Any

import pytest
from report_samples import NOW, batch, report, run

from batchsync.core.batch import Allocation, Phase, Verb
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import RunState
from batchsync.errors import ExitCode
from batchsync.report.outcome import JobReport, OutcomeReport
from batchsync.report.status import JobStatus, StatusReport
from batchsync.report.text_format import strip_ansi
from batchsync.report.waiting import attention_steps, resolve_hint
from batchsync.report.why import KeyInFlight, KeyOfJob, WhyReport

ID = "guests-1f0c2a9be77d"
RESUME = "`batchsync resume guests` when the cause is fixed"
ASK = (
    f"ask the vendor about batch {ID}, then `batchsync resolve {ID} --delivered` if it has the rows "
    f"and no results are expected, else `batchsync resolve {ID} --resend`"
)
COLLECT = f"`batchsync collect {ID}` asks the vendor again; if that does not help, {ASK}"
LOST = batch(counts=OutcomeCounts.of(accepted=112, unknown=3))


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        ({"parked_from": Phase.PREPARED}, [f"{RESUME}, or `batchsync cancel {ID}` to cancel the batch"]),
        ({"parked_from": Phase.ALLOCATED}, [f"{RESUME}, or `batchsync cancel {ID}` to cancel the batch"]),
        ({"parked_from": Phase.ALLOCATED, "pending_intent": Verb.UPLOAD}, [RESUME, f"if that does not help, {ASK}"]),
        (
            {"parked_from": Phase.SUBMITTED, "allocation": Allocation(id="s")},
            [RESUME, f"if that does not help, {ASK}"],
        ),
        ({"parked_from": Phase.FINISHED}, [RESUME, f"if that does not help, {ASK}"]),
        ({"parked_from": Phase.COLLECTED, "counts": OutcomeCounts.of(accepted=115)}, [RESUME]),
    ],
)
def test_batch_that_needs_attention_shows_next_commands(state: dict[str, Any], steps: list[str]) -> None:
    parked = batch(**{"phase": Phase.NEEDS_ATTENTION, "counts": None} | state)

    assert list(attention_steps([parked])) == steps
    assert list(StatusReport(now=NOW, jobs=(), open_batches=(parked,)).next_steps()) == steps
    known = KeyOfJob(job="guests", known=None, in_flight=(KeyInFlight(batch=parked, line=1),))
    assert WhyReport(key="G1", jobs=(known,)).next_steps() == steps


def test_open_batch_has_no_attention_steps() -> None:
    assert list(attention_steps([batch(phase=Phase.SUBMITTED, counts=None)])) == []


def test_status_and_sync_show_batch_with_unknown_rows_of_earlier_run() -> None:
    later = report(run(serial=2))
    status = JobStatus(job="guests", last=later, unresolved=(LOST,))
    outcome = JobReport(job="guests", runs=(later,), exit_code=ExitCode.DONE, unresolved=(LOST,))

    assert StatusReport(now=NOW, jobs=(status,)).next_steps() == (COLLECT,)
    assert OutcomeReport(jobs=(outcome,)).next_steps() == (COLLECT,)
    assert status.data()["unresolved"] == outcome.data()["unresolved"] == [ID]


def test_blocked_plan_shows_approve_and_approved_plan_shows_sync() -> None:
    blocked = report(run(state=RunState.AWAITING_APPROVAL, reason="too much"))
    waiting = StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=blocked),))
    approved = StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=blocked, approved=True),))

    assert waiting.next_steps() == ("`batchsync approve guests` if the plan is correct, then `batchsync sync guests`",)
    assert approved.next_steps() == ("`batchsync sync guests` sends the approved plan",)
    assert "reason: too much (approved)" in approved.text(strip_ansi)
    assert "(approved)" not in waiting.text(strip_ansi)


def test_job_with_active_runner_advises_only_waiting() -> None:
    in_flight = batch(phase=Phase.SUBMITTED, counts=None)
    parked = batch(phase=Phase.NEEDS_ATTENTION, counts=None, parked_from=Phase.PREPARED)
    guests = JobStatus(
        job="guests", last=report(run(state=RunState.AWAITING_APPROVAL)), runner="pid 7 on here", unresolved=(LOST,)
    )
    wait = "guests is running in pid 7 on here: wait for it to finish"

    assert StatusReport(now=NOW, jobs=(guests,), open_batches=(in_flight, parked)).next_steps() == (wait,)
    assert StatusReport(now=NOW, jobs=(guests,)).next_steps() == ()
    both = StatusReport(
        now=NOW,
        jobs=(guests, JobStatus(job="orders")),
        open_batches=(in_flight, batch(job="orders", phase=Phase.SUBMITTED, counts=None)),
    )
    assert both.next_steps() == (wait, "`batchsync resume orders` completes the open batches")


def test_resolve_hint_names_first_batch_and_counts_others() -> None:
    assert resolve_hint(["a", "b", "c"]).endswith("; then 2 more batches likewise")
