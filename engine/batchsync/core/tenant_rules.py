"""Record schemas with the identity rules and attributes of one tenant, and the loosest of several record schemas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.record_schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from batchsync.core.record_schema import Extra, RecordSchema, Rule


def with_identity(schema: RecordSchema, sets: Iterable[Iterable[str]]) -> RecordSchema:
    """Return a record schema in which one of some sets of members must be complete, in every mode.

    A mode that takes few members takes those of the sets, too, if it needs an identity.

    Args:
        schema: The record schema of the vendor.
        sets: Sets of members of the record.
    """
    rules = tuple(frozenset(item) for item in sets)
    named = frozenset[str]().union(*rules)
    fields_in = {
        mode: allowed if mode in schema.any_of else allowed | named for mode, allowed in schema.fields_in.items()
    }
    return replace(schema, any_of={**schema.any_of, "*": rules}, fields_in=fields_in)


def attribute_paths(schema: RecordSchema) -> tuple[str, ...]:
    """Return the paths of a record schema below which attributes have names that the vendor does not define."""
    return tuple(_paths(schema.root, ()))


def _paths(rule: Rule, path: tuple[str, ...]) -> Iterator[str]:
    if rule.items is not None:
        yield from _paths(rule.items, path)
    if rule.extra is not None and path:
        yield ".".join(path)
    for name, inner in rule.fields:
        yield from _paths(inner, (*path, name))


def extra_at(schema: RecordSchema, path: str) -> Extra | None:
    """Return the rule of the attributes below a path; None if there are none."""
    rule: Rule | None = schema.root
    for name in path.split("."):
        rule = rule.field(name) if rule is not None else None
        rule = rule.items if rule is not None and rule.items is not None else rule
    return rule.extra if rule is not None else None


def with_attributes(schema: RecordSchema, attributes: Mapping[str, Mapping[str, str]]) -> RecordSchema:
    """Return a record schema that takes the attributes of a tenant, and no others.

    Args:
        schema: The record schema of the vendor.
        attributes: Kinds of the attributes by name, by path of `attribute_paths`; other paths take any attribute.
    """
    root = schema.root
    for path, kinds in attributes.items():
        root = _with_known(root, tuple(path.split(".")), {name: Kind(kind) for name, kind in kinds.items()})
    return replace(schema, root=root)


def _with_known(rule: Rule, path: tuple[str, ...], known: Mapping[str, Kind]) -> Rule:
    if rule.items is not None:
        return replace(rule, items=_with_known(rule.items, path, known))
    if not path:
        return replace(rule, extra=replace(rule.extra, known=known)) if rule.extra is not None else rule
    fields = tuple(
        (name, _with_known(inner, path[1:], known) if name == path[0] else inner) for name, inner in rule.fields
    )
    return replace(rule, fields=fields)


def loosest(schemas: Sequence[RecordSchema]) -> RecordSchema:
    """Return a record schema that refuses no record which one of some schemas takes.

    Args:
        schemas: At least one schema, all of the same kind of record.
    """
    first, *others = schemas
    if all(item == first for item in others):
        return first
    modes = tuple(dict.fromkeys(mode for item in schemas for mode in item.modes))
    restricted = [mode for mode in first.fields_in if all(mode in item.fields_in for item in others)]
    identified = [mode for mode in (*modes, "*") if all(item.alternatives(mode) for item in schemas)]
    return replace(
        first,
        modes=modes,
        root=_loosest_rule([item.root for item in schemas]),
        fields_in={mode: frozenset[str]().union(*(item.fields_in[mode] for item in schemas)) for mode in restricted},
        any_of={
            mode: tuple(dict.fromkeys(found for item in schemas for found in item.alternatives(mode)))
            for mode in identified
        },
        conditions=tuple(item for item in first.conditions if all(item in other.conditions for other in others)),
        differ=tuple(item for item in first.differ if all(item in other.differ for other in others)),
    )


def _loosest_rule(rules: Sequence[Rule]) -> Rule:
    first, *others = rules
    if all(item == first for item in others):
        return first
    names = dict.fromkeys(name for rule in rules for name, _ in rule.fields)
    fields = tuple((name, _loosest_member(name, rules)) for name in names)
    inner = [rule.items for rule in rules if rule.items is not None]
    lengths = [[rule.min_length for rule in rules], [rule.max_length for rule in rules]]
    return replace(
        first,
        required_in=frozenset.intersection(*(rule.required_in for rule in rules)),
        enum=tuple(dict.fromkeys(item for rule in rules for item in rule.enum)) if all(r.enum for r in rules) else (),
        format=first.format if all(rule.format is first.format for rule in others) else None,
        pattern=first.pattern if all(rule.pattern == first.pattern for rule in others) else "",
        min_length=None if None in lengths[0] else min(item for item in lengths[0] if item is not None),
        max_length=None if None in lengths[1] else max(item for item in lengths[1] if item is not None),
        past=all(rule.past for rule in rules),
        fields=fields,
        extra=next((rule.extra for rule in rules if rule.extra is not None), None),
        items=_loosest_rule(inner) if len(inner) == len(rules) else None,
        distinct=tuple(item for item in first.distinct if all(item in rule.distinct for rule in others)),
    )


def _loosest_member(name: str, rules: Sequence[Rule]) -> Rule:
    found = [inner for rule in rules if (inner := rule.field(name)) is not None]
    merged = _loosest_rule(found)
    return merged if len(found) == len(rules) else replace(merged, required_in=frozenset())
