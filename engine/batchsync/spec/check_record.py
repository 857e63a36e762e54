"""Holds a mapping against a vendor's record schema before a row is read: what is unknown, missing, of the wrong kind.

It does not know values of rows. What depends on them is checked row by row by `data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.mapping import Array, Each, Expression, Literal, Object
from lading.core.record_schema import Kind
from lading.spec.check_literal import Objection, literal_objection, matches
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from lading.core.mapping import Node, Place
    from lading.core.record_schema import Extra, RecordSchema, Rule
    from lading.spec.problems import Problems

_SCALARS = frozenset({Kind.STRING, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.SCALAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheck:
    """One check of one mapping. `flat` is for vendors whose records are rows of a CSV file.

    `places` holds where each written key stands, by path, also those whose value was wrong and which are in no mapping;
    () is the record itself. A value's own place is used for a path that is not in it.
    """

    schema: RecordSchema
    mode: str
    flat: bool
    problems: Problems
    places: dict[tuple[str, ...], Place]

    def check(self, record: Object) -> None:
        """Complain about everything in the record that the vendor would refuse."""
        self._members(record, self.schema.root, ())
        self._not_in_mode(record)
        self._missing(record, self.schema.root, ())
        present = {name for name, _ in record.members} | {path[0] for path in self.places if len(path) == 1}
        self._identified(record, present)
        self._conditions(record, present)

    def _node(self, node: Node, rule: Rule, path: tuple[str, ...]) -> None:
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
        if rule.extra is not None and extras > rule.extra.most:
            self.problems.add(
                "too_many_members",
                record.place,
                f"{extras} attributes beside the named ones",
                f"at most {rule.extra.most}",
            )

    def _unknown(self, name: str, node: Node, known: tuple[str, ...], path: tuple[str, ...]) -> None:
        what = f"column {quoted(name)}" if self.flat else f"member {quoted(name)}"
        within = f" in {quoted(path[-2])}" if len(path) > 1 else ""
        self.problems.add(
            "unknown_member",
            self._place(path, node),
            f"{self.schema.name} has no {what}{within}",
            one_of(known),
            self.problems.suggest(name, known),
        )

    def _extra(self, name: str, node: Node, extra: Extra, path: tuple[str, ...]) -> None:
        if not matches(extra.pattern, name):
            self.problems.add(
                "member_name",
                self._place(path, node),
                f"{quoted(name)} cannot name an attribute",
                f"a name that matches {extra.pattern}",
            )
        if not isinstance(node, Literal | Expression):
            self.problems.add("kind", node.place, f"{quoted(name)} is an object or a list", "one value")

    def _literal(self, node: Literal, rule: Rule, path: tuple[str, ...]) -> None:
        if rule.kind not in _SCALARS:
            self._kind(node.place, "one value", rule, path)
            return
        found = literal_objection(node.value, rule)
        if found is None and not str(node.value).strip() and rule.required_in & {self.mode, "*"}:
            found = Objection(message="is blank", expected=f"a value, which mode {self.mode} demands")
        if found is None:
            return
        advice = found.suggestion
        if found.is_enum and isinstance(node.value, str):
            advice = self.problems.suggest(node.value, rule.enum)
        self.problems.add("literal", node.place, f"{quoted(path[-1])} {found.message}", found.expected, advice)

    def _expression(self, node: Expression, rule: Rule, path: tuple[str, ...]) -> None:
        if rule.kind is Kind.OBJECT:
            self._kind(node.place, "an expression", rule, path)
        elif rule.kind is Kind.ARRAY:
            item = f'"={node.sql}"' if set(node.sql) & set(",{}[]#:\"'") else f"={node.sql}"
            self._kind(node.place, "an expression", rule, path, f"write [{item}]" if item.count('"') in {0, 2} else "")

    def _array(self, node: Array, rule: Rule, path: tuple[str, ...]) -> None:
        gathers = any(isinstance(one, Each) for one in node.items)
        if rule.max_length is not None and len(node.items) > rule.max_length:
            self.problems.add(
                "length", node.place, f"{quoted(path[-1])} has {len(node.items)} items", f"at most {rule.max_length}"
            )
        if rule.min_length is not None and len(node.items) < rule.min_length and not gathers:
            self.problems.add(
                "length", node.place, f"{quoted(path[-1])} has {len(node.items)} items", f"at least {rule.min_length}"
            )
        if rule.items is None:
            return
        for place, one in enumerate(node.items):
            self._node(one, rule.items, (*path, str(place)) if isinstance(one, Object | Each) else path)
        self._distinct(node, rule, rule.items, path)

    def _distinct(self, node: Array, rule: Rule, inner: Rule, path: tuple[str, ...]) -> None:
        """Complain about items that say the same where they may not, and about attributes that stand in two of them."""
        seen: set[tuple[str, str]] = set()
        for number, one in enumerate(node.items):
            for name, member in one.members if isinstance(one, Object) else ():
                if name in rule.distinct and isinstance(member, Literal):
                    key, twice = (
                        (name, str(member.value)),
                        f"{quoted(name)} {quoted(str(member.value))} stands here twice",
                    )
                elif inner.extra is not None and inner.extra.once and inner.field(name) is None:
                    key, twice = (name, ""), f"{quoted(name)} stands in two items of {quoted(path[-1])}"
                else:
                    continue
                if key in seen:
                    here = self._place((*path, str(number), name), member)
                    self.problems.add("twice", here, twice, f"each once in all of {quoted(path[-1])}")
                seen.add(key)

    def _kind(self, place: Place, found: str, rule: Rule, path: tuple[str, ...], advice: str = "") -> None:
        wanted = {Kind.OBJECT: "an object", Kind.ARRAY: "a list"}.get(rule.kind, "one value")
        names = [one for one in path if not one.isdigit()]
        self.problems.add("kind", place, f"{quoted(names[-1])} is {found}", wanted, advice)

    def _not_in_mode(self, record: Object) -> None:
        allowed = self.schema.fields_in.get(self.mode)
        for name, node in record.members if allowed is not None else ():
            if name not in (allowed or ()) and self.schema.root.field(name) is not None:
                self.problems.add(
                    "member_in_mode",
                    self._place((name,), node),
                    f"mode {self.mode} takes no {quoted(name)}",
                    one_of(one for one, _ in self.schema.root.fields if one in (allowed or ())),
                )

    def _missing(self, record: Object, rule: Rule, path: tuple[str, ...]) -> None:
        present = {name for name, _ in record.members}
        for name, one in rule.fields:
            if one.required_in & {self.mode, "*"} and name not in present and (*path, name) not in self.places:
                within = f"{self.schema.name} record" if not path else quoted([p for p in path if not p.isdigit()][-1])
                self.problems.add(
                    "missing_member",
                    self._place(path, record),
                    f"{within} has no {quoted(name)}",
                    f"{name}: ..., which mode {self.mode} demands",
                )

    def _identified(self, record: Object, present: set[str]) -> None:
        sets = self.schema.alternatives(self.mode)
        if sets and not any(one <= present for one in sets):
            order = [name for name, _ in self.schema.root.fields]
            forms = [
                " and ".join(sorted(one, key=lambda name: order.index(name) if name in order else 0)) for one in sets
            ]
            self.problems.add(
                "any_of",
                self._place((), record),
                f"nothing in this {self.schema.name} record says whom it is about"
                if not self.flat
                else f"this {self.schema.name} record is not enough for the vendor",
                one_of(forms),
            )

    def _conditions(self, record: Object, present: set[str]) -> None:
        for one in self.schema.conditions:
            node = record.get(one.field)
            if not isinstance(node, Literal) or str(node.value) not in one.equals:
                continue
            if one.modes and self.mode not in one.modes:
                continue
            for name in one.required:
                if name not in present:
                    self.problems.add(
                        "missing_member",
                        node.place,
                        f"{quoted(one.field)} {quoted(str(node.value))} needs {quoted(name)}",
                        f"{name} beside it",
                    )

    def _place(self, path: tuple[str, ...], node: Node) -> Place:
        return self.places.get(path, node.place)
