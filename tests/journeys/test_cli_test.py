"""`batchsync test`: given rows, expected records and reasons, by the mapping that a sync uses."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from kit.mapping_tests import GUESTS, TestFolder

if TYPE_CHECKING:
    from pathlib import Path

#: Members of an order and of its items that are the same in all tests.
ORDER = (
    "channel: WEB, pointOfSale: shop, status: PURCHASED, orderedAt: "
    '"2026-01-01T00:00:00.000Z", currencyCode: EUR, paymentType: Cash, contact: {email: a@example.com}'
)
ITEM = "type: BIKE, productId: P, description: D, vendor: V, currencyCode: EUR"
ORDERS = f"""\
orders:
  source:
    path: orders.csv
    key: order
    join: [{{path: products.csv, on: product}}]
  target: {{connection: sitecore, schema: order}}
  mode: insert
  record:
    {ORDER.replace(", ", chr(10) + "    ")}
    referenceId: =order
    price: =sum(CAST(price AS NUMERIC))
    orderItems:
      - each:
          {ITEM.replace(", ", chr(10) + "          ")}
          order_by: line
          referenceId: =order || line
          quantity: 1
          name: =title
          price: =CAST(price AS NUMERIC)
"""


@pytest.fixture
def folder(tmp_path: Path) -> TestFolder:
    return TestFolder(tmp_path)


def test_records_and_reasons_are_compared_without_any_source(folder: TestFolder) -> None:
    folder.guests("""
    - name: lower case
      given: {id: 7, name: ANNA, email: Anna@Example.com}
      expect: {guestType: customer, firstName: Anna, email: anna@example.com, identifiers: [{provider: CRM, id: "7"}]}
    - name: no address
      given: {id: 8, name: Bo, email: bo}
      reason: email must be an e-mail address
    - name: no key
      given: {name: Bo}
      reason: "key: is missing"
    - name: two rows
      given: [{id: 1, email: a@example.com}, {id: 2, email: b}]
      expect: [{guestType: customer, email: a@example.com, identifiers: [{provider: CRM, id: "1"}]}]
      reason: email
    """)

    found = folder.outcomes()

    assert found == {"lower case": [], "no address": [], "no key": [], "two rows": []}
    assert sorted(item.name for item in folder.path.iterdir()) == ["jobs.yaml"], "something else was written"


def test_a_failing_test_shows_each_member_that_differs_and_its_place(folder: TestFolder) -> None:
    folder.guests("""
    - name: wrong
      given: {id: 7, name: ANNA, email: a@example.com}
      expect: {guestType: customer, firstName: ANNA, phone: "1", identifiers: [{provider: SHOP, id: "7"}]}
    """)

    done = folder.run("test", expect=9)

    shown = [line.strip() for line in done.stdout.splitlines()]
    line = folder.jobs.read_text().splitlines().index("      - name: wrong") + 1
    assert f"failed: wrong (jobs.yaml:{line})" in shown
    differing = shown[2:10]
    assert differing[:2] == ['- firstName: "ANNA"', '+ firstName: "Anna"']
    assert '+ email: "a@example.com"' in differing
    assert '- phone: "1"' in differing
    assert '- identifiers[0].provider: "SHOP"' in differing
    assert '+ identifiers[0].provider: "CRM"' in differing
    assert not any("guestType" in line for line in shown)
    assert "`batchsync test --update`" in done.stdout


def test_values_have_the_types_of_the_source(folder: TestFolder) -> None:
    typed = GUESTS.replace("guests.csv", "guests.parquet").replace(
        "    firstName: =initcap(name)\n", "    firstName: =CASE WHEN age > 17 THEN 'adult' ELSE 'minor' END\n"
    )
    typed = typed.replace("=lower(email)", "=lower(email)\n    dateOfBirth: =born")
    frame = pl.DataFrame(
        {"id": [1], "age": [2], "email": ["x"], "born": [None]},
        schema={"id": pl.Int64, "age": pl.Int32, "email": pl.String, "born": pl.Date},
    )
    tests = """
    - name: typed
      given: {id: 1, age: 18, email: a@example.com, born: "1985-12-24"}
      expect:
        guestType: customer
        firstName: adult
        email: a@example.com
        dateOfBirth: "1985-12-24T00:00Z"
        identifiers: [{provider: CRM, id: "1"}]
    """
    folder.guests(tests, typed)
    missing = folder.outcomes(expect=9)["typed"]
    assert "dateOfBirth must be a UTC timestamp" in missing[-1]["actual"], "without the source it is a text"

    frame.write_parquet(folder.path / "guests.parquet")
    assert folder.outcomes() == {"typed": []}

    folder.guests(tests.replace("age: 18", "age: many"), typed)
    assert [message for _, message, _ in folder.problems()] == ["column 'age' holds int32, and this value is none"]


def test_text_of_a_csv_file_is_text_however_it_is_written(folder: TestFolder) -> None:
    job = GUESTS.replace("=initcap(name)", "=name").replace("key: id}", "key: id, nulls: [none]}")
    (folder.path / "guests.csv").write_text("id,name,email\n")
    folder.guests(
        """
    - name: a number and a boolean
      given: {id: 7, name: true, email: none}
      expect: {guestType: customer, firstName: "true", identifiers: [{provider: CRM, id: "7"}]}
    - name: the empty text is null
      given: {id: "007", name: "", email: ""}
      expect: {guestType: customer, identifiers: [{provider: CRM, id: "007"}]}
    """,
        job,
    )

    assert folder.outcomes() == {"a number and a boolean": [], "the empty text is null": []}


def test_unknown_and_unused_columns_are_problems_with_a_suggestion(folder: TestFolder) -> None:
    (folder.path / "guests.csv").write_text("id,name,email,shoe\n")
    folder.guests("""
    - name: misspelled
      given: {id: 1, nmae: A, shoe: 44}
      expect: {guestType: customer}
    """)

    problems = folder.problems()

    assert [(message, suggestion) for _, message, suggestion in problems] == [
        ("the source has no column 'nmae'", "Did you mean 'name'?"),
        ("the job does not use column 'shoe'", "The source has: email, id, name."),
    ]
    done = folder.run("validate", expect=2)
    assert "the source has no column 'nmae'" in done.stderr
    (folder.path / "guests.csv").unlink()
    assert [message for _, message, _ in folder.problems()] == [
        "the source has no column 'nmae'",
        "the source has no column 'shoe'",
    ]


def test_rows_of_a_key_make_one_record_and_joins_are_given_by_their_path(folder: TestFolder) -> None:
    tests = f"""\
  tests:
    - name: sum and items
      given:
        - {{order: O1, line: 2, product: P2}}
        - {{order: O1, line: 1, product: P1}}
      joined:
        products.csv: [{{product: P1, title: Bell, price: 1.5}}, {{product: P2, title: Lock, price: 2}}]
      expect:
        {ORDER.replace(", ", chr(10) + "        ")}
        referenceId: O1
        price: 3.5
        orderItems:
          - {{{ITEM}, referenceId: O11, quantity: 1, name: Bell, price: 1.5}}
          - {{{ITEM}, referenceId: O12, quantity: 1, name: Lock, price: 2}}
    - name: columns of the join in the row
      given: {{order: O2, line: 1, product: P9, title: Lamp, price: 3}}
      expect:
        {ORDER.replace(", ", chr(10) + "        ")}
        referenceId: O2
        price: 3
        orderItems: [{{{ITEM}, referenceId: O21, quantity: 1, name: Lamp, price: 3}}]
    - name: no product
      given: {{order: O3, line: 1, product: P3}}
      joined: {{products.csv: {{product: P1, title: Bell, price: 1.5}}}}
      reason: price is required
