"""Validation of a record mapping against a vendor's record schema: unknown and missing members, wrong kinds, literals.

Runs before any row is read. Values of expressions are validated per row by `data`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.mapping import Array, Each, Expression, Literal, Object
from batchsync.core.record_schema import Kind, Rule
from batchsync.spec.check_literal import Objection, literal_objection
from batchsync.util.patterns import contains_pattern
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from batchsync.core.mapping import Node, Place
    from batchsync.core.record_schema import Extra, RecordSchema
    from batchsync.spec.problems import Problems

#: Text that is an expression but for its `=`: a call of a function.
_CALL = re.compile(r"\s*[A-Za-z_]\w*\s*\(.*\)\s*", re.DOTALL)
_ANY_VALUE = Rule(kind=Kind.SCALAR)
_SCALARS = frozenset({Kind.STRING, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.SCALAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheck:
    """Validation of one mapping.

    Attributes:
        schema: Record schema of the vendor.
        mode: Mode of the job; empty if it is invalid, then rules of a mode are not checked.
        flat: Whether records are rows of a CSV file, which hold scalars only.
        problems: Receives the problems.
        places: Place of each key by path, including keys whose value was invalid and is in no mapping; () is the
            record itself. Paths that are missing here take the place of their value.
        allow_unknown: Whether members that the record schema lacks are allowed.
    """

    schema: RecordSchema
    mode: str
    flat: bool
    problems: Problems
    places: dict[tuple[str, ...], Place]
    allow_unknown: bool = False

    def check(self, record: Object) -> None:
        """Report everything in the record that the vendor would refuse."""
        self._members(record, self.schema.root, ())
        self._not_in_mode(record)
        self._missing(record, self.schema.root, ())
        present = {name for name, _ in record.members} | {path[0] for path in self.places if len(path) == 1}
        self._check_identity(record, present)
        self._conditions(record, present)

    def _node(self, node: Node, rule: Rule, path: tuple[str, ...]) -> None:
        if rule.kind is Kind.ANY:
            return
        if isinstance(node, Each):
            self._node(node.item, rule, path)
        elif isinstance(node, Literal):
            self._literal(node, rule, path)
        elif isinstance(node, Expression):
            self._expression(node, rule, path)
        elif isinstance(node, Object):
            if rule.kind is not Kind.OBJECT:
                self._kind(node.place, "an object", rule, path)
                return
            self._members(node, rule, path)
            self._missing(node, rule, path)
        elif rule.kind is not Kind.ARRAY:
            self._kind(node.place, "a list", rule, path)
        else:
            self._array(node, rule, path)

    def _members(self, record: Object, rule: Rule, path: tuple[str, ...]) -> None:
        known = dict(rule.fields)
        extras = 0
        for name, node in record.members:
            here = (*path, name)
            if name in known:
                if self.flat and not isinstance(node, Literal | Expression):
                    self._kind(node.place, "an object or a list", known[name], here)
                else:
                    self._node(node, known[name], here)
            elif rule.extra is None:
                self._unknown(name, node, tuple(known), here)
            else:
                extras += 1
                self._extra(name, node, rule.extra, here)
        if rule.extra is not None and extras > rule.extra.max_count:
            self.problems.add(
                "too_many_members",
                record.place,
                f"{extras} additional attributes",
                f"at most {rule.extra.max_count}",
            )

    def _unknown(self, name: str, node: Node, known: tuple[str, ...], path: tuple[str, ...]) -> None:
        if self.allow_unknown:
            if self.flat and not isinstance(node, Literal | Expression):
                self._kind(node.place, "an object or a list", _ANY_VALUE, path)
            return
        kind = "column" if self.flat else "member"
        within = f" in {quoted(path[-2])}" if len(path) > 1 else ""
        self.problems.add(
            "unknown_member",
            self._place(path, node),
            f"{self.schema.name} has no {kind} {quoted(name)}{within}",
            one_of(known),
            self.problems.suggest(name, known),
        )

    def _extra(self, name: str, node: Node, extra: Extra, path: tuple[str, ...]) -> None:
        if not contains_pattern(extra.pattern, name):
            self.problems.add(
                "member_name",
                self._place(path, node),
                f"invalid attribute name {quoted(name)}",
                f"a name that matches {extra.pattern}",
            )
        if extra.known is not None and name not in extra.known:
            parent = [item for item in path[:-1] if not item.isdigit()]
            self.problems.add(
                "unknown_member",
                self._place(path, node),
                f"the attributes file of the connection has no {quoted(name)} in {quoted('.'.join(parent))}",
                one_of(extra.known) or "no attribute",
                self.problems.suggest(name, extra.known),
            )
        elif not isinstance(node, Literal | Expression) and extra.kind is not Kind.ANY:
            self.problems.add("kind", node.place, f"{quoted(name)} is an object or a list", "a single value")
        elif isinstance(node, Literal) and extra.known is not None:
            self._literal(node, extra.rule(name), path)

    def _literal(self, node: Literal, rule: Rule, path: tuple[str, ...]) -> None:
        if rule.kind not in _SCALARS:
            self._kind(node.place, "a single value", rule, path)
            return
        found = literal_objection(node.value, rule)
        if found is None and not str(node.value).strip() and rule.required_in & {self.mode, "*"}:
            found = Objection(message="is blank", expected=f"a value (required by mode {self.mode})")
        if found is None:
            return
        advice = found.suggestion
        if found.is_enum and isinstance(node.value, str):
            advice = self.problems.suggest(node.value, rule.enum)
        if isinstance(node.value, str) and not advice and _CALL.fullmatch(node.value):
            advice = f"for the value of an expression, write ={node.value.strip()}"
        self.problems.add("literal", node.place, f"{quoted(path[-1])} {found.message}", found.expected, advice)

    def _expression(self, node: Expression, rule: Rule, path: tuple[str, ...]) -> None:
        if rule.kind is Kind.OBJECT:
            self._kind(node.place, "an expression", rule, path)
        elif rule.kind is Kind.ARRAY:
            item = f'"={node.sql}"' if set(node.sql) & set(",{}[]#:\"'") else f"={node.sql}"
            self._kind(node.place, "an expression", rule, path, f"write [{item}]" if item.count('"') in {0, 2} else "")

    def _array(self, node: Array, rule: Rule, path: tuple[str, ...]) -> None:
        is_repeated = any(isinstance(item, Each) for item in node.items)
        if rule.max_length is not None and len(node.items) > rule.max_length:
            self.problems.add(
                "length", node.place, f"{quoted(path[-1])} has {len(node.items)} items", f"at most {rule.max_length}"
            )
        if rule.min_length is not None and len(node.items) < rule.min_length and not is_repeated:
            self.problems.add(
                "length", node.place, f"{quoted(path[-1])} has {len(node.items)} items", f"at least {rule.min_length}"
            )
        if rule.items is None:
            return
        for place, item in enumerate(node.items):
            self._node(item, rule.items, (*path, str(place)) if isinstance(item, Object | Each) else path)
        self._distinct(node, rule, rule.items, path)

    def _distinct(self, node: Array, rule: Rule, inner: Rule, path: tuple[str, ...]) -> None:
        """Report items that share a value that must be distinct, and attributes that occur in two items."""
        seen: set[tuple[str, str]] = set()
        for number, item in enumerate(node.items):
            for name, member in item.members if isinstance(item, Object) else ():
                if name in rule.distinct and isinstance(member, Literal):
                    key, message = (
                        (name, str(member.value)),
                        f"duplicate value {quoted(str(member.value))} of {quoted(name)}",
                    )
                elif inner.extra is not None and inner.extra.unique and inner.field(name) is None:
                    key, message = (name, ""), f"{quoted(name)} occurs in two items of {quoted(path[-1])}"
                else:
                    continue
                if key in seen:
                    here = self._place((*path, str(number), name), member)
                    self.problems.add("twice", here, message, f"each at most once in {quoted(path[-1])}")
                seen.add(key)

    def _kind(self, place: Place, found: str, rule: Rule, path: tuple[str, ...], advice: str = "") -> None:
        wanted = {Kind.OBJECT: "an object", Kind.ARRAY: "a list"}.get(rule.kind, "a single value")
        names = [item for item in path if not item.isdigit()]
        self.problems.add("kind", place, f"{quoted(names[-1])} is {found}", wanted, advice)

    def _not_in_mode(self, record: Object) -> None:
        allowed = self.schema.fields_in.get(self.mode)
        for name, node in record.members if allowed is not None else ():
            if name not in (allowed or ()) and self.schema.root.field(name) is not None:
                self.problems.add(
                    "member_in_mode",
                    self._place((name,), node),
                    f"mode {self.mode} does not support {quoted(name)}",
                    one_of(item for item, _ in self.schema.root.fields if item in (allowed or ())),
                )

    def _missing(self, record: Object, rule: Rule, path: tuple[str, ...]) -> None:
        present = {name for name, _ in record.members}
        for name, item in rule.fields:
            if item.required_in & {self.mode, "*"} and name not in present and (*path, name) not in self.places:
                within = f"{self.schema.name} record" if not path else quoted([p for p in path if not p.isdigit()][-1])
                self.problems.add(
                    "missing_member",
                    self._place(path, record),
                    f"{within} has no {quoted(name)}",
                    f"{name}: ... (required by mode {self.mode})",
                )

    def _check_identity(self, record: Object, present: set[str]) -> None:
        sets = self.schema.alternatives(self.mode)
        if sets and not any(item <= present for item in sets):
            order = [name for name, _ in self.schema.root.fields]
            forms = [
                " and ".join(sorted(item, key=lambda name: order.index(name) if name in order else 0)) for item in sets
            ]
            self.problems.add(
                "any_of",
                self._place((), record),
                f"{self.schema.name} record lacks {'required columns' if self.flat else 'identifying members'}",
                one_of(forms),
            )

    def _conditions(self, record: Object, present: set[str]) -> None:
        for condition in self.schema.conditions:
            node = record.get(condition.field)
            if not isinstance(node, Literal) or str(node.value) not in condition.equals:
                continue
            if condition.modes and self.mode not in condition.modes:
                continue
            for name in condition.required:
                if name not in present:
                    self.problems.add(
                        "missing_member",
                        node.place,
                        f"{quoted(condition.field)} {quoted(str(node.value))} needs {quoted(name)}",
                        f"{name}: ... in the same record",
                    )

    def _place(self, path: tuple[str, ...], node: Node) -> Place:
        return self.places.get(path, node.place)
