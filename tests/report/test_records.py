"""Records of plans, previews and deliveries: masks, members that change, and each format."""

from __future__ import annotations

import json

import pytest

from batchsync.core.keep import Keep
from batchsync.core.personal_data import masked_value
from batchsync.ports import PlanRecords, Sample, SampledRecord, ShownRecord, Violation
from batchsync.report.masks import Mask
from batchsync.report.preview import PreviewReport
from batchsync.report.records import RecordsReport
from batchsync.report.text_format import strip_ansi
from batchsync.report.values import masked_record, members

RECORD = {"type": "customer", "email": "ann@example.com", "age": 41, "ids": [{"id": "C1007"}], "tags": []}
PLAIN = Mask(show_values=True)
SECRETS = ("ann@example.com", "41", "C1007", "old@example.com")


def shown(**more: object) -> ShownRecord:
    return ShownRecord(key="C1007", row=3, record=json.dumps(RECORD), **more)


def changed(mask: Mask, **more: object) -> RecordsReport:
    records = PlanRecords(changed=(shown(**more),), keep=Keep.RECORDS, constants=frozenset({"type"}))
    return RecordsReport(job="guests", changed=1, records=records, mask=mask)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "*** (0 characters)"),
        ("x", "*** (1 character)"),
        ("short", "*** (5 characters)"),
        ("longer", "l***r (6 characters)"),
        ("\x1bevil\u202e", "?***? (6 characters)"),
        (41, "***"),
        (True, "***"),
        (None, "***"),
    ],
)
def test_values_are_masked_as_in_reasons(value: object, expected: str) -> None:
    assert masked_value(value) == expected


def test_masked_record_keeps_its_shape_and_constants() -> None:
    found = masked_record(json.dumps(RECORD), Mask(), {"type"})

    assert found == {
        "type": "customer",
        "email": "a***m (15 characters)",
        "age": "***",
        "ids": [{"id": "*** (5 characters)"}],
        "tags": [],
    }


def test_members_are_named_by_path() -> None:
    assert dict(members(RECORD)) == {
        "type": "customer",
        "email": "ann@example.com",
        "age": 41,
        "ids[0].id": "C1007",
        "tags": [],
    }


def test_changed_members_alone_are_listed_with_old_and_new_value() -> None:
    before = json.dumps(RECORD | {"email": "old@example.com"})
    report = changed(PLAIN, before=before, members=("email",))

    assert report.heading("change", 0) == ": ~ email"
    assert list(report.lines("change", 0, strip_ansi)) == ["~ email: old@example.com -> ann@example.com"]


def test_member_that_one_version_lacks_has_no_value() -> None:
    before = json.dumps({"type": "customer", "phone": "555"})
    report = changed(PLAIN, before=before, members=("email", "phone"))

    assert list(report.lines("change", 0, strip_ansi)) == [
        "~ email: (none) -> ann@example.com",
        "~ phone: 555 -> (none)",
    ]


def test_member_that_is_gone_is_listed_without_its_value() -> None:
    report = changed(PLAIN, members=("phone",))

    assert list(report.lines("change", 0, strip_ansi)) == ["~ phone: (none)"]


def test_record_without_known_members_is_listed_whole() -> None:
    report = changed(PLAIN)

    assert report.heading("change", 0) == ""
    assert len(list(report.lines("change", 0, strip_ansi))) == 5


def test_resent_record_says_that_no_member_differs() -> None:
    assert changed(PLAIN, members=()).heading("change", 0) == ": no member differs"


@pytest.mark.parametrize("mask", [Mask(), Mask(active=True), Mask(active=True, show_values=True)])
def test_no_format_contains_values_unless_they_are_shown(mask: Mask) -> None:
    report = changed(mask, before=json.dumps(RECORD | {"email": "old@example.com"}), members=("email", "age", "ids"))

    for text in (
        "".join(report.lines("change", 0, strip_ansi)),
        json.dumps(report.data()["change"]).replace('"key": "C1007"', ""),
        "".join(report.listed()).replace("C1007 (row 3)", ""),
    ):
        assert not any(secret in text for secret in SECRETS), text
        assert "customer" in text or "type" not in text


def test_values_are_shown_on_request() -> None:
    report = changed(PLAIN, members=("email",))

    assert report.data()["change"] == [
        {"key": "C1007", "source_row": 3, "changed_members": ["email"], "record": RECORD, "before": None}
    ]


def test_long_and_many_members_are_cut() -> None:
    record = json.dumps({f"m{number}": "x" * 500 for number in range(60)})
    records = PlanRecords(added=(ShownRecord(key="1", row=1, record=record),))
    lines = list(RecordsReport(records=records, mask=PLAIN).lines("add", 0, strip_ansi))

    assert len(lines) == 41
    assert lines[0].endswith("... (500 characters)")
    assert lines[-1] == "  20 more members: not listed"


def test_terminal_gets_no_control_characters_of_records() -> None:
    record = json.dumps({"na\u202eme": "\x1b[2Jgone"})
    records = PlanRecords(added=(ShownRecord(key="1", row=1, record=record),))
    (line,) = RecordsReport(records=records, mask=PLAIN).lines("add", 0, strip_ansi)

    assert line.isprintable()


def test_counts_by_member_and_unknown_ones_are_remarks() -> None:
    records = PlanRecords(keep=Keep.MEMBERS, members={"email": 1_204, "phone": 3}, without_content=7)
    report = RecordsReport(changed=1_300, records=records)

    known, unknown = report.remarks()
    assert known == "members that change in 1,293 records: email in 1,204, phone in 3"
    assert unknown == (
        "members that change in 7 other records are not known: the baseline has no content of what was sent before "
        "`baseline: {keep: members}`"
    )
    assert report.data()["members_unknown"] == 7


def test_job_without_content_says_how_to_keep_it() -> None:
    report = RecordsReport(changed=1, records=PlanRecords(changed=(shown(),)))

    (remark,) = report.remarks()
    assert "`baseline: {keep: members}`" in remark
    assert report.data()["members_unknown"] == 1


def sampled(**more: object) -> PreviewReport:
    row = {"id": "C1007", "mail": "ann@example.com", "age": None, "extra": "unused value"}
    given = {"key": "C1007", "rows": (3,), "columns": row, "unused": frozenset({"extra"})}
    record = SampledRecord(**given, record=json.dumps(RECORD), version="02" * 21, **more)
    return PreviewReport(job="guests", sample=Sample(records=(record,), constants=frozenset({"type"})), mask=Mask())


def test_preview_shows_row_and_record_masked() -> None:
    report = sampled()

    text = report.text(strip_ansi)
    assert text.splitlines()[0] == "guests C1007 (row 3): valid"
    assert "(null)" in text
    assert "u***e (12 characters)  (not used)" in text
    for found in (text, report.markdown(), json.dumps(report.data())):
        assert "ann@example.com" not in found
        assert "unused value" not in found


def test_preview_names_the_rule_that_a_row_violates() -> None:
    report = sampled(violations=(Violation(field="email", code="format", reason="email must be an e-mail address"),))

    assert report.text(strip_ansi).startswith("guests C1007 (row 3): invalid: email must be an e-mail address\n")
    data = report.data()
    assert data["invalid"] == 1
    (record,) = data["records"]
    assert (record["valid"], record["violations"][0]["code"]) == (False, "format")
    assert next(report.lines())["event"] == "record"


def test_preview_of_an_empty_source_says_so() -> None:
    report = PreviewReport(job="guests", sample=Sample(), mask=Mask())

    assert report.text(strip_ansi) == "guests: the source has no selected row"
    assert "no selected row" in report.markdown()