"""
    folder.write(ORDERS + tests)
    for source in (False, True):
        if source:
            (folder.path / "orders.csv").write_text("order,line,product\n")
            (folder.path / "products.csv").write_text("product,title,price\n")

        assert list(folder.outcomes().values()) == [[], [], []]

    folder.write(ORDERS + tests.replace("products.csv:", "product.csv:"))
    assert {(message, advice) for _, message, advice in folder.problems()} == {
        ('the job has no join "product.csv"', 'did you mean "products.csv"?')
    }
    folder.write(ORDERS + tests.replace("{product: P2, title", "{product: P1, title"))
    failed = folder.outcomes(expect=9)["sum and items"]
    assert "has a key in more than one row" in failed[0]["actual"]


def test_removed_key_and_row_that_is_left_out(folder: TestFolder) -> None:
    job = GUESTS.replace("key: id}", "key: id, where: active = 'y'}") + "  on_removed: delete\n"
    folder.guests(
        """
    - name: gone
      removed: G1
      expect: {identifiers: [{provider: CRM, id: G1}]}
    - name: not active
      given: {id: 1, email: a@example.com}
      left_out: true
    - name: active
      given: {id: 1, email: a@example.com, active: "y"}
      left_out: true
    """,
        job,
    )

    found = folder.outcomes(expect=9)

    assert found["gone"] == found["not active"] == []
    assert found["active"][0]["expected"] == "left out by source.where"

    folder.guests("- {name: gone, removed: G1, expect: {}}", GUESTS)
    assert "keeps keys that left its source" in folder.outcomes(expect=9)["gone"][0]["actual"]


@pytest.mark.parametrize(
    ("policy", "winner"),
    [("fail", ""), ("first", "a@example.com"), ("last", "b@example.com"), ("{by: name}", "a@example.com")],
)
def test_rows_with_the_same_key_are_treated_as_the_source_says(folder: TestFolder, policy: str, winner: str) -> None:
    job = GUESTS.replace("key: id}", f"key: id, duplicates: {policy}}}").replace("=initcap(name)", "=name")
    name = "z" if policy != "last" else "a"
    folder.guests(
        f"""
    - name: twice
      given: [{{id: 1, name: {name}, email: a@example.com}}, {{id: 1, name: b, email: b@example.com}}]
      expect: {{guestType: customer, firstName: {name if winner[:1] == "a" else "b"}, email: "{winner or "x"}",
                identifiers: [{{provider: CRM, id: "1"}}]}}
    """,
        job,
    )

    found = folder.outcomes(expect=0 if winner else 9)["twice"]

    assert not found if winner else "the same key" in found[0]["actual"]


def test_database_source_needs_no_database(folder: TestFolder) -> None:
    job = GUESTS.replace("{path: guests.csv, key: id}", "{connection: shop, table: guests, key: id}")
    job = job.replace("=initcap(name)", "=CASE WHEN points > 10 THEN 'Gold' END")
    folder.guests(
        """
    - name: points
      given: {id: 1, points: 11, email: a@example.com}
      expect: {guestType: customer, firstName: Gold, email: a@example.com, identifiers: [{provider: CRM, id: "1"}]}
    """,
        job.replace("id: =id", "id: =CAST(id AS TEXT)"),
    )

    assert folder.outcomes() == {"points": []}
    with closing(sqlite3.connect(folder.path / "shop.db")) as base:
        base.execute("CREATE TABLE guests (id, points, email)")
    assert folder.outcomes() == {"points": []}


def test_a_flat_record_of_a_csv_vendor_is_tested_by_member(folder: TestFolder) -> None:
    folder.write("""\
