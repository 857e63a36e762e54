"""Record schemas with the rules of one tenant, and the loosest of several."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchsync.core.record_schema import Condition, Extra, Format, Kind, RecordSchema, Rule
from batchsync.core.tenant_rules import attribute_paths, extra_at, loosest, with_attributes, with_identity
from batchsync.core.vendor_settings import Setting, SettingValue, Takes

STRING = Rule(kind=Kind.STRING)
EXTRA = Extra(pattern="^[a-z]+$", max_count=2, unique=True)
GROUP = Rule(kind=Kind.OBJECT, fields=(("name", replace(STRING, required_in=frozenset({"*"}))),), extra=EXTRA)
GROUPS = Rule(kind=Kind.ARRAY, items=GROUP)
ITEM = Rule(kind=Kind.OBJECT, fields=(("seat", STRING), ("extensions", GROUPS)))
ROOT = Rule(
    kind=Kind.OBJECT,
    fields=(("id", STRING), ("email", STRING), ("extensions", GROUPS), ("items", Rule(kind=Kind.ARRAY, items=ITEM))),
)
SCHEMA = RecordSchema(
    name="guest",
    modes=("upsert", "delete", "erase"),
    root=ROOT,
    fields_in={"delete": frozenset({"id"}), "erase": frozenset({"id"})},
    any_of={"*": (frozenset({"id"}),), "erase": (frozenset({"id"}),)},
)


def test_identity_rules_replace_those_of_every_mode_without_its_own() -> None:
    found = with_identity(SCHEMA, [["id"], ["email", "items"]])
    rules = (frozenset({"id"}), frozenset({"email", "items"}))
    assert (found.alternatives("upsert"), found.alternatives("delete")) == (rules, rules)
    assert found.alternatives("erase") == (frozenset({"id"}),)
    assert found.fields_in == {"delete": frozenset({"id", "email", "items"}), "erase": frozenset({"id"})}
    assert found.root == SCHEMA.root


def test_attributes_of_a_tenant_are_known_where_the_file_has_them() -> None:
    assert attribute_paths(SCHEMA) == ("extensions", "items.extensions")
    assert attribute_paths(replace(SCHEMA, root=GROUP)) == (), "members of the record itself are no attributes"
    found = with_attributes(SCHEMA, {"extensions": {"tier": "string", "points": "integer"}})
    extra = extra_at(found, "extensions")
    assert extra is not None
    assert extra == replace(EXTRA, known={"tier": Kind.STRING, "points": Kind.INTEGER})
    assert (extra.rule("points").kind, extra.rule("other").kind) == (Kind.INTEGER, Kind.SCALAR)
    assert (EXTRA.rule("points").kind, extra_at(found, "items.extensions")) == (Kind.SCALAR, EXTRA)
    inner = with_attributes(SCHEMA, {"items.extensions": {}})
    assert extra_at(inner, "items.extensions") == replace(EXTRA, known={})
    assert (extra_at(inner, "extensions"), inner.root.field("id")) == (EXTRA, STRING)


@pytest.mark.parametrize("path", ["id", "none", "none.extensions", "items", "items.seat"])
def test_place_without_attributes_has_none(path: str) -> None:
    assert extra_at(SCHEMA, path) is None
    assert with_attributes(SCHEMA, {path: {"tier": "string"}}) == SCHEMA


def rule_of(schema: RecordSchema, name: str) -> Rule:
    found = schema.root.field(name)
    assert found is not None
    return found


def test_loosest_of_equal_schemas_is_the_same() -> None:
    assert loosest([SCHEMA]) == SCHEMA
    assert loosest([SCHEMA, SCHEMA]) == SCHEMA


def test_loosest_schema_takes_what_either_takes() -> None:
    strict = replace(
        STRING,
        required_in=frozenset({"upsert", "delete"}),
        enum=("a", "b"),
        format=Format.EMAIL,
        pattern="x",
        min_length=2,
        max_length=3,
        past=True,
        distinct=("p", "q"),
    )
    other = replace(
        strict, required_in=frozenset({"upsert"}), enum=("b", "c"), min_length=1, max_length=9, distinct=("q",)
    )
    free = replace(other, enum=(), format=None, pattern="", min_length=None, max_length=None, past=False)
    condition, another = (Condition(field=name, equals=("x",), required=("id",)) for name in ("id", "email"))
    one = replace(
        SCHEMA,
        modes=("upsert", "insert"),
        root=replace(ROOT, fields=(("id", strict), ("email", STRING), ("extensions", GROUPS))),
        conditions=(condition, another),
        differ=(("id", "email"), ("id", "items")),
    )
    two = replace(
        SCHEMA,
        modes=("upsert", "merge"),
        root=replace(ROOT, fields=(("id", other), ("nick", strict)), extra=EXTRA),
        fields_in={"delete": frozenset({"email"})},
        any_of={"upsert": (frozenset({"email"}), frozenset({"id"}))},
        conditions=(another,),
        differ=(("id", "email"),),
    )
    found = loosest([one, two])
    assert found.modes == ("upsert", "insert", "merge")
    assert (found.conditions, found.differ) == ((another,), (("id", "email"),))
    assert found.fields_in == {"delete": frozenset({"id", "email"})}
    assert found.any_of == {"upsert": (frozenset({"id"}), frozenset({"email"}))}, "the others need none in one of them"
    assert found.root.extra == EXTRA
    assert [name for name, _ in found.root.fields] == ["id", "email", "extensions", "nick"]
    assert rule_of(found, "nick") == replace(strict, required_in=frozenset()), "one of them does not have it"
    assert rule_of(found, "extensions") == GROUPS
    merged = rule_of(found, "id")
    assert merged == replace(
        strict,
        required_in=frozenset({"upsert"}),
        enum=("a", "b", "c"),
        min_length=1,
        max_length=9,
        distinct=("q",),
    )
    freest = rule_of(loosest([one, replace(one, root=replace(ROOT, fields=(("id", free),)))]), "id")
    assert freest == replace(free, required_in=frozenset({"upsert"}))


def test_loosest_list_merges_the_rules_of_its_items() -> None:
    group = replace(GROUP, fields=(("name", STRING),), extra=None)
    changed = replace(SCHEMA, root=replace(ROOT, fields=(("extensions", replace(GROUPS, items=group)),)))
    items = rule_of(loosest([SCHEMA, changed]), "extensions").items
    assert items == replace(GROUP, fields=(("name", STRING),)), "not required in one, and attributes in the other"
    bare = replace(SCHEMA, root=replace(ROOT, fields=(("extensions", Rule(kind=Kind.ARRAY)),)))
    assert rule_of(loosest([SCHEMA, bare]), "extensions").items is None


def test_setting_lists_its_choices() -> None:
    values = tuple(SettingValue(value=item, meaning=f"means {item}") for item in ("2.0", "2.1"))
    setting = Setting(name="data_model", title="Data model", values=values, source="a page")
    assert (setting.choices, setting.takes, setting.default) == (("2.0", "2.1"), Takes.VALUE, "")
