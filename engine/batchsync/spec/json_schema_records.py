"""Record schemas of vendors as JSON Schemas of the mappings that `record:` may hold.

A value of a mapping is a literal, an expression or a reference. Literals are checked as `check_record` does,
expressions only for the kind of their member. `order_by` may stand next to `each:` or among the members of its item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsync.core.record_schema import Format, Kind, Severity
from batchsync.core.record_text import member_text
from batchsync.spec.compile_record import ORDER_BY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.core.record_schema import Extra, RecordSchema, Rule

Schema = dict[str, Any]

#: A text that is computed or comes from the environment; its value is checked per row.
_COMPUTED: Schema = {"type": "string", "pattern": r"^=|\$\{"}
#: Any scalar of a flat record or an additional attribute.
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
#: Additional members of an object whose rule is unknown.
_ANY: Schema = {"$ref": "#/$defs/RecordValue"}
_ORDER: Schema = {
    "description": "Order of the items: a column, an expression, or a list of these.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}
_MINUTE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}"
#: Pattern of each format. Each accepts at least what `check_literal` accepts, in the syntax of ECMA-262.
_FORMATS: dict[Format, str] = {
    Format.EMAIL: "^[^@ ]+@[^@ ]+[.][^@ ]+$",
    Format.UUID: "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    Format.DATETIME: rf"^{_MINUTE}(?::[0-5][0-9](?:\.[0-9]{{1,9}})?)?Z$",
    Format.DATETIME_NO_MILLIS: rf"^{_MINUTE}(?::[0-5][0-9])?Z$",
    Format.DATETIME_MINUTES: rf"^{_MINUTE}Z$",
    Format.COUNTRY: "^[A-Z]{2}$",
    Format.LANGUAGE: "^[A-Za-z]{2}$",
    Format.CURRENCY: "^[A-Z]{3}$",
    Format.IATA: "^[A-Z]{3}$",
}
#: Syntax of Rust's regular expressions that ECMA-262 lacks or reads differently.
_RUST_ONLY = (
    "(?",
    r"\p",
    r"\P",
    r"\A",
    r"\z",
    r"\b",
    r"\B",
    r"\x{",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    r"\d",
    r"\D",
    "[[",
    "&&",
    "--",
    "~~",
)


def record_schema(schema: RecordSchema, mode: str, *, flat: bool) -> Schema:
    """Return the JSON Schema of the mappings to a kind of record.

    Args:
        schema: The vendor's record schema.
        mode: Mode of the job; empty if it is unknown, then rules of a mode are left out.
        flat: Whether records are rows of a CSV file, which hold scalars only.

    Returns:
        The schema of an object.
    """
    allowed = schema.fields_in.get(mode)
    found = _object(schema.root, mode, flat=flat, only=allowed)
    alternatives = schema.alternatives(mode)
    order = [name for name, _ in schema.root.fields]
    if alternatives:
        found["anyOf"] = [
            {"required": sorted(names, key=lambda name: (name not in order, name))} for names in alternatives
        ]
    conditions = [
        {
            "if": {"properties": {item.field: {"enum": [*item.equals]}}, "required": [item.field]},
            "then": {"required": [*item.required]},
        }
        for item in schema.conditions
        if (not item.modes or mode in item.modes) and schema.root.field(item.field) is not None
    ]
    if conditions:
        found["allOf"] = conditions
    return found


def _object(rule: Rule, mode: str, *, flat: bool, only: Iterable[str] | None = None, item: bool = False) -> Schema:
    """Return the schema of an object. `only` restricts its named members; `item`: it is the item of `each:`."""
    fields = [(name, inner) for name, inner in rule.fields if only is None or name in only]
    properties = {name: _member(inner, mode, flat=flat) for name, inner in fields}
    if item and ORDER_BY not in properties:
        properties[ORDER_BY] = _ORDER
    found: Schema = {"type": "object", "properties": properties, "minProperties": 1}
    required = [name for name, inner in rule.fields if inner.required_in & {mode, "*"}]
    if required:
        found["required"] = required
    found["additionalProperties"] = False
    if rule.extra is not None:
        scalars = all(inner.kind not in {Kind.OBJECT, Kind.ARRAY} for _, inner in rule.fields) and not item
        found |= _extra(rule.extra, _SCALAR if scalars and rule.extra.kind is not Kind.ANY else _ANY)
        if hidden := [name for name, _ in rule.fields if only is not None and name not in only]:
            found["propertyNames"] = {"not": {"enum": hidden}}
    return found


def _extra(extra: Extra, value: Schema) -> Schema:
    """Return the schema of additional members, of any name if the pattern is only known to Rust."""
    if any(text in extra.pattern for text in _RUST_ONLY):
        return {"additionalProperties": value}
    return {"patternProperties": {extra.pattern: value}, "additionalProperties": False}


def _member(rule: Rule, mode: str, *, flat: bool) -> Schema:
    described: Schema = {"description": member_text(rule)}
    return described | _value(rule, mode, flat=flat)


def _value(rule: Rule, mode: str, *, flat: bool) -> Schema:
    if rule.kind is Kind.ANY:
        return _SCALAR if flat else _ANY
    if flat or rule.kind is Kind.SCALAR:
        # Objects and lists are refused; literals of the other kinds as below.
        return _SCALAR if rule.kind in {Kind.SCALAR, Kind.OBJECT, Kind.ARRAY} else literal_schema(rule, mode)
    if rule.kind is Kind.OBJECT:
        return _object(rule, mode, flat=flat)
    if rule.kind is Kind.ARRAY:
        return _array(rule, mode)
    return literal_schema(rule, mode)


def _array(rule: Rule, mode: str) -> Schema:
    """Return the schema of a list: its items, or a single `each:`."""
    found: Schema = {"type": "array", "minItems": 1}
    if rule.max_length is not None:
        found["maxItems"] = max(rule.max_length, 1)
    if rule.items is None:
        return found | {"items": _ANY}
    item = _value(rule.items, mode, flat=False)
    each = _object(rule.items, mode, flat=False, item=True) if rule.items.kind is Kind.OBJECT else item
    repeated = {
        "properties": {"each": each, ORDER_BY: _ORDER},
        "additionalProperties": False,
    }
    is_each = {"type": "object", "required": ["each"], "propertyNames": {"enum": ["each", ORDER_BY]}}
    return found | {"items": {"if": is_each, "then": repeated, "else": item}}


def literal_schema(rule: Rule, mode: str) -> Schema:
    """Return the schema of a literal of a kind, or an expression in its place; `mode` as in `record_schema`."""
    if rule.kind is Kind.SCALAR:
        return _SCALAR
    if rule.kind is not Kind.STRING:
        return {"anyOf": [{"type": rule.kind.value}, _COMPUTED]}
    if rule.enum:
        others = {"type": "string"} if rule.enum_severity is Severity.WARN else _COMPUTED
        return {"anyOf": [{"enum": [*rule.enum]}, others]}
    limits = _limits(rule, mode)
    return {"anyOf": [{"type": "string", **limits}, _COMPUTED]} if limits else {"type": "string"}


def _limits(rule: Rule, mode: str) -> Schema:
    """Return the limits of a literal string."""
    found: Schema = {}
    if rule.format is not None:
        found["pattern"] = _FORMATS[rule.format]
    elif rule.pattern and not any(text in rule.pattern for text in _RUST_ONLY):
        found["pattern"] = rule.pattern
    elif rule.required_in & {mode, "*"}:
        found["pattern"] = r"\S"
    if rule.min_length is not None:
        found["minLength"] = rule.min_length
    if rule.max_length is not None:
        found["maxLength"] = rule.max_length
    return found
