"""Compile `record:` blocks into mappings (`batchsync.core.mapping`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core.expression_text import objection_to
from batchsync.core.mapping import Array, Each, Expression, Literal, Object
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.yaml_errors import NO_SPACE

if TYPE_CHECKING:
    from batchsync.core.mapping import Node, Place
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.problems import Problems


#: Expected value in problems of expressions.
EXPRESSION = "an SQL expression over the source's columns"
#: Name of the order of the items of an `each:`.
ORDER_BY = "order_by"


def compile_record(tree: Typed | None, problems: Problems) -> Object | None:
    """Return the mapping of a record, or None after reporting a problem. Invalid members are left out."""
    if tree is None or isinstance(tree, Broken):
        return None
    if not isinstance(tree, TypedMap):
        lacks_space = isinstance(tree, Value) and not tree.quoted and NO_SPACE.match(tree.raw)
        advice = "is the space after the colon missing?" if lacks_space else ""
        problems.add(
            "value",
            tree.start,
            '"record" is not a mapping',
            "members of the vendor's record schema: name: value",
            advice,
        )
        return None
    if not tree.entries:
        problems.add("value", tree.start, '"record" is empty', "members of the vendor's record schema: name: value")
        return None
    return _object(tree, problems)


def compile_scalar(value: Value, problems: Problems) -> Literal | Expression | None:
    """Return the literal or expression of a value; None after reporting a problem.

    The text as written decides: a `=` from an environment variable is part of a literal. `== text` is the literal
    `text`, `==text` is the literal `=text`.
    """
    place = problems.source.place(value.start)
    if not isinstance(value.value, str) or not value.raw.startswith("="):
        return Literal(value.value, place, explicit="${" in value.raw)
    if value.raw.startswith("=="):
        return Literal(value.value[3 if value.raw.startswith("== ") else 1 :], place, explicit=True)
    sql = value.value[1:].strip()
    if (objection := objection_to(sql)) is not None:
        is_cut = not value.quoted and problems.source.text[value.end : value.end + 1] == ","
        advice = (
            "quote the whole expression: between { } or [ ] a comma ends a value" if is_cut else objection.suggestion
        )
        problems.add("expression", value.start, objection.message, EXPRESSION, advice)
        return None
    return Expression(sql, place)


def _object(tree: TypedMap, problems: Problems) -> Object:
    members = ((entry.key, _node(entry.value, problems)) for entry in tree.entries)
    return Object(tuple((name, node) for name, node in members if node is not None), problems.source.place(tree.start))


def _node(tree: Typed, problems: Problems) -> Node | None:
    if isinstance(tree, Value):
        return compile_scalar(tree, problems)
    if isinstance(tree, TypedSeq):
        return _array(tree, problems)
    if isinstance(tree, Broken):
        return None
    if not tree.entries:
        problems.add("value", tree.start, "empty object", "members: name: value")
        return None
    if _is_each(tree):
        problems.add("each", tree.start, '"each" outside of a list', "a list with a single item: [{each: ...}]")
        return None
    return _object(tree, problems)


def _array(tree: TypedSeq, problems: Problems) -> Array | None:
    place = problems.source.place(tree.start)
    if not tree.items:
        problems.add("value", tree.start, "empty list", "at least one item")
        return None
    each = [item for item in tree.items if isinstance(item, TypedMap) and _is_each(item)]
    if not each:
        items = (_node(item, problems) for item in tree.items)
        return Array(tuple(item for item in items if item is not None), place)
    if len(tree.items) > 1:
        problems.add("each", each[0].start, '"each" with other items in the list', '"each" as the only item')
        return None
    item, order_tree = _split_order(each[0])
    order = _order(order_tree, problems) if order_tree is not None else ()
    inner = _node(item, problems)
    if inner is None or order is None:
        return None
    return Array((Each(inner, problems.source.place(each[0].start), order),), place)


def _is_each(tree: TypedMap) -> bool:
    """Return whether a mapping is an `each:`, with or without `order_by:` next to it."""
    names = {entry.key for entry in tree.entries}
    return "each" in names and names <= {"each", ORDER_BY}


def _split_order(each: TypedMap) -> tuple[Typed, Typed | None]:
    """Return the item of an `each:`, and its `order_by`: next to `each:` or, if not there, in an item of members."""
    entries = {entry.key: entry.value for entry in each.entries}
    item = entries["each"]
    if ORDER_BY in entries or not isinstance(item, TypedMap):
        return item, entries.get(ORDER_BY)
    order = next((entry.value for entry in item.entries if entry.key == ORDER_BY), None)
    return replace(item, entries=tuple(entry for entry in item.entries if entry.key != ORDER_BY)), order


def _order(tree: Typed, problems: Problems) -> tuple[Expression, ...] | None:
    """Return the expressions of `order_by`, a column or an expression or a list of these; None after a problem."""
    if isinstance(tree, Broken):
        return None
    items = tree.items if isinstance(tree, TypedSeq) else (tree,)
    order = []
    for item in items:
        node = compile_scalar(item, problems) if isinstance(item, Value) else None
        if isinstance(node, Literal) and isinstance(node.value, str) and node.value:
            name = node.value.replace('"', '""')
            node = Expression(f'"{name}"', node.place)
        if isinstance(node, Expression):
            order.append(node)
        elif node is not None or not isinstance(item, Value):
            problems.add("value", item.start, f'invalid "{ORDER_BY}"', "a column, an expression, or a list of these")
    if not items:
        problems.add("value", tree.start, f'"{ORDER_BY}" is empty', "a column, an expression, or a list of these")
    return tuple(order) if len(order) == len(items) and items else None


def places_of(tree: Typed | None, start: int, problems: Problems) -> dict[tuple[str, ...], Place]:
    """Return the place of each key of a record by path (list items by number); () is the key `record` itself."""
    found: dict[tuple[str, ...], Place] = {(): problems.source.place(start)}
    pending: list[tuple[tuple[str, ...], Typed]] = [((), tree)] if tree is not None else []
    while pending:
        path, node = pending.pop()
        if isinstance(node, TypedSeq):
            pending += [((*path, str(number)), item) for number, item in enumerate(node.items)]
        elif isinstance(node, TypedMap) and path[-1:] != () and _is_each(node):
            pending.append((path, _split_order(node)[0]))
        elif isinstance(node, TypedMap):
            found |= {(*path, entry.key): problems.source.place(entry.start) for entry in node.entries}
            pending += [((*path, entry.key), entry.value) for entry in node.entries]
    return found
