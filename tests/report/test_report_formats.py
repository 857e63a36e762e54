"""Plans, rejects, checks, slots and the envelope, to the letter; and nothing hostile reaches a terminal or a page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from report_samples import NOW

from lading.core.accounting import Tally
from lading.core.guards import Breach, Budget, Limit
from lading.errors import Problem
from lading.ports import Excerpt, InvalidGroup, Named, Reject
from lading.report.checks import Check, ChecksReport
from lading.report.envelope import Failure, as_json, as_line, envelope
from lading.report.plan import PlanReport, PlansReport
from lading.report.rejects import Group, GroupsReport, RejectLine, RejectsReport
from lading.report.said import Said
from lading.report.slots import JobSlots, SlotsReport
from lading.report.words import distance, markdown, noun, plain, size, span, visible

BREACH = Breach("max_remove", "the plan would remove 9 of 20 records the target holds, above max_remove 5%")


def plan(*breaches: Breach, **numbers: int) -> PlanReport:
    tally = Tally(**numbers)
    tally.check()
    return PlanReport(
        job="guests",
        tally=tally,
        breaches=breaches,
        approved=False,
        fingerprint="f" * 64,
        baseline_rows=20,
        budget=Budget(invalid=Limit(count=2)),
    )


def test_a_plan_says_what_would_be_sent_and_which_guard_would_hold_it() -> None:
    made = plan(BREACH, source_rows=31, selected=40, unchanged=8, added=20, changed=1, removed=9, invalid=2)

    assert made.text(plain) == (
        "guests: + 20 adds, ~ 1 change, - 9 removes\n"
        "  selected 40 = unchanged 8 + to send 30 + invalid 2 + rejected earlier 0 + unknown earlier 0 + held 0\n"
        "  guard max_remove would hold this run: "
        "the plan would remove 9 of 20 records the target holds, above max_remove 5%"
    )
    assert made.data()["would_be_held"] is True


def test_a_plan_in_which_everything_changed_says_that_the_job_was_edited() -> None:
    numbers = {"source_rows": 5, "selected": 5, "changed": 5}
    said = "the job was edited since its last run, and now every row that the target holds counts as changed"
    assert said in replace(plan(**numbers), edited=True).text(plain)
    assert said not in plan(**numbers).text(plain)
    for one in (plan(selected=5, changed=4, unchanged=1), plan(selected=5, changed=5, resent=1), plan()):
        assert said not in replace(one, edited=True).text(plain)


def test_a_plan_says_which_changes_are_none_at_the_target() -> None:
    made = plan(source_rows=5, selected=5, changed=5, resent=4)

    assert made.text(plain) == (
        "guests: + 0 adds, ~ 5 changes, - 0 removes\n"
        "  selected 5 = unchanged 0 + to send 5 + invalid 0 + rejected earlier 0 + unknown earlier 0 + held 0\n"
        "  4 of the changes only send again what the target holds: none for a guard"
    )
    assert (made.data()["change"], made.data()["resent"]) == (5, 4)


EXCERPT = Excerpt(
    added=(Named(key="C1", row=1), Named(key="C\x1b[2J", row=1200)),
    removed=(Named(key="C_9", row=0),),
    invalid=(
        InvalidGroup(field="email", code="format", count=3, first=(Named(key="C4", row=4), Named(key="", row=5))),
        InvalidGroup(field="", code="record_size", count=1, first=()),
    ),
)


def test_a_plan_names_the_first_of_each_kind_and_says_why_the_rest_is_invalid() -> None:
    made = replace(
        plan(source_rows=24, selected=25, added=20, removed=1, invalid=4),
        excerpt=EXCERPT,
    )

    assert made.text(plain).splitlines()[2:] == [
        "  + C1 (row 1)",
        "  + C\\x1b[2J (row 1,200)",
        "  + 18 more: `--limit N` shows N of each kind",
        "  - C_9",
        "  invalid: email (format): 3 records: C4 (row 4), (no key) (row 5) and 1 more",
        "  invalid: record_size: 1 record",
        "  the budget would be exceeded: 4 invalid of 25 selected, allowed 2 (a sync would exit with 4)",
    ]
    assert PlansReport(plans=(made,)).markdown().splitlines()[8:] == [
        "- **guests**: + add: C1 (row 1), C\\\\x1b\\[2J (row 1,200) and 18 more",
        "- **guests**: - remove: C\\_9",
        "- **guests**: invalid: email (format): 3 records: C4 (row 4), (no key) (row 5) and 1 more",
        "- **guests**: invalid: record\\_size: 1 record",
        "- **guests**: the budget would be exceeded: 4 invalid of 25 selected, allowed 2 (a sync would exit with 4)",
    ]
    told = made.data()
    assert told["first"] == {
        "add": [{"key": "C1", "source_row": 1}, {"key": "C\x1b[2J", "source_row": 1200}],
        "change": [],
        "remove": [{"key": "C_9", "source_row": None}],
    }
    assert told["within_budget"] is False
    assert told["invalid_groups"] == [
        {
            "field": "email",
            "code": "format",
            "count": 3,
            "first": [{"key": "C4", "source_row": 4}, {"key": "", "source_row": 5}],
        },
        {"field": None, "code": "record_size", "count": 1, "first": []},
    ]


def test_a_plan_without_changes_says_that_there_is_nothing_to_send() -> None:
    made = plan(source_rows=5, selected=5, unchanged=4, standing_rejected=1)

    assert made.text(plain) == (
        "guests: (nothing to send)\n"
        "  selected 5 = unchanged 4 + to send 0 + invalid 0 + rejected earlier 1 + unknown earlier 0 + held 0\n"
        "  rejected or unknown earlier and not changed since: not sent again"
    )


def test_plans_make_a_table_for_a_pull_request() -> None:
    made = plan(BREACH, source_rows=31, selected=40, unchanged=8, added=20, changed=1, removed=9, invalid=2)

    assert PlansReport(plans=(made,)).markdown() == (
        "### lading plan\n"
        "\n"
        "30 records would be sent.\n"
        "\n"
        "| job | add | change | remove | unchanged | invalid | held | rejected earlier | guards |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        "| guests | 20 | 1 | 9 | 8 | 2 | 0 | 0 | max\\_remove: would hold |\n"
        "\n"
        "- **guests**: the plan would remove 9 of 20 records the target holds, above max\\_remove 5%"
    )


REJECTS = (
    RejectLine(
        job="guests",
        run="guests-1",
        batch="",
        reject=Reject(kind="invalid", key="G0", reason="no address: b***n", code="format", field="email", row=30),
    ),
    RejectLine(
        job="guests",
        run="guests-1",
        batch="guests-1f0c",
        reject=Reject(kind="rejected", key="名前", reason="bad\x1b]0;owned\x07\nline", code="400", line=7),
    ),
)


def test_rejects_are_a_table_in_which_no_text_moves_the_cursor() -> None:
    assert RejectsReport(about="guests-1", rejects=REJECTS, total=12).text(plain) == (
        "guests-1: 12 rejects\n"
        "kind      key   source row  field  code    batch line  reason\n"
        "invalid   G0            30  email  format           -  no address: b***n\n"
        "rejected  名前           -  -      400              7  bad\\x1b]0;owned\\x07\\nline\n"
        "10 more: `--limit 0` shows all, `--groups` counts them, `--export FILE.csv` writes them"
    )


@pytest.mark.parametrize(("delivered", "word"), [(True, "the vendor has it"), (False, "to be sent again")])
def test_a_row_of_unknown_outcome_says_how_a_person_ended_it(*, delivered: bool, word: str) -> None:
    unknown = Reject(kind="unknown", key="G1", reason="the vendor no longer knows the batch", line=1)
    line = RejectLine(job="guests", run="guests-1", batch="guests-1f0c", reject=unknown, delivered=delivered)
    report = RejectsReport(about="guests-1", rejects=(line,), total=1)

    told = f"the vendor no longer knows the batch; resolved by hand: {word}"
    assert report.text(plain).endswith(told)
    assert [one["reason"] for one in report.lines()] == [told]
    assert told in line.cells()


def test_rejects_are_objects_for_programs() -> None:
    lines = list(RejectsReport(about="guests-1", rejects=REJECTS[:1], total=1).lines())

    assert lines == [
        {
            "event": "reject", "job": "guests", "run": "guests-1", "batch": None, "kind": "invalid", "key": "G0",
            "field": "email", "code": "format", "reason": "no address: b***n", "batch_line": None, "source_row": 30,
            "retry": False,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "cell"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-12.5", "-12.5"), ("+6421000000", "+6421000000"), ("-x", "'-x")],
)
def test_an_exported_cell_is_no_formula_to_a_spreadsheet(key: str, cell: str) -> None:
    line = RejectLine(job="j", run="r", batch="b", reject=Reject(kind="rejected", key=key, reason="x"))

    assert line.cells()[4] == cell


def test_groups_count_the_rejects_by_reason() -> None:
    groups = (
        Group(kind="rejected", code="400", field="", count=1200),
        Group(kind="invalid", code="x", field="a", count=3),
    )

    assert GroupsReport(about="guests", groups=groups).text(plain) == (
        "guests: 1,203 rejects\nrecords  kind      code  field\n  1,200  rejected  400   -\n      3  invalid   x     a"
    )


def test_checks_put_the_fix_below_the_problem() -> None:
    checks = (
        Check(name="python", ok=True, said="3.11.7"),
        Check(name="state folder", ok=False, said=".lading, mode 0777", fix="chmod 700 .lading"),
    )

    assert ChecksReport(checks=checks).text(plain) == (
        "ok       python        3.11.7\n"
        "problem  state folder  .lading, mode 0777\n"
        "                       fix: chmod 700 .lading\n"
        "1 problem"
    )


def test_slots_are_told_in_their_own_time_zone_and_in_utc() -> None:
    job = JobSlots(
        job="guests", words="At 02:00 every day", timezone="Pacific/Auckland", slots=(NOW + timedelta(hours=6),)
    )

    assert SlotsReport(now=NOW, jobs=(job,)).text(plain) == (
        "guests: At 02:00 every day\n  Mon 2026-11-23 02:30 Pacific/Auckland  2026-11-22 13:30:14Z  in 6 h"
    )


def test_a_failure_is_a_whole_envelope_with_every_problem() -> None:
    problem = Problem(code="spec.unknown_key", message='no key "soruce"', file="jobs.yaml", line=3, column=5)
    failure = Failure(code="spec", message="1 problem in the spec", hint="correct it", problems=(problem,))
    document = envelope("validate", 2, result=None, failure=failure)

    assert json.loads(as_json(document)) == {
        "schema_version": 1,
        "command": "validate",
        "ok": False,
        "exit_code": 2,
        "result": None,
        "error": {
            "code": "spec",
            "message": "1 problem in the spec",
            "hint": "correct it",
            "problems": [
                {
                    "code": "spec.unknown_key", "message": 'no key "soruce"', "file": "jobs.yaml", "line": 3,
                    "column": 5, "expected": "", "suggestion": "",
                }
            ],
        },
    }  # fmt: skip
    assert "\n" not in as_line(document)
    assert "`jobs.yaml:3:5`" in failure.markdown()


def test_a_document_is_said_as_it_is() -> None:
    assert Said(sentences=("{", "\t}"), raw=True).text(plain) == "{\n\t}"
    assert Said(sentences=("done\x07",), next_step="`lading sync`").text(plain) == "done\\x07\nnext: `lading sync`"


def test_numbers_and_spans_are_written_one_way() -> None:
    assert [size(n) for n in (0, 999, 9_800, 5_000_000, 2_100_000_000, 3 * 10**12)] == [
        "0 B", "999 B", "9.8 kB", "5.0 MB", "2.1 GB", "3.0 TB",
    ]  # fmt: skip
    assert [noun(1, "batch", "batches"), noun(2000, "batch", "batches")] == ["1 batch", "2,000 batches"]
    assert [span(timedelta(seconds=s)) for s in (5, 300, 7_500, 7_200, 90_000)] == [
        "5 s", "5 min", "2 h 5 min", "2 h", "1 d 1 h",
    ]  # fmt: skip
    assert [distance(NOW, NOW), distance(NOW - timedelta(minutes=9), NOW)] == ["now", "9 min ago"]


@pytest.mark.parametrize("char", ["\x1b", "\x00", "\x9b", "\u202e", "\u2066", "\n", "\r", "\x7f"])
def test_no_control_character_is_shown_as_itself(char: str) -> None:
    assert char not in visible(f"a{char}b")
    assert char not in markdown(f"a{char}b")


def test_markdown_shows_markup_as_text() -> None:
    assert markdown("a|b <script> [x](y) `c`") == "a\\|b \\<script\\> \\[x\\](y) \\`c\\`"
