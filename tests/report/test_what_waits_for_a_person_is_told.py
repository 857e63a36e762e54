"""Whatever waits for a person is told with the command that ends it, and with none that cannot."""

from __future__ import annotations

from typing import Any

import pytest
from report_samples import NOW, batch, report, run

from lading.core.batch import Books, Phase, Slot, Verb
from lading.core.run import RunState
from lading.errors import ExitCode
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.status import JobStatus, StatusReport
from lading.report.waiting import ask_step, stuck_steps
from lading.report.why import KeyInFlight, KeyOfJob, WhyReport
from lading.report.words import plain

ID = "guests-1f0c2a9be77d"
RESUME = "`lading resume guests` when the reason is gone"
ASK = (
    f"ask the vendor what became of batch {ID}, then `lading resolve {ID} --delivered` if it has the rows "
    f"and no answers are awaited, else `lading resolve {ID} --resend`"
)
LOST = batch(books=Books(accepted=112, unknown=3))


@pytest.mark.parametrize(
    ("stands", "told"),
    [
        ({"stuck_from": Phase.PREPARED}, [f"{RESUME}, or `lading cancel {ID}` to give the batch up"]),
        ({"stuck_from": Phase.ALLOCATED}, [f"{RESUME}, or `lading cancel {ID}` to give the batch up"]),
        ({"stuck_from": Phase.ALLOCATED, "doubt": Verb.UPLOAD}, [RESUME, f"if that does not help, {ASK}"]),
        (
            {"stuck_from": Phase.SUBMITTED, "slot": Slot(id="s")},
            [
                f"{RESUME}, or `lading cancel {ID}` if the vendor can still give the batch up",
                f"if that does not help, {ASK}",
            ],
        ),
        ({"stuck_from": Phase.SETTLED}, [RESUME, f"if that does not help, {ASK}"]),
        ({"stuck_from": Phase.COLLECTED, "books": Books(accepted=115)}, [RESUME]),
    ],
)
def test_a_stuck_batch_is_told_what_can_end_it(stands: dict[str, Any], told: list[str]) -> None:
    stuck = batch(**{"phase": Phase.STUCK, "books": None} | stands)

    assert list(stuck_steps([stuck])) == told
    assert list(StatusReport(now=NOW, jobs=(), open_batches=(stuck,)).next_steps()) == told
    known = KeyOfJob(job="guests", known=None, in_flight=(KeyInFlight(batch=stuck, line=1),))
    assert WhyReport(key="G1", jobs=(known,)).next_steps() == told


def test_batches_that_are_not_stuck_wait_for_nobody() -> None:
    assert list(stuck_steps([batch(phase=Phase.SUBMITTED, books=None)])) == []


def test_status_and_sync_name_the_batch_whose_rows_are_unknown_whatever_run_it_is_of() -> None:
    later = report(run(serial=2))
    status = JobStatus(job="guests", last=later, unresolved=(LOST,))
    came = JobReport(job="guests", runs=(later,), exit_code=ExitCode.DONE, unresolved=(LOST,))

    assert StatusReport(now=NOW, jobs=(status,)).next_steps() == (ASK,)
    assert OutcomeReport(jobs=(came,)).next_steps() == (ASK,)
    assert status.data()["unresolved"] == came.data()["unresolved"] == [ID]


def test_a_held_plan_is_to_be_approved_and_an_approved_one_to_be_sent() -> None:
    held = report(run(state=RunState.HELD, reason="too much"))
    waiting = StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=held),))
    approved = StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=held, approved=True),))

    assert waiting.next_steps() == ("`lading approve guests` when the plan is right, then `lading sync guests`",)
    assert approved.next_steps() == ("`lading sync guests` sends the plan that was approved",)
    assert "held: too much (approved since)" in approved.text(plain)
    assert "(approved since)" not in waiting.text(plain)


def test_nothing_is_advised_about_a_job_that_somebody_runs_but_to_wait() -> None:
    flying = batch(phase=Phase.SUBMITTED, books=None)
    stuck = batch(phase=Phase.STUCK, books=None, stuck_from=Phase.PREPARED)
    guests = JobStatus(job="guests", last=report(run(state=RunState.HELD)), runner="pid 7 on here", unresolved=(LOST,))
    wait = "guests is being run by pid 7 on here: wait for it to end"

    assert StatusReport(now=NOW, jobs=(guests,), open_batches=(flying, stuck)).next_steps() == (wait,)
    assert StatusReport(now=NOW, jobs=(guests,)).next_steps() == ()
    both = StatusReport(
        now=NOW,
        jobs=(guests, JobStatus(job="orders")),
        open_batches=(flying, batch(job="orders", phase=Phase.SUBMITTED, books=None)),
    )
    assert both.next_steps() == (wait, "`lading resume orders` follows what is open to its end")


def test_of_many_unknown_batches_one_is_named_and_the_others_are_counted() -> None:
    assert ask_step(["a", "b", "c"]).endswith("; then 2 more batches in the same way")
