"""Exact output of run, outcome, history and status reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from report_samples import NOW, batch, report, run

from batchsync.core.accounting import PlanCounts
from batchsync.core.batch import Phase, Verb
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.run import RunState
from batchsync.core.steps import FindFile, NoOp, Wait
from batchsync.errors import ExitCode, UnavailableError
from batchsync.report.history import HistoryReport, ShowReport
from batchsync.report.outcome import JobReport, OutcomeReport
from batchsync.report.status import JobStatus, StatusReport
from batchsync.report.text_format import strip_ansi

BLOCKED_COUNTS = PlanCounts(source_rows=10, selected=100, removed=90, outcomes=OutcomeCounts.of(unchanged=10))


def test_settled_run_shows_settlement_and_budget() -> None:
    assert report(run(), batch()).text(strip_ansi) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 120 = unchanged 0 + accepted 112 + invalid 5 + rejected 3 + unknown 0 + deferred 0"
        "   (budget: 6 invalid, 4 rejected: met)\n"
        "  sent 115 records in 1 batch file (9.8 kB): 115 added, 0 changed, 0 removed\n"
        "  why: `batchsync rejects guests`"
    )


def test_settled_run_shows_settlement_time() -> None:
    settled = report(run(settled_at=NOW + timedelta(minutes=8)), batch())
    in_flight = report(run(state=RunState.PREPARED), batch(phase=Phase.SUBMITTED, counts=None))

    assert settled.text(strip_ansi).startswith("guests: settled (run 1, 2026-11-22 07:38:14Z)\n")
    assert in_flight.text(strip_ansi).startswith("guests: in flight (run 1, 2026-11-22 07:30:14Z)\n")
    shown = StatusReport(now=NOW + timedelta(minutes=10), jobs=(JobStatus(job="guests", last=settled),))
    assert "settled (run 1, 2026-11-22 07:38:14Z, 2 min ago)" in shown.text(strip_ansi)


def test_exceeded_budget_is_reported() -> None:
    assert "(budget: 0 invalid, 4 rejected: exceeded)" in report(run(), batch(), invalid=0).text(strip_ansi)


def test_run_without_rejects_omits_budget() -> None:
    unchanged = run(counts=PlanCounts(source_rows=7, selected=7, outcomes=OutcomeCounts.of(unchanged=7)))

    assert report(unchanged).text(strip_ansi) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 7 = unchanged 7 + accepted 0 + invalid 0 + rejected 0 + unknown 0 + deferred 0\n"
        "  nothing to send"
    )


def test_rows_in_flight_count_as_deferred() -> None:
    in_flight = report(run(state=RunState.PREPARED), batch(phase=Phase.SUBMITTED, counts=None, vendor_status="queued"))

    assert in_flight.text(strip_ansi).splitlines()[:2] == [
        "guests: in flight (run 1, 2026-11-22 07:30:14Z)",
        (
            "  selected 120 = unchanged 0 + accepted 0 + invalid 5 + rejected 0"
            " + unknown 0 + deferred 115 (in flight 115)"
            "   (budget: 6 invalid, 4 rejected: met)"
        ),
    ]


def test_run_awaiting_approval_shows_guard_and_sends_nothing() -> None:
    reason = "the plan would remove 90 of 100 records the target holds, above max_remove 5%"
    blocked = report(run(state=RunState.AWAITING_APPROVAL, counts=BLOCKED_COUNTS, reason=reason))
    job = JobReport(job="guests", runs=(blocked,), exit_code=ExitCode.AWAITING_APPROVAL)

    assert OutcomeReport(jobs=(job,)).text(strip_ansi) == (
        "guests: awaiting approval (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 100 = unchanged 10 + accepted 0 + invalid 0 + rejected 0 + unknown 0 + deferred 90\n"
        "  nothing was sent; the plan is 0 added, 0 changed, 90 removed\n"
        f"  reason: {reason}\n"
        "next: `batchsync approve guests` if the plan is correct, then `batchsync sync guests`"
    )


def test_run_in_preparation_shows_progress() -> None:
    counts = PlanCounts(source_rows=300, selected=300, added=230, outcomes=OutcomeCounts.of(unchanged=70))
    finalized = batch(phase=Phase.SUBMITTED, counts=None)
    preparing = report(run(state=RunState.PREPARING, counts=counts), finalized)

    assert preparing.text(strip_ansi) == (
        "guests: preparing (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 300 = unchanged 70 + accepted 0 + invalid 0 + rejected 0"
        " + unknown 0 + deferred 230 (in flight 230)\n"
        "  sent 115 records of 230 so far in 1 batch file (9.8 kB): 230 added, 0 changed, 0 removed"
    )
    step = "`batchsync sync guests` sends the records deferred when preparation was aborted"
    for runner, next_steps in (("", (step,)), ("host 7", ())):
        job = JobStatus(job="guests", last=preparing, runner=runner)
        assert StatusReport(now=NOW, jobs=(job,)).next_steps() == next_steps


def test_run_with_aborted_preparation_shows_deferred_records() -> None:
    counts = PlanCounts(
        source_rows=300, selected=300, added=230, unstaged=115, outcomes=OutcomeCounts.of(unchanged=70, deferred=115)
    )
    reason = "preparation was aborted after 115 of 230 records; the next run sends the rest"
    aborted = report(run(counts=counts, reason=reason), batch())
    step = "`batchsync sync guests` sends the records deferred when preparation was aborted"
    job = JobReport(job="guests", runs=(aborted,), exit_code=ExitCode.UNSETTLED)

    text = OutcomeReport(jobs=(job,)).text(strip_ansi)

    assert "unknown 0 + deferred 115" in text
    assert f"  reason: {reason}\n" in text
    assert text.endswith(f"next: {step}")
    assert StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=aborted),)).next_steps() == (step,)
    later = replace(job, runs=(aborted, report(run(id="guests-2", serial=2), batch())), exit_code=ExitCode.DONE)
    assert OutcomeReport(jobs=(later,)).next_steps() == ()


def test_several_runs_end_with_balanced_total() -> None:
    second = run(id="orders-4", job="orders", serial=4)
    jobs = (
        JobReport(job="guests", runs=(report(run(), batch()),), exit_code=ExitCode.DONE),
        JobReport(
            job="orders", runs=(report(second, batch(job="orders", run="orders-4")),), exit_code=ExitCode.REJECTS
        ),
    )

    assert OutcomeReport(jobs=jobs).text(strip_ansi).splitlines()[-2:] == [
        "total: 2 runs: selected 240 = unchanged 0 + accepted 224 + invalid 10 + rejected 6 + unknown 0 + deferred 0",
        "next: `batchsync rejects orders` lists invalid and rejected rows with reasons",
    ]
    assert OutcomeReport(jobs=jobs).data()["total"] == {
        "selected": 240, "unchanged": 0, "accepted": 224, "invalid": 10, "rejected": 6, "unknown": 0, "deferred": 0,
    }  # fmt: skip


def test_stopped_job_shows_error_and_others_are_reported() -> None:
    stopped = UnavailableError("the disk is full", hint="free some space")
    jobs = (
        JobReport(job="guests", runs=(), exit_code=ExitCode.ENVIRONMENT, error=stopped),
        JobReport(job="orders", runs=(), exit_code=ExitCode.UNSETTLED, skipped='waiting for "guests"'),
    )

    assert OutcomeReport(jobs=jobs).text(strip_ansi).splitlines() == [
        "guests: stopped: the disk is full [BS-E001]",
        "  free some space",
        'orders: skipped: waiting for "guests"',
        "next: `batchsync sync guests` when the error is fixed",
        "next: `batchsync sync orders` when its dependencies are settled",
    ]
    assert OutcomeReport(jobs=jobs).markdown().splitlines()[4:6] == [
        "| guests |  | the disk is full |  |  |  |  |  |  |  |  |",
        '| orders |  | waiting for "guests" |  |  |  |  |  |  |  |  |',
    ]


def test_error_with_command_in_hint_adds_no_next_step() -> None:
    locked = UnavailableError("it is being run by pid 7", hint="wait for it, or `batchsync unlock guests`")
    job = JobReport(job="guests", runs=(), exit_code=ExitCode.LOCKED, error=locked)

    assert OutcomeReport(jobs=(job,)).next_steps() == ()


def test_json_contains_settlement_and_no_allocation_url() -> None:
    data = report(run(), batch()).data()

    assert data["settlement"] == {
        "selected": 120, "unchanged": 0, "accepted": 112, "invalid": 5, "rejected": 3, "unknown": 0, "deferred": 0,
        "in_flight": 0, "needs_attention": 0, "batches": 1, "bytes": 9800, "added": 115, "changed": 0, "removed": 0,
    }  # fmt: skip
    assert "url" not in str(data)


def test_history_is_table() -> None:
    assert HistoryReport(runs=(report(run(), batch()),)).text(strip_ansi) == (
        "run       started               state    selected  unchanged  accepted  invalid  rejected  unknown  deferred  "
        "sent\n"
        "guests-1  2026-11-22 07:30:14Z  settled       120          0       112        5  "
        "       3        0         0   115"
    )


def test_show_without_runs_reports_no_runs() -> None:
    assert ShowReport(runs=()).text(strip_ansi) == "no runs yet"


def test_status_lists_batches_that_need_attention_first() -> None:
    poll = batch(phase=Phase.SUBMITTED, counts=None, vendor_status="PROCESSING", not_before=NOW + timedelta(seconds=5))
    parked = batch(
        id="guests-parked",
        phase=Phase.NEEDS_ATTENTION,
        parked_from=Phase.PREPARED,
        counts=None,
        reason="refused \x1b[31mno",
    )
    in_doubt = batch(id="guests-in-doubt", phase=Phase.ALLOCATED, counts=None, pending_intent=Verb.UPLOAD)
    shown = StatusReport(
        now=NOW,
        jobs=(JobStatus(job="orders", next_tick=NOW + timedelta(hours=2)),),
        open_batches=(poll, in_doubt, parked),
        next_of={poll.id: Wait(NOW + timedelta(seconds=5)), in_doubt.id: FindFile(), parked.id: NoOp()},
    )

    assert shown.text(strip_ansi) == (
        "open batch           phase                       vendor status  records  failures  next\n"
        "guests-parked        needs attention             -                  115         0  wait for a person\n"
        "guests-in-doubt      allocated, upload in doubt  -                  115         0"
        "  check whether the upload arrived\n"
        "guests-1f0c2a9be77d  submitted                   PROCESSING         115         0  check again in 5 s\n"
        "  needs attention: guests-parked: refused \\x1b[31mno\n"
        "\n"
        "orders: never ran\n"
        "  next tick 2026-11-22 09:30:14Z (in 2 h)\n"
        "next: `batchsync resume guests` when the cause is fixed, "
        "or `batchsync cancel guests-parked` to cancel the batch"
    )


def test_status_shows_last_run_of_job() -> None:
    last = report(run(), batch(), invalid=0)
    shown = StatusReport(now=NOW + timedelta(hours=3), jobs=(JobStatus(job="guests", last=last, declared=False),))

    assert shown.text(strip_ansi) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z, 3 h ago) (no longer in the jobs file)\n"
        "  selected 120 = unchanged 0 + accepted 112 + invalid 5 + rejected 3 + unknown 0 + deferred 0\n"
        "  budget exceeded: 8 records; why: `batchsync rejects guests`"
    )
    assert [line["event"] for line in shown.lines()] == ["job"]


def test_run_with_warnings_counts_earlier_rejects() -> None:
    old = PlanCounts(source_rows=4, selected=4, outcomes=OutcomeCounts.of(unchanged=2, rejected=2))
    text = report(run(counts=old, warnings={"email: looks mistyped": 1})).text(strip_ansi)

    assert "selected 4 = unchanged 2 + accepted 0 + invalid 0 + rejected 2 + unknown 0 + deferred 0" in text
    assert "  warning: email: looks mistyped: 1 record\n" in text
