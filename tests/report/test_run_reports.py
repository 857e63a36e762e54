"""The settlement equation in text, JSON and Markdown, to the letter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from report_samples import NOW, batch, report, run

from lading.core.accounting import Tally
from lading.core.batch import Phase, Verb
from lading.core.run import RunState
from lading.core.steps import FindFile, Rest, Wait
from lading.errors import EnvironmentProblem, ExitCode
from lading.report.history import HistoryReport, SettleReport
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.status import JobStatus, StatusReport
from lading.report.words import plain

HELD_TALLY = Tally(source_rows=10, selected=100, unchanged=10, removed=90)


def test_a_settled_run_says_what_became_of_every_record() -> None:
    assert report(run(), batch()).text(plain) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 120 = unchanged 0 + accepted 112 + invalid 5 + rejected 3 + unknown 0 + held 0"
        "   (budget: 6 invalid, 4 rejected: kept)\n"
        "  sent 115 records in 1 batch file (9.8 kB): 115 added, 0 changed, 0 removed\n"
        "  why: `lading rejects guests`"
    )


def test_the_moment_beside_a_settled_run_is_when_it_settled() -> None:
    settled = report(run(settled_at=NOW + timedelta(minutes=8)), batch())
    flying = report(run(state=RunState.PREPARED), batch(phase=Phase.SUBMITTED, books=None))

    assert settled.text(plain).startswith("guests: settled (run 1, 2026-11-22 07:38:14Z)\n")
    assert flying.text(plain).startswith("guests: in flight (run 1, 2026-11-22 07:30:14Z)\n")
    shown = StatusReport(now=NOW + timedelta(minutes=10), jobs=(JobStatus(job="guests", last=settled),))
    assert "settled (run 1, 2026-11-22 07:38:14Z, 2 min ago)" in shown.text(plain)


def test_a_budget_that_is_not_kept_is_called_exceeded() -> None:
    assert "(budget: 0 invalid, 4 rejected: exceeded)" in report(run(), batch(), invalid=0).text(plain)


def test_a_run_without_rejects_speaks_of_no_budget() -> None:
    quiet = run(tally=Tally(source_rows=7, selected=7, unchanged=7))

    assert report(quiet).text(plain) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 7 = unchanged 7 + accepted 0 + invalid 0 + rejected 0 + unknown 0 + held 0\n"
        "  nothing to send"
    )


def test_what_is_in_flight_is_held_and_said_to_be() -> None:
    flying = report(run(state=RunState.PREPARED), batch(phase=Phase.SUBMITTED, books=None, word="queued"))

    assert flying.text(plain).splitlines()[:2] == [
        "guests: in flight (run 1, 2026-11-22 07:30:14Z)",
        (
            "  selected 120 = unchanged 0 + accepted 0 + invalid 5 + rejected 0 + unknown 0 + held 115 (in flight 115)"
            "   (budget: 6 invalid, 4 rejected: kept)"
        ),
    ]


def test_a_held_run_says_which_guard_and_that_nothing_was_sent() -> None:
    reason = "the plan would remove 90 of 100 records the target holds, above max_remove 5%"
    held = report(run(state=RunState.HELD, tally=HELD_TALLY, reason=reason))
    job = JobReport(job="guests", runs=(held,), exit_code=ExitCode.HELD)

    assert OutcomeReport(jobs=(job,)).text(plain) == (
        "guests: held (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 100 = unchanged 10 + accepted 0 + invalid 0 + rejected 0 + unknown 0 + held 90\n"
        "  nothing was sent; the plan is 0 added, 0 changed, 90 removed\n"
        f"  held: {reason}\n"
        "next: `lading approve guests` when the plan is right, then `lading sync guests`"
    )


def test_a_run_that_is_being_prepared_says_how_far_it_is() -> None:
    tally = Tally(source_rows=300, selected=300, unchanged=70, added=230)
    sealed = batch(phase=Phase.SUBMITTED, books=None)
    preparing = report(run(state=RunState.PREPARING, tally=tally), sealed)

    assert preparing.text(plain) == (
        "guests: preparing (run 1, 2026-11-22 07:30:14Z)\n"
        "  selected 300 = unchanged 70 + accepted 0 + invalid 0 + rejected 0 + unknown 0 + held 230 (in flight 230)\n"
        "  sent 115 records of 230 so far in 1 batch file (9.8 kB): 230 added, 0 changed, 0 removed"
    )
    step = "`lading sync guests` sends what was held when preparing was cut short"
    for runner, said in (("", (step,)), ("host 7", ())):
        job = JobStatus(job="guests", last=preparing, runner=runner)
        assert StatusReport(now=NOW, jobs=(job,)).next_steps() == said


def test_a_run_that_was_cut_short_says_what_is_held_and_what_sends_it() -> None:
    tally = Tally(source_rows=300, selected=300, unchanged=70, added=230, held=115, unsealed=115)
    reason = "preparing was cut short after 115 of 230 records; the next run sends the rest"
    cut = report(run(tally=tally, reason=reason), batch())
    step = "`lading sync guests` sends what was held when preparing was cut short"
    job = JobReport(job="guests", runs=(cut,), exit_code=ExitCode.UNSETTLED)

    text = OutcomeReport(jobs=(job,)).text(plain)

    assert "unknown 0 + held 115" in text
    assert f"  held: {reason}\n" in text
    assert text.endswith(f"next: {step}")
    assert StatusReport(now=NOW, jobs=(JobStatus(job="guests", last=cut),)).next_steps() == (step,)
    later = replace(job, runs=(cut, report(run(id="guests-2", serial=2), batch())), exit_code=ExitCode.DONE)
    assert OutcomeReport(jobs=(later,)).next_steps() == ()


def test_several_runs_end_with_one_total_that_balances() -> None:
    second = run(id="orders-4", job="orders", serial=4)
    jobs = (
        JobReport(job="guests", runs=(report(run(), batch()),), exit_code=ExitCode.DONE),
        JobReport(
            job="orders", runs=(report(second, batch(job="orders", run="orders-4")),), exit_code=ExitCode.REJECTS
        ),
    )

    assert OutcomeReport(jobs=jobs).text(plain).splitlines()[-2:] == [
        "total: 2 runs: selected 240 = unchanged 0 + accepted 224 + invalid 10 + rejected 6 + unknown 0 + held 0",
        "next: `lading rejects orders` shows what did not get there and why",
    ]
    assert OutcomeReport(jobs=jobs).data()["total"] == {
        "selected": 240, "unchanged": 0, "accepted": 224, "invalid": 10, "rejected": 6, "unknown": 0, "held": 0,
    }  # fmt: skip


def test_a_job_that_had_to_stop_says_why_and_the_others_are_still_told() -> None:
    stopped = EnvironmentProblem("the disk is full", hint="free some space")
    jobs = (
        JobReport(job="guests", runs=(), exit_code=ExitCode.ENVIRONMENT, error=stopped),
        JobReport(job="orders", runs=(), exit_code=ExitCode.UNSETTLED, skipped='it depends on "guests"'),
    )

    assert OutcomeReport(jobs=jobs).text(plain).splitlines() == [
        "guests: stopped: the disk is full",
        "  free some space",
        'orders: not tried: it depends on "guests"',
        "next: `lading sync guests` when that is put right",
        "next: `lading sync orders` when what it depends on has settled",
    ]
    assert OutcomeReport(jobs=jobs).markdown().splitlines()[4:6] == [
        "| guests |  | the disk is full |  |  |  |  |  |  |  |  |",
        '| orders |  | it depends on "guests" |  |  |  |  |  |  |  |  |',
    ]


def test_an_error_that_says_what_to_type_is_not_followed_by_another_command() -> None:
    locked = EnvironmentProblem("it is being run by pid 7", hint="wait for it, or `lading unlock guests`")
    job = JobReport(job="guests", runs=(), exit_code=ExitCode.LOCKED, error=locked)

    assert OutcomeReport(jobs=(job,)).next_steps() == ()


def test_json_holds_the_whole_settlement_and_no_slot_url() -> None:
    data = report(run(), batch()).data()

    assert data["settlement"] == {
        "selected": 120, "unchanged": 0, "accepted": 112, "invalid": 5, "rejected": 3, "unknown": 0, "held": 0,
        "in_flight": 0, "stuck": 0, "batches": 1, "bytes": 9800, "added": 115, "changed": 0, "removed": 0,
    }  # fmt: skip
    assert "url" not in str(data)


def test_history_is_a_table_with_the_newest_run_first() -> None:
    assert HistoryReport(runs=(report(run(), batch()),)).text(plain) == (
        "run       started               state    selected  unchanged  accepted  invalid  rejected  unknown  held  "
        "sent\n"
        "guests-1  2026-11-22 07:30:14Z  settled       120          0       112        5         3        0     0   115"
    )


def test_settle_without_runs_says_so() -> None:
    assert SettleReport(runs=()).text(plain) == "nothing was run yet"


def test_status_puts_what_waits_for_a_person_first() -> None:
    poll = batch(phase=Phase.SUBMITTED, books=None, word="PROCESSING", not_before=NOW + timedelta(seconds=5))
    stuck = batch(
        id="guests-stuck", phase=Phase.STUCK, stuck_from=Phase.PREPARED, books=None, reason="the vendor said \x1b[31mno"
    )
    doubt = batch(id="guests-doubt", phase=Phase.ALLOCATED, books=None, doubt=Verb.UPLOAD)
    shown = StatusReport(
        now=NOW,
        jobs=(JobStatus(job="orders", next_slot=NOW + timedelta(hours=2)),),
        open_batches=(poll, doubt, stuck),
        next_of={poll.id: Wait(NOW + timedelta(seconds=5)), doubt.id: FindFile(), stuck.id: Rest()},
    )

    assert shown.text(plain) == (
        "open batch           phase                       vendor says  records  failures  next\n"
        "guests-stuck         stuck                       -                115         0  wait for a person\n"
        "guests-doubt         allocated, upload in doubt  -                115         0"
        "  ask whether the upload arrived\n"
        "guests-1f0c2a9be77d  submitted                   PROCESSING       115         0  look again in 5 s\n"
        "  stuck: guests-stuck: the vendor said \\x1b[31mno\n"
        "\n"
        "orders: never ran\n"
        "  next slot 2026-11-22 09:30:14Z (in 2 h)\n"
        "next: `lading resume guests` when the reason is gone, or `lading cancel guests-stuck` to give the batch up"
    )


def test_status_tells_how_the_last_run_of_a_job_came_out() -> None:
    last = report(run(), batch(), invalid=0)
    shown = StatusReport(now=NOW + timedelta(hours=3), jobs=(JobStatus(job="guests", last=last, declared=False),))

    assert shown.text(plain) == (
        "guests: settled (run 1, 2026-11-22 07:30:14Z, 3 h ago) (no longer in the jobs file)\n"
        "  selected 120 = unchanged 0 + accepted 112 + invalid 5 + rejected 3 + unknown 0 + held 0\n"
        "  budget exceeded: 8 records; why: `lading rejects guests`"
    )
    assert [line["event"] for line in shown.lines()] == ["job"]


def test_a_tally_with_warnings_and_rejects_of_old_is_told_as_it_is() -> None:
    old = Tally(source_rows=4, selected=4, unchanged=2, standing_rejected=2)
    told = report(run(tally=old, warnings={"email: looks mistyped": 1})).text(plain)

    assert "selected 4 = unchanged 2 + accepted 0 + invalid 0 + rejected 2 + unknown 0 + held 0" in told
    assert "  warning: email: looks mistyped: 1 record\n" in told
