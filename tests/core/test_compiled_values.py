"""The values that jobs and vendor specs become: what is asked of them, and what does not change what they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lading.core.job import Connection
from lading.core.mapping import Array, Each, Expression, Literal, Object, Place
from lading.core.policy import InDoubt, Policy, wished
from lading.core.record_schema import Kind, RecordSchema, Rule
from lading.core.vendor_rules import (
    PLACEHOLDER,
    ErrorLayout,
    FileFormat,
    FileRules,
    LogFormat,
    RowLogRules,
    Silence,
    VendorRules,
)

HERE, THERE = Place("jobs.yaml", 3, 7), Place("other.yaml", 30, 1)
HOUR = timedelta(hours=1)


def a_connection(**wishes: Any) -> Connection:
    """Return a connection with these wishes."""
    plain = Connection(name="crm", vendor="sitecore-cdp", base_url="https://api.example", credentials={"key": "${KEY}"})
    return replace(plain, **wishes)


def a_schema(name: str, **changes: Any) -> RecordSchema:
    """Return a record schema with the modes upsert and delete."""
    plain = RecordSchema(name=name, modes=("upsert", "delete"), root=Rule(kind=Kind.OBJECT), fields_in={}, any_of={})
    return replace(plain, **changes)


def rules(schemas: dict[str, RecordSchema], default: str | None = None) -> VendorRules:
    """Return the rules of a vendor that has these record schemas."""
    errors = ErrorLayout(format=LogFormat.JSONL, code="code", message="message")
    return VendorRules(
        name="vendor",
        title="Vendor",
        default_base_url=None,
        api_hosts=(),
        storage_hosts=(),
        credentials=("key",),
        account_credential="key",
        target_keys={"schema": False},
        lookup=False,
        modes=("upsert",),
        removal_modes=(),
        file=FileRules(format=FileFormat.JSONL, gzip=True, suffix=".jsonl.gz"),
        policy=Policy(),
        row_log=RowLogRules(joined_by="ref", silence=Silence.ACCEPTED, errors=errors),
        words={},
        schemas=schemas,
        default_schema=default,
    )


def test_a_target_is_told_apart_by_all_of_its_keys_but_those_beside() -> None:
    target = {"service": "a", "email": "b"}
    assert rules({}).told_apart_by(target) == target
    assert replace(rules({}), target_beside=("email", "date")).told_apart_by(target) == {"service": "a"}


def test_a_connection_without_wishes_leaves_the_vendor_its_habits() -> None:
    vendor = Policy(allocation_in_doubt=InDoubt.ASK, poll_first=HOUR, in_flight_max=3)
    assert wished(vendor, a_connection()) == vendor


@pytest.mark.parametrize(
    ("wish", "changed"),
    [
        ({"poll_every": HOUR}, {"poll_first": HOUR, "poll_most": HOUR}),
        ({"poll_every": timedelta(0)}, {"poll_first": timedelta(0), "poll_most": timedelta(0)}),
        ({"deadline": HOUR}, {"deadline": HOUR}),
        ({"deadline": timedelta(0)}, {"deadline": timedelta(0)}),
        ({"in_flight": 7}, {"in_flight_max": 7}),
        ({"in_flight": 0}, {"in_flight_max": 0}),
        (
            {"poll_every": HOUR, "deadline": 2 * HOUR, "in_flight": 7},
            {"poll_first": HOUR, "poll_most": HOUR, "deadline": 2 * HOUR, "in_flight_max": 7},
        ),
    ],
)
def test_a_wish_of_the_connection_takes_the_place_of_that_one_habit(
    wish: dict[str, Any], changed: dict[str, Any]
) -> None:
    vendor = Policy(allocation_in_doubt=InDoubt.ASK, poll_growth=2.0, in_flight_max=3)
    assert wished(vendor, a_connection(**wish)) == replace(vendor, **changed)


def test_credentials_show_in_no_repr() -> None:
    assert "KEY" not in repr(a_connection())


def test_where_something_was_written_does_not_change_what_it_is() -> None:
    """A spec hash and a plan must not change because a line moved."""
    for one, other in (
        (Literal(5, HERE), Literal(5, THERE)),
        (Expression("upper(vin)", HERE), Expression("upper(vin)", THERE)),
        (Object((("a", Literal(5)),), HERE), Object((("a", Literal(5)),), THERE)),
        (Array((Literal(5),), HERE), Array((Literal(5),), THERE)),
        (Each(Literal(5), HERE), Each(Literal(5), THERE)),
    ):
        assert one == other
        assert hash(one) == hash(other)


def test_a_place_is_shown_as_editors_read_it() -> None:
    assert str(HERE) == "jobs.yaml:3:7"


def test_a_member_of_an_object_is_found_by_its_name_or_is_none() -> None:
    thing = Object((("email", Literal("a")), ("name", Literal("b"))))
    assert (thing.get("name"), thing.get("phone")) == (Literal("b"), None)


def test_a_rule_of_a_member_is_found_by_its_name_or_is_none() -> None:
    email, rule = Rule(kind=Kind.STRING), Rule(kind=Kind.OBJECT)
    rule = replace(rule, fields=(("email", email), ("age", Rule(kind=Kind.INTEGER))))
    assert (rule.field("email"), rule.field("phone")) == (email, None)


def test_a_mode_takes_its_own_sets_of_members_or_those_of_every_mode_or_none() -> None:
    by_id, by_email = (frozenset({"id"}),), (frozenset({"email"}), frozenset({"phone"}))
    schema = a_schema("guest", any_of={"delete": by_id, "*": by_email})
    assert (schema.alternatives("delete"), schema.alternatives("upsert")) == (by_id, by_email)
    assert a_schema("guest", any_of={"delete": by_id}).alternatives("upsert") == ()


def test_a_job_gets_the_schema_that_its_target_names_else_the_vendors_default_else_none() -> None:
    guest, order = a_schema("guest"), a_schema("order")
    both = {"guest": guest, "order": order}
    assert rules(both, "guest").schema_for({"schema": "order"}) is order
    assert rules(both, "guest").schema_for({"service": "order"}) is guest
    assert rules(both, "guest").schema_for({"schema": "cart"}) is None
    assert rules(both).schema_for({}) is None


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("/batches/{ticket}", [("ticket", "")]),
        ("{slot.url}", [("slot.url", "")]),
        ("{target.costCentre?}/{file.md5}", [("target.costCentre", "?"), ("file.md5", "")]),
        ("{Ticket} {} {a b} {slot.} {.url} {slot.url.x}", []),
    ],
)
def test_a_placeholder_is_a_name_in_braces_and_may_say_that_it_can_be_absent(
    template: str, found: list[tuple[str, str]]
) -> None:
    assert PLACEHOLDER.findall(template) == found
