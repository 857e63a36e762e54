"""Puts the environment into `${VAR}` and `${VAR:-default}`, and gives every value its type.

It does not know what a value is for; credentials are left as written, to be resolved when a vendor is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.spec.halves import has_half
from lading.spec.located_yaml import Broken, Entry, Map, Scalar, Seq
from lading.spec.scalars import Doubt, Nothing, Plain, meaning, value_or_text
from lading.spec.secrecy import in_connections
from lading.spec.suggest import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.spec.located_yaml import Node
    from lading.spec.problems import Problems

#: `$${` is a `${` that stays. Everything else that begins with `${` must be a whole reference.
_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>:-(?P<default>[^}]*))?\}|(?P<bad>[^}]{0,60}\}?))"
)
FORMS = "${NAME} or ${NAME:-default}"


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its type. `raw` is what was written, before the environment came in; `quoted` says how."""

    value: Plain
    raw: str
    quoted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TypedMap:
    """A mapping whose values are typed."""

    entries: tuple[TypedEntry, ...]
    start: int
    _by_key: dict[str, TypedEntry] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the entries: blocks may be large."""
        self._by_key.update({one.key: one for one in self.entries})

    def entry(self, key: str) -> TypedEntry | None:
        """Return the entry of that key, or None."""
        return self._by_key.get(key)

    def get(self, key: str) -> Typed | None:
        """Return the value of that key, or None."""
        found = self.entry(key)
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class TypedEntry:
    """A key with its typed value; `start` is the index of the key."""

    key: str
    start: int
    value: Typed


@dataclass(frozen=True, slots=True)
class TypedSeq:
    """A list whose items are typed."""

    items: tuple[Typed, ...]
    start: int


Typed = Value | TypedMap | TypedSeq | Broken


def _is_expression(text: str, path: tuple[str, ...]) -> bool:
    """Whether a text is an SQL expression: it begins with one `=` and stands in a record or as a key."""
    where = path[2:] if path[:1] == ("jobs",) else ()
    holds = where[:1] == ("record",) or where[:2] in {("on_removed", "record"), ("source", "key")}
    return holds and text.startswith("=") and not text.startswith("==")


class Resolver:
    """Types a tree of values, with the environment put in."""

    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        """Keep the environment and where problems go."""
        self._environ = environ
        self._problems = problems

    def resolve(self, node: Node, path: tuple[str, ...] = ()) -> Typed:
        """Return the node with typed values; what cannot be typed is complained about and Broken."""
        if isinstance(node, Map):
            return self.resolve_map(node, path)
        if isinstance(node, Seq):
            return TypedSeq(tuple(self.resolve(one, path) for one in node.items), node.start)
        return self._scalar(node, path) if isinstance(node, Scalar) else node

    def resolve_map(self, node: Map, path: tuple[str, ...] = ()) -> TypedMap:
        """Return a mapping with typed values, as `resolve` does."""
        return TypedMap(tuple(self._entry(one, path) for one in node.entries), node.start)

    def _entry(self, entry: Entry, path: tuple[str, ...]) -> TypedEntry:
        if isinstance(entry.value, Scalar) and entry.value.plain and isinstance(meaning(entry.value.text), Nothing):
            # An empty value stands nowhere, so the caret belongs under its key.
            self._nothing(entry.value.text, entry.value.start if entry.value.text else entry.start, entry.key)
            return TypedEntry(entry.key, entry.start, Broken(entry.start))
        return TypedEntry(entry.key, entry.start, self.resolve(entry.value, (*path, entry.key)))

    def _scalar(self, node: Scalar, path: tuple[str, ...]) -> Typed:
        # What is hidden stays as written: it is refused for where it stands, and no error may repeat it.
        hidden = self._problems.source.is_hidden(node.start)
        credential = path[:1] == ("connections",) and path[2:3] == ("credentials",)
        if credential or (hidden and in_connections(path) and path[2:3] != ("base_url",)):
            return Value(node.text, node.text, not node.plain, node.start, node.end)
        filled = self._filled(node, path)
        if filled is None:
            return Broken(node.start)
        if not node.plain or "${" in node.text:
            value = filled if not node.plain else value_or_text(filled)
            return Value(value, node.text, not node.plain, node.start, node.end)
        found = meaning(node.text)
        if isinstance(found, Nothing):
            self._nothing(node.text, node.start, "an item")
            return Broken(node.start)
        if isinstance(found, Doubt):
            shown = quoted(node.text)[1:-1]
            said = (
                f"{shown} without quotes",
                "quotes, if it is a text",
                f"quote it: YAML read {shown} as {found.reading}",
            )
            if hidden:
                said = "this value without quotes", "quotes, if it is a text", "quote it"
            self._problems.add("ambiguous", node.start, *said)
            return Broken(node.start)
        return Value(found, node.text, not node.plain, node.start, node.end)

    def _nothing(self, text: str, at: int, what: str) -> None:
        if text:
            shown = f'"{text}"'
            self._problems.add("no_value", at, f"{text} is no value", "a value", f"quote it if it is a text: {shown}")
        else:
            name = what if what == "an item" else quoted(what)
            advice = "is there no space after the colon?" if ":" in what else "take the key out if there is none"
            self._problems.add("no_value", at, f"{name} has no value", "a value", advice)

    def _filled(self, node: Scalar, path: tuple[str, ...]) -> str | None:
        """Return the text with the environment in it, or None when a reference cannot or must not be followed."""
        if _is_expression(node.text, path) and any(one[0] != "$${" for one in _REFERENCE.finditer(node.text)):
            advice = "write the value itself, take it from a column, or make it a whole value: member: ${NAME}"
            self._problems.add("expression", node.start, "${...} inside of an expression", "columns and values", advice)
            return None
        whole = True

        def put(match: re.Match[str]) -> str:
            nonlocal whole
            found = self._looked_up(match, node)
            whole = whole and found is not None
            return found or ""

        text = _REFERENCE.sub(put, node.text)
        return text if whole else None

    def _looked_up(self, match: re.Match[str], node: Scalar) -> str | None:
        if match[0] == "$${":
            return "${"
        at = self._problems.source.text.find(match[0], node.start, node.end)
        at = node.start if at < 0 else at
        name = match["name"]
        if name is None:
            bad = match["bad"] or ""
            if bad.startswith("file:"):
                self._problems.add("file_reference", at, "${file:...} stands outside of credentials", FORMS)
            else:
                shown = "this" if self._problems.source.is_hidden(node.start) else quoted(match[0])
                self._problems.add(
                    "bad_reference", at, f"{shown} is no reference", FORMS, "write $${ for a ${ that stays"
                )
            return None
        found = self._environ.get(name)
        if found is not None and has_half(found):
            # So the system gives bytes that are no UTF-8.
            self._problems.add("variable", at, f"{quoted(name)[1:-1]} in the environment is no UTF-8 text", "UTF-8")
            return None
        if match["sign"] is not None:
            return found or match["default"]
        if found is None:
            self._problems.add(
                "unset_variable",
                at,
                f"the environment has no {quoted(name)[1:-1]}",
                "it to be set, or a default",
                f"export {quoted(name)[1:-1]}=... or write ${{{quoted(name)[1:-1]}:-default}}",
            )
        return found