checks:
  source: {path: cars.csv, key: id}
  target: {connection: motorweb, service: Vehicle ID WOVR Batch}
  mode: lookup
  record: {vin: =upper(trim(vin)), plate: =plate, state: =state}
  results: {path: out/checks.csv}
  tests:
    - {name: upper case, given: {id: 1, vin: " 1hgcm82633a000001"}, expect: {vin: 1HGCM82633A000001}}
    - {name: no state, given: {id: 1, plate: X1}, reason: needs vin or plate and state}
""")

    assert folder.outcomes() == {"upper case": [], "no state": []}


def test_no_tests_is_no_failure(folder: TestFolder) -> None:
    folder.write(GUESTS)

    assert "has no tests" in folder.run("test").stdout
    assert folder.run("test", "-o", "md").stdout.startswith("- no tests")
    assert 'unknown job "gests"' in folder.run("test", "gests", expect=2).stderr


def test_thousands_of_tests_are_run_and_more_values_than_a_file_may_have_are_refused(folder: TestFolder) -> None:
    one = "- {{name: t{0}, given: {{id: {0}, email: a@example.com}}, reason: none}}\n"
    folder.guests("".join(one.format(number) for number in range(3000)))

    result = json.loads(folder.run("-o", "json", "test", expect=9).stdout)["result"]

    assert result["counts"] == {"passed": 0, "failed": 3000, "updated": 0}
    assert all(item["seconds"] >= 0 for item in result["tests"])

    folder.guests("".join(one.format(number) for number in range(10_000)))
    assert "the file contains more than 40,000 values" in folder.run("test", expect=2).stderr


def test_junit_is_valid_xml_whatever_the_names(folder: TestFolder) -> None:
    names = ["<a> & \"b\" 'c'", "]]> \u202e \ud7ff", "&#10;&amp;", "=cmd|' /C calc'!A0"]
    tests = "".join(f"- {{name: {json.dumps(name)}, given: {{id: 1}}, reason: x}}\n" for name in names)
    folder.guests(tests)

    done = folder.run("test", "-o", "junit", expect=9)

    root = ET.fromstring(done.stdout)  # noqa: S314 - our own output
    suite = root.find("testsuite")
    assert suite is not None
    assert (root.tag, suite.get("tests"), suite.get("failures")) == ("testsuites", "4", "4")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == names
    assert all("reason: x" in (case.findtext("failure") or "") for case in cases)
    assert "Invalid value for '-o'" in folder.run("-o", "junit", "validate", expect=2).stderr


def test_files_of_strangers_are_tested_in_the_limited_process(folder: TestFolder) -> None:
    folder.guests("- {name: t, given: {id: 1, email: b}, reason: email}")

    assert "1 passed" in folder.run("test", "--untrusted").stdout
    assert "omit one of them" in folder.run("test", "--untrusted", "--update", expect=2).stderr
    folder.guests("- {name: t, given: {id: 1, email: b}, reason: other}")
    assert "1 failed" in folder.run("test", "--untrusted", expect=9).stdout
