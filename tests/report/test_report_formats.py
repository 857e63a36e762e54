"""Exact output of plans, rejects, checks, ticks and the envelope; escaping of control characters and markup."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import report_samples
from report_samples import NOW

from batchsync.core.accounting import PlanCounts
from batchsync.core.guards import Breach, Budget, Limit
from batchsync.errors import Problem
from batchsync.ports import InvalidGroup, KeyRef, PartialRead, PlanPreview, Reject
from batchsync.report.checks import Check, ChecksReport
from batchsync.report.envelope import Failure, as_json, as_line, envelope
from batchsync.report.message import Message
from batchsync.report.plan import PlanReport, PlansReport
from batchsync.report.rejects import Group, GroupsReport, RejectLine, RejectsReport
from batchsync.report.text_format import (
    escape_controls,
    format_duration,
    format_relative,
    markdown,
    pluralize,
    size,
    strip_ansi,
)
from batchsync.report.ticks import JobTicks, TicksReport

BREACH = Breach("max_remove", "the plan would remove 9 of 20 records the target holds, above max_remove 5%")


def plan(*breaches: Breach, **numbers: int) -> PlanReport:
    counts = PlanCounts.from_dict(numbers)
    counts.assert_balanced()
    return PlanReport(
        plan=report_samples.plan(counts=counts, breaches=breaches),
        approved=False,
        budget=Budget(invalid=Limit(count=2)),
    )


def test_plan_with_breach_shows_changes_and_guard() -> None:
    report = plan(BREACH, source_rows=31, selected=40, unchanged=8, added=20, changed=1, removed=9, invalid=2)

    assert report.text(strip_ansi) == (
        "guests: + 20 adds, ~ 1 change, - 9 removes\n"
        "  selected 40 = unchanged 8 + to send 30 + invalid 2 + rejected earlier 0 + unknown earlier 0 + deferred 0\n"
        "  guard max_remove would block this run: "
        "the plan would remove 9 of 20 records the target holds, above max_remove 5%"
    )
    assert report.data()["awaiting_approval"] is True


def test_plan_says_which_rows_were_read() -> None:
    part = PartialRead(job="guests", column="updated at", start="2026-03-01 11:45:00", full_at=None)
    words = 'reading only rows with "updated at" from 2026-03-01 11:45:00 on, or null'
    report = replace(plan(source_rows=1, selected=1, unchanged=1), partial_read=part)
    assert report.text(strip_ansi).endswith(f"\n  {words}")
    at = replace(part, full_at=datetime(2026, 3, 2, tzinfo=UTC))
    report = replace(report, partial_read=at)
    assert report.text(strip_ansi).endswith(f"{words}; all rows again from 2026-03-02T00:00:00Z on")
    assert "all rows again from 2026" in "".join(report.listed())
    expected = {"column": "updated at", "from": "2026-03-01 11:45:00", "full_read_from": "2026-03-02T00:00:00Z"}
    assert report.data()["partial_read"] == expected
    assert plan(source_rows=1, selected=1, unchanged=1).data()["partial_read"] is None


def test_plan_of_edited_job_counts_records_that_differ() -> None:
    remark = "the job was edited since its last run; {} of {} records in the baseline differ"
    for item, numbers in (
        (plan(selected=5, changed=5), (5, 5)),
        (plan(selected=6, changed=4, unchanged=1, added=1), (4, 5)),
        (plan(selected=5, changed=5, resent=3), (2, 5)),
        (plan(selected=5, unchanged=5), (0, 5)),
    ):
        assert remark.format(*numbers) in replace(item, edited=True).text(strip_ansi)
        assert "edited" not in item.text(strip_ansi)
    assert "edited" not in replace(plan(selected=1, added=1), edited=True).text(strip_ansi)


def test_plan_with_resent_records_counts_them_separately() -> None:
    report = plan(source_rows=5, selected=5, changed=5, resent=4)

    assert report.text(strip_ansi) == (
        "guests: + 0 adds, ~ 5 changes, - 0 removes\n"
        "  selected 5 = unchanged 0 + to send 5 + invalid 0 + rejected earlier 0 + unknown earlier 0 + deferred 0\n"
        "  4 of the changes resend what the target already holds; guards ignore these"
    )
    assert (report.data()["change"], report.data()["resent"]) == (5, 4)


PREVIEW = PlanPreview(
    added=(KeyRef(key="C1", row=1), KeyRef(key="C\x1b[2J", row=1200)),
    removed=(KeyRef(key="C_9", row=0),),
    invalid=(
        InvalidGroup(field="email", code="format", count=3, first=(KeyRef(key="C4", row=4), KeyRef(key="", row=5))),
        InvalidGroup(field="", code="record_size", count=1, first=()),
    ),
)


def test_plan_with_preview_lists_first_keys_and_invalid_reasons() -> None:
    report = replace(
        plan(source_rows=24, selected=25, added=20, removed=1, invalid=4),
        preview=PREVIEW,
    )

    assert report.text(strip_ansi).splitlines()[2:] == [
        "  + C1 (row 1)",
        "  + C\\x1b[2J (row 1,200)",
        "  + 18 more: `--limit N` shows N of each kind",
        "  - C_9",
        "  invalid: email (format): 3 records: C4 (row 4), (no key) (row 5) and 1 more",
        "  invalid: record_size: 1 record",
        "  the budget would be exceeded: 4 invalid of 25 selected, allowed 2 (a sync would exit with 4)",
    ]
    assert PlansReport(plans=(report,)).markdown().splitlines()[8:] == [
        "- **guests**: + add: C1 (row 1), C\\\\x1b\\[2J (row 1,200) and 18 more",
        "- **guests**: - remove: C\\_9",
        "- **guests**: invalid: email (format): 3 records: C4 (row 4), (no key) (row 5) and 1 more",
        "- **guests**: invalid: record\\_size: 1 record",
        "- **guests**: the budget would be exceeded: 4 invalid of 25 selected, allowed 2 (a sync would exit with 4)",
    ]
    data = report.data()
    assert data["first"] == {
        "add": [{"key": "C1", "source_row": 1}, {"key": "C\x1b[2J", "source_row": 1200}],
        "change": [],
        "remove": [{"key": "C_9", "source_row": None}],
    }
    assert data["within_budget"] is False
    assert data["invalid_groups"] == [
        {
            "field": "email",
            "code": "format",
            "count": 3,
            "first": [{"key": "C4", "source_row": 4}, {"key": "", "source_row": 5}],
        },
        {"field": None, "code": "record_size", "count": 1, "first": []},
    ]


def test_plan_without_changes_has_nothing_to_send() -> None:
    report = plan(source_rows=5, selected=5, unchanged=4, still_rejected=1)

    assert report.text(strip_ansi) == (
        "guests: (nothing to send)\n"
        "  selected 5 = unchanged 4 + to send 0 + invalid 0 + rejected earlier 1 + unknown earlier 0 + deferred 0\n"
        "  rows rejected or unknown in an earlier run and unchanged since are not sent again"
    )


def test_plans_render_as_markdown_table() -> None:
    report = plan(BREACH, source_rows=31, selected=40, unchanged=8, added=20, changed=1, removed=9, invalid=2)

    assert PlansReport(plans=(report,)).markdown() == (
        "### batchsync plan\n"
        "\n"
        "30 records would be sent.\n"
        "\n"
        "| job | selected | add | change | remove | unchanged | invalid | deferred | rejected earlier | guards |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        "| guests | 40 | 20 | 1 | 9 | 8 | 2 | 0 | 0 | max\\_remove: would block |\n"
        "\n"
        "- **guests**: guard max_remove would block this run: the plan would remove 9 of 20 records the target holds, "
        "above max\\_remove 5%"
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


def test_rejects_table_escapes_control_characters() -> None:
    assert RejectsReport(about="guests-1", rejects=REJECTS, total=12).text(strip_ansi) == (
        "guests-1: 12 rejects\n"
        "kind      key   source row  field  code    batch line  reason\n"
        "invalid   G0            30  email  format           -  no address: b***n\n"
        "rejected  名前           -  -      400              7  bad\\x1b]0;owned\\x07\\nline\n"
        "10 more: `--limit 0` shows all, `--groups` counts them, `--export FILE.csv` writes them"
    )


@pytest.mark.parametrize(("delivered", "resolution"), [(True, "delivered"), (False, "to be sent again")])
def test_reject_resolved_manually_shows_resolution(*, delivered: bool, resolution: str) -> None:
    unknown = Reject(kind="unknown", key="G1", reason="the vendor no longer knows the batch", line=1)
    line = RejectLine(job="guests", run="guests-1", batch="guests-1f0c", reject=unknown, delivered=delivered)
    report = RejectsReport(about="guests-1", rejects=(line,), total=1)

    reason = f"the vendor no longer knows the batch; resolved manually: {resolution}"
    assert report.text(strip_ansi).endswith(reason)
    assert [item["reason"] for item in report.lines()] == [reason]
    assert reason in line.cells()


def test_rejects_yield_ndjson_objects() -> None:
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
def test_exported_cell_escapes_formula_prefix(key: str, cell: str) -> None:
    line = RejectLine(job="j", run="r", batch="b", reject=Reject(kind="rejected", key=key, reason="x"))

    assert line.cells()[4] == cell


def test_groups_count_rejects_by_reason() -> None:
    groups = (
        Group(kind="rejected", code="400", field="", count=1200),
        Group(kind="invalid", code="x", field="a", count=3),
    )

    assert GroupsReport(about="guests", groups=groups).text(strip_ansi) == (
        "guests: 1,203 rejects\n"
        "records  kind      code  field\n"
        f"  1,200  rejected  400   -      {'█' * 48}\n"
        "      3  invalid   x     a      ▏"
    )


def test_failed_check_shows_fix_below_problem() -> None:
    checks = (
        Check(name="python", ok=True, found="3.11.7"),
        Check(name="state folder", ok=False, found=".batchsync, mode 0777", fix="chmod 700 .batchsync"),
    )

    assert ChecksReport(checks=checks).text(strip_ansi) == (
        "ok       python        3.11.7\n"
        "problem  state folder  .batchsync, mode 0777\n"
        "                       fix: chmod 700 .batchsync\n"
        "1 problem"
    )


def test_ticks_are_shown_in_job_time_zone_and_utc() -> None:
    job = JobTicks(
        job="guests", description="At 02:00 every day", timezone="Pacific/Auckland", ticks=(NOW + timedelta(hours=6),)
    )

    assert TicksReport(now=NOW, jobs=(job,)).text(strip_ansi) == (
        "guests: At 02:00 every day\n  Mon 2026-11-23 02:30 Pacific/Auckland  2026-11-22 13:30:14Z  in 6 h"
    )


def test_failure_envelope_contains_all_problems() -> None:
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
            "error_code": "BS-X004",
            "message": "1 problem in the spec",
            "hint": "correct it",
            "problems": [
                {
                    "code": "spec.unknown_key", "error_code": "BS-Y012",
                    "message": 'no key "soruce"', "file": "jobs.yaml", "line": 3,
                    "column": 5, "expected": "", "suggestion": "",
                }
            ],
        },
    }  # fmt: skip
    line = as_line({"event": "finished"} | document, NOW)
    assert "\n" not in line
    assert json.loads(line) == {"event": "finished", "timestamp": "2026-11-22T07:30:14Z"} | document
    assert "`jobs.yaml:3:5`" in failure.markdown()


def test_raw_message_is_printed_unchanged() -> None:
    assert Message(sentences=("{", "\t}"), raw=True).text(strip_ansi) == "{\n\t}"
    assert (
        Message(sentences=("done\x07",), next_step="`batchsync sync`").text(strip_ansi)
        == "done\\x07\nnext: `batchsync sync`"
    )


def test_sizes_counts_and_durations_are_formatted() -> None:
    assert [size(n) for n in (0, 999, 9_800, 5_000_000, 2_100_000_000, 3 * 10**12)] == [
        "0 B", "999 B", "9.8 kB", "5.0 MB", "2.1 GB", "3.0 TB",
    ]  # fmt: skip
    assert [pluralize(1, "batch", "batches"), pluralize(2000, "batch", "batches")] == ["1 batch", "2,000 batches"]
    assert [format_duration(timedelta(seconds=s)) for s in (5, 300, 7_500, 7_200, 90_000)] == [
        "5 s", "5 min", "2 h 5 min", "2 h", "1 d 1 h",
    ]  # fmt: skip
    assert [format_relative(NOW, NOW), format_relative(NOW - timedelta(minutes=9), NOW)] == ["now", "9 min ago"]


@pytest.mark.parametrize("char", ["\x1b", "\x00", "\x9b", "\u202e", "\u2066", "\n", "\r", "\x7f"])
def test_control_character_is_escaped(char: str) -> None:
    assert char not in escape_controls(f"a{char}b")
    assert char not in markdown(f"a{char}b")


def test_markdown_markup_is_escaped() -> None:
    assert markdown("a|b <script> [x](y) `c`") == "a\\|b \\<script\\> \\[x\\](y) \\`c\\`"
