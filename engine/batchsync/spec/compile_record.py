"""Makes a mapping (`lading.core.mapping`) of a `record:` block. It does not know what the vendor demands of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.core.expression_text import objection_to
from lading.core.mapping import Array, Each, Expression, Literal, Object
from lading.spec.interpolate import TypedMap, TypedSeq, Value
from lading.spec.located_yaml import Broken
from lading.spec.yaml_words import NO_SPACE

if TYPE_CHECKING:
    from lading.core.mapping import Node, Place
    from lading.spec.interpolate import Typed
    from lading.spec.problems import Problems


#: What is expected where an expression is refused.
EXPRESSION = "an SQL expression over the source's columns"


def compile_record(tree: Typed | None, problems: Problems) -> Object | None:
    """Return the mapping of a record, or None after a complaint. Broken members are left out of it."""
    if tree is None or isinstance(tree, Broken):
        return None
    if not isinstance(tree, TypedMap):
        joined = isinstance(tree, Value) and not tree.quoted and NO_SPACE.match(tree.raw)
        advice = "is there no space after the colon?" if joined else ""
        problems.add("value", tree.start, '"record" is no mapping', "the vendor's members: name: value", advice)
        return None
    if not tree.entries:
        problems.add("value", tree.start, '"record" is empty', "the vendor's members: name: value")
        return None
    return _object(tree, problems)


def compile_scalar(value: Value, problems: Problems) -> Literal | Expression | None:
    """Return the literal or the expression of a value; None after a complaint.

    What was written decides: a `=` that comes out of the environment is a literal one. `== text` is the text behind
    the blank, `==text` the text from its second `=` on.
    """
    place = problems.source.place(value.start)
    if not isinstance(value.value, str) or not value.raw.startswith("="):
        return Literal(value.value, place, explicit="${" in value.raw)
    if value.raw.startswith("=="):
        return Literal(value.value[3 if value.raw.startswith("== ") else 1 :], place, explicit=True)
    sql = value.value[1:].strip()
    if (objection := objection_to(sql)) is not None:
        cut = not value.quoted and problems.source.text[value.end : value.end + 1] == ","
        advice = "quote the whole expression: between { } or [ ] a comma ends a value" if cut else objection.suggestion
        problems.add("expression", value.start, objection.message, EXPRESSION, advice)
        return None
    return Expression(sql, place)


def _object(tree: TypedMap, problems: Problems) -> Object:
    members = ((one.key, _node(one.value, problems)) for one in tree.entries)
    return Object(tuple((name, node) for name, node in members if node is not None), problems.source.place(tree.start))


def _node(tree: Typed, problems: Problems) -> Node | None:
    if isinstance(tree, Value):
        return compile_scalar(tree, problems)
    if isinstance(tree, TypedSeq):
        return _array(tree, problems)
    if isinstance(tree, Broken):
        return None
    if not tree.entries:
        problems.add("value", tree.start, "an empty object", "members: name: value")
        return None
    if len(tree.entries) == 1 and tree.entries[0].key == "each":
        problems.add("each", tree.start, "each outside of a list", "a list with the one item: [{each: ...}]")
        return None
    return _object(tree, problems)


def _array(tree: TypedSeq, problems: Problems) -> Array | None:
    place = problems.source.place(tree.start)
    if not tree.items:
        problems.add("value", tree.start, "an empty list", "at least one item")
        return None
    each = [one for one in tree.items if isinstance(one, TypedMap) and [key.key for key in one.entries] == ["each"]]
    if not each:
        items = (_node(one, problems) for one in tree.items)
        return Array(tuple(one for one in items if one is not None), place)
    if len(tree.items) > 1:
        problems.add("each", each[0].start, "each beside other items", "each as the list's only item")
        return None
    inner = _node(each[0].entries[0].value, problems)
    return Array((Each(inner, problems.source.place(each[0].start)),), place) if inner is not None else None


def places_of(tree: Typed | None, start: int, problems: Problems) -> dict[tuple[str, ...], Place]:
    """Return where each key of a record stands, by path (list items by number); () is the record's own key."""
    found: dict[tuple[str, ...], Place] = {(): problems.source.place(start)}
    waiting: list[tuple[tuple[str, ...], Typed]] = [((), tree)] if tree is not None else []
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, TypedSeq):
            waiting += [((*path, str(number)), one) for number, one in enumerate(node.items)]
        elif isinstance(node, TypedMap) and path[-1:] != () and [one.key for one in node.entries] == ["each"]:
            waiting.append((path, node.entries[0].value))
        elif isinstance(node, TypedMap):
            found |= {(*path, one.key): problems.source.place(one.start) for one in node.entries}
            waiting += [((*path, one.key), one.value) for one in node.entries]
    return found
