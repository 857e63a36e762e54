"""Values compiled from jobs and vendor specs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from batchsync.core.connection import Connection
from batchsync.core.mapping import Array, Each, Expression, Literal, Object, Place
from batchsync.core.policy import OnUnknownOutcome, Policy, with_overrides
from batchsync.core.record_schema import Kind, RecordSchema, Rule
from batchsync.core.vendor_calls import PLACEHOLDER
from batchsync.core.vendor_rules import (
    DefaultOutcome,
    ErrorLayout,
    FileFormat,
    FileRules,
    JoinedBy,
    LogFormat,
    RowLogRules,
    Sends,
    VendorRules,
)

HERE, THERE = Place("jobs.yaml", 3, 7), Place("other.yaml", 30, 1)
HOUR = timedelta(hours=1)


def a_connection(**overrides: Any) -> Connection:
    """Return a connection with overrides."""
    default = Connection(
        name="crm", vendor="sitecore-cdp", base_url="https://api.example", credentials={"key": "${KEY}"}
    )
    return replace(default, **overrides)


def a_schema(name: str, **changes: Any) -> RecordSchema:
    """Return a record schema with the modes upsert and delete."""
    default = RecordSchema(name=name, modes=("upsert", "delete"), root=Rule(kind=Kind.OBJECT), fields_in={}, any_of={})
    return replace(default, **changes)


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
        modes={"upsert": Sends.RECORDS},
        file=FileRules(format=FileFormat.JSONL, gzip=True, suffix=".jsonl.gz"),
        policy=Policy(),
        row_log=RowLogRules(joined_by=JoinedBy.REF, default_outcome=DefaultOutcome.ACCEPTED, errors=errors),
        schemas=schemas,
        default_schema=default,
    )


def test_identity_of_a_target_excludes_non_identity_keys() -> None:
    target = {"service": "a", "email": "b"}
    assert rules({}).identity_fields(target) == target
    assert replace(rules({}), non_identity_keys=("email", "date")).identity_fields(target) == {"service": "a"}


def test_connection_without_overrides_keeps_the_policy() -> None:
    vendor = Policy(on_unknown_allocation=OnUnknownOutcome.ASK, poll_first=HOUR, in_flight_max=3)
    assert with_overrides(vendor, a_connection()) == vendor


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        ({"poll_every": HOUR}, {"poll_first": HOUR, "poll_max": HOUR}),
        ({"poll_every": timedelta(0)}, {"poll_first": timedelta(0), "poll_max": timedelta(0)}),
        ({"deadline": HOUR}, {"deadline": HOUR}),
        ({"deadline": timedelta(0)}, {"deadline": timedelta(0)}),
        ({"in_flight": 7}, {"in_flight_max": 7}),
        ({"in_flight": 0}, {"in_flight_max": 0}),
        (
            {"poll_every": HOUR, "deadline": 2 * HOUR, "in_flight": 7},
            {"poll_first": HOUR, "poll_max": HOUR, "deadline": 2 * HOUR, "in_flight_max": 7},
        ),
    ],
)
def test_override_of_the_connection_replaces_that_limit(overrides: dict[str, Any], changed: dict[str, Any]) -> None:
    vendor = Policy(on_unknown_allocation=OnUnknownOutcome.ASK, poll_growth=2.0, in_flight_max=3)
    assert with_overrides(vendor, a_connection(**overrides)) == replace(vendor, **changed)


def test_repr_does_not_contain_credentials() -> None:
    assert "KEY" not in repr(a_connection())


def test_location_does_not_affect_equality() -> None:
    """A spec hash and a plan must not change because a line moved."""
    for first, other in (
        (Literal(5, HERE), Literal(5, THERE)),
        (Expression("upper(vin)", HERE), Expression("upper(vin)", THERE)),
        (Object((("a", Literal(5)),), HERE), Object((("a", Literal(5)),), THERE)),
        (Array((Literal(5),), HERE), Array((Literal(5),), THERE)),
        (Each(Literal(5), HERE), Each(Literal(5), THERE)),
    ):
        assert first == other
        assert hash(first) == hash(other)


def test_place_is_formatted_as_file_line_column() -> None:
    assert str(HERE) == "jobs.yaml:3:7"


def test_object_member_by_name() -> None:
    value = Object((("email", Literal("a")), ("name", Literal("b"))))
    assert (value.get("name"), value.get("phone")) == (Literal("b"), None)


def test_rule_of_a_member_by_name() -> None:
    email, rule = Rule(kind=Kind.STRING), Rule(kind=Kind.OBJECT)
    rule = replace(rule, fields=(("email", email), ("age", Rule(kind=Kind.INTEGER))))
    assert (rule.field("email"), rule.field("phone")) == (email, None)


def test_alternatives_of_a_mode() -> None:
    by_id, by_email = (frozenset({"id"}),), (frozenset({"email"}), frozenset({"phone"}))
    schema = a_schema("guest", any_of={"delete": by_id, "*": by_email})
    assert (schema.alternatives("delete"), schema.alternatives("upsert")) == (by_id, by_email)
    assert a_schema("guest", any_of={"delete": by_id}).alternatives("upsert") == ()


def test_schema_of_the_target_or_the_default() -> None:
    guest, order = a_schema("guest"), a_schema("order")
    both = {"guest": guest, "order": order}
    assert rules(both, "guest").schema_for({"schema": "order"}) is order
    assert rules(both, "guest").schema_for({"service": "order"}) is guest
    assert rules(both, "guest").schema_for({"schema": "cart"}) is None
    assert rules(both).schema_for({}) is None


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("/batches/{idempotency_key}", [("idempotency_key", "")]),
        ("{allocation.url}", [("allocation.url", "")]),
        ("{target.costCentre?}/{file.md5}", [("target.costCentre", "?"), ("file.md5", "")]),
        ("{Ticket} {} {a b} {allocation.} {.url} {allocation.url.x}", []),
    ],
)
def test_placeholder_pattern(template: str, found: list[tuple[str, str]]) -> None:
    assert PLACEHOLDER.findall(template) == found
