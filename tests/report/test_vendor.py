"""What a vendor takes, as text of 80 columns, Markdown, JSON and NDJSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchsync.core.record_text import members
from batchsync.report.text_format import strip_ansi
from batchsync.report.vendor import VendorReport, VendorsReport
from batchsync.spec import available_vendors, load_vendor_details

DOCS = Path(__file__).parents[2] / "docs" / "vendors"


@pytest.mark.parametrize("name", available_vendors())
def test_report_names_everything_that_a_job_may_use(name: str) -> None:
    details = load_vendor_details(name)
    text = VendorReport(details=details).text(strip_ansi)
    rules = details.rules
    paths = [path for schema in rules.schemas.values() for path, _ in members(schema.root)]
    for word in (*rules.modes, *rules.schemas, *rules.credentials, *rules.target_keys, *details.statuses, *paths):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", available_vendors())
def test_every_fact_has_its_source_on_the_page(name: str) -> None:
    details = load_vendor_details(name)
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert VendorReport(details=details).markdown() in page, "run `make docs`"
    # Vendors that were never used with an account have few facts.
    assert len(details.facts) > (50 if details.rules.in_init else 9)
    assert all(fact.source and fact.certainty for fact in details.facts)


def test_report_of_a_record_schema_has_its_members_only() -> None:
    report = VendorReport(details=load_vendor_details("sitecore-cdp"), schema="tracking")
    assert "Statuses" not in report.text(strip_ansi)
    assert [item["name"] for item in report.data()["schemas"]] == ["tracking"]
    required = {item["member"]: item["required_in"] for item in report.data()["schemas"][0]["members"]}
    assert required["channel"] == ["insert"]
    assert required["utms.utm_medium"] == []
    assert [line["member"] for line in report.lines()] == list(required)


def test_meanings_of_answers_are_named_after_their_calls() -> None:
    answers = load_vendor_details("motorweb-bdp").answers
    assert {(item.call, item.status, item.means) for item in answers} >= {
        ("allocate", 409, "permanent"),
        ("errors", 404, "absent"),
        ("results", 403, "expired"),
    }


def test_list_of_vendors_names_their_record_schemas() -> None:
    report = VendorsReport(vendors=tuple(load_vendor_details(name) for name in available_vendors()))
    assert [item["name"] for item in report.data()["vendors"]] == [*available_vendors()]
    assert "guest, migration, order, tracking" in report.text(strip_ansi)
    assert "| motorweb-bdp |" in report.markdown()
