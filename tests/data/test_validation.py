"""Every broken rule of a record is reported with its masked value; warnings are counted only."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from data_kit import ENVELOPE, Bench, invalid, job, rules

from batchsync.core.record_schema import Condition, Format, Kind, Rule, Severity
from batchsync.core.vendor_rules import FileFormat, FileRules
from batchsync.data.mapping.evaluate import masked_value

STAR = frozenset({"*"})
TEXT = Rule(kind=Kind.STRING)


def prepare(bench: Bench, fields: dict[str, Rule], mapping: dict[str, Any], rows: str, **more: Any) -> None:
    bench.rules = rules(fields=fields, **more)
    bench.job = job(bench.folder, mapping)
    bench.source("id,name,mail\n" + rows)


def text(**parts: Any) -> dict[str, Rule]:
    return {"v": Rule(kind=Kind.STRING, **parts)}


@pytest.mark.parametrize(
    ("rule", "good", "bad", "code"),
    [
        (text(enum=("a", "b")), "a", "c", "enum"),
        (text(format=Format.EMAIL), "jo.né+x@mail.example.co", "jo@localhost", "format"),
        (text(format=Format.EMAIL), "a@b-c.org", "a b@c.org", "format"),
        (text(format=Format.DATETIME), "2025-03-07T16:15:11.000Z", "2025-03-07", "format"),
        (text(format=Format.DATETIME), "2025-03-07T16:15Z", "2025-02-30T16:15Z", "format"),
        (text(format=Format.DATETIME_NO_MILLIS), "1985-12-24T00:00Z", "1985-12-24T00:00:00.000Z", "format"),
        (text(format=Format.COUNTRY), "IE", "ie", "format"),
        (text(format=Format.LANGUAGE), "en", "eng", "format"),
        (text(format=Format.CURRENCY), "EUR", "euro", "format"),
        (text(format=Format.IATA), "DUB", "D1B", "format"),
        (text(format=Format.UUID), "CE8B4A20-9C56-49A9-8C8B-0123456789ab", "CE8B4A20", "format"),
        (text(pattern="^[A-Z]+$"), "ABC", "AbC", "pattern"),
        (text(pattern="^[A-Z]+$"), "ABC", '"ABC\n"', "pattern"),
        (text(max_length=3), "äöü", "äöüß", "max_length"),
        (text(min_length=2), "äö", "ä", "min_length"),
        (text(format=Format.DATETIME, past=True), "2026-11-22T06:59Z", "2026-11-22T07:01Z", "past"),
    ],
)
def test_rule_accepts_valid_and_refuses_invalid_value(
    bench: Bench, rule: dict[str, Rule], good: str, bad: str, code: str
) -> None:
    prepare(bench, rule, {"v": "=name"}, f"1,{good},m\n2,{bad},m\n")
    [found] = invalid(bench.compare())
    assert (found.row, found.key, found.field, found.code) == (2, "2", "v", code)
    assert bad not in found.reason.removeprefix("v ").split(", is ")[-1] or len(bad) < 3


def test_all_reasons_of_a_row_are_reported(bench: Bench) -> None:
    fields = {"name": Rule(kind=Kind.STRING, required_in=STAR), "mail": Rule(kind=Kind.STRING, format=Format.EMAIL)}
    prepare(bench, fields, {"name": "=name", "mail": "=mail"}, "1,,jonathan.com\n2,x,a@b.org\n")
    [found] = invalid(bench.compare())
    assert found.reason == "name is required; mail must be an e-mail address, is j***m (12 characters)"
    assert (found.field, found.code) == ("name", "required")


def test_warning_is_counted_and_row_is_sent(bench: Bench) -> None:
    fields = {"v": Rule(kind=Kind.STRING, enum=("Mr", "Ms"), enum_severity=Severity.WARN)}
    prepare(bench, fields, {"v": "=name"}, "1,Mr,m\n2,Dr,m\n3,Sir,m\n4,,m\n")
    comparison = bench.compare()
    assert comparison.plan.counts.added == 4
    assert list(comparison.plan.warnings.values()) == [2]
    assert "v" in next(iter(comparison.plan.warnings))


def test_required_applies_in_named_modes_only(bench: Bench) -> None:
    fields = {"v": Rule(kind=Kind.STRING, required_in=frozenset({"insert"}))}
    prepare(bench, fields, {"v": "=name"}, "1,,m\n")
    assert invalid(bench.compare()) == []
    bench.change(mode="insert")
    assert [item.code for item in invalid(bench.compare())] == ["required"]


def test_member_is_required_only_if_its_object_is_present(bench: Bench) -> None:
    inner = Rule(kind=Kind.OBJECT, fields=(("a", Rule(kind=Kind.STRING, required_in=STAR)), ("b", TEXT)))
    mapping = {"id": "=id", "o": {"a": "=name", "b": "=mail"}}
    prepare(bench, {"o": inner}, mapping, "1,,\n2,x,y\n3,,y\n")
    assert [(item.row, item.field) for item in invalid(bench.compare())] == [(3, "o.a")]


def test_item_with_literal_requires_its_members(bench: Bench) -> None:
    item = Rule(kind=Kind.OBJECT, fields=(("provider", TEXT), ("id", Rule(kind=Kind.STRING, required_in=STAR))))
    fields = {"identifiers": Rule(kind=Kind.ARRAY, items=item)}
    prepare(bench, fields, {"identifiers": [{"provider": "CRM", "id": "=name"}]}, "1,,m\n2,x,m\n")
    [found] = invalid(bench.compare())
    assert found.reason == "identifiers[0].id is required"


def test_any_of_requires_one_complete_set(bench: Bench) -> None:
    any_of = {"*": (frozenset({"vin"}), frozenset({"plate", "state"}))}
    prepare(bench, {}, {"vin": "=name", "plate": "=mail", "state": "=id"}, "1,v,\n2,,p\n3,,\n", any_of=any_of)
    [found] = invalid(bench.compare())
    assert (found.row, found.code) == (3, "any_of")
    assert "vin or plate and state" in found.reason


def test_condition_requires_member_only_if_it_holds(bench: Bench) -> None:
    conditions = (Condition(field="pay", equals=("Card",), required=("card",)),)
    prepare(bench, {}, {"pay": "=name", "card": "=mail"}, "1,Card,Visa\n2,Card,\n3,Cash,\n4,,\n", conditions=conditions)
    assert [(item.row, item.field, item.code) for item in invalid(bench.compare())] == [(2, "card", "condition")]


def test_blank_members_count_as_absent_in_sets_and_conditions(bench: Bench) -> None:
    fields = {"name": TEXT, "mail": TEXT}
    sets = {"any_of": {"*": (frozenset({"name"}), frozenset({"mail"}))}}
    prepare(bench, fields, {"name": "=name", "mail": "=mail"}, '1, ,\n2," ",\t\n3, x,\n4,,é\n5,é, \n', **sets)
    assert [(item.key, item.code) for item in invalid(bench.compare())] == [("1", "any_of"), ("2", "any_of")]
    conditions = (Condition(field="name", equals=("Card",), required=("mail",)),)
    rows = '1,Card,\n2,Card," "\n3,Cash, \n4,Card,é\n'
    prepare(bench, fields, {"name": "=name", "mail": "=mail"}, rows, conditions=conditions)
    assert [(item.key, item.code) for item in invalid(bench.compare())] == [("1", "condition"), ("2", "condition")]


def test_oversized_record_is_invalid(bench: Bench) -> None:
    prepare(bench, {}, {"v": "=name"}, f"1,{'x' * 30_000},m\n2,y,m\n")
    bench.rules = rules(
        file=FileRules(format=FileFormat.JSONL, gzip=True, suffix="gz", bytes_max=20_000, envelope=ENVELOPE)
    )
    [found] = invalid(bench.compare())
    assert (found.row, found.code) == (1, "record_size")
    assert [item.rows for item in bench.stage(bench.compare())] == [1]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", "*** (0 characters)"),
        ("x", "*** (1 character)"),
        ("short", "*** (5 characters)"),
        ("jonathan@mail.com", "j***m (17 characters)"),
        ("\x1bsecret", "?***t (7 characters)"),
    ],
)
def test_masked_value_shows_ends_and_length(value: str, wanted: str) -> None:
    assert pl.DataFrame({"x": [value]}).select(masked_value(pl.col("x")))["x"][0] == wanted
