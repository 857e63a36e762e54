"""Substitution of `${VAR}` and `${VAR:-default}` by environment variables, and conversion of scalars to typed values.

Credentials, proxies, and URLs and passwords of databases are left as written; they are resolved when they are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.source_path import UNREAD
from batchsync.spec.located_yaml import Broken, Entry, Map, Scalar, Seq
from batchsync.spec.scalars import AmbiguousScalar, NullScalar, ScalarValue, interpret_scalar, value_or_text
from batchsync.spec.secret_policy import in_connections
from batchsync.spec.surrogates import has_lone_surrogate
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.spec.located_yaml import Node
    from batchsync.spec.problems import Problems

#: `$${` is an escaped `${`. Any other `${` must start a complete reference.
_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<sign>:-(?P<default>[^}]*))?\}|(?P<bad>[^}]{0,60}\}?))"
)
FORMS = "${NAME} or ${NAME:-default}"
#: Keys of a connection whose values are or contain references to secrets.
_OF_REFERENCES = {("credentials",), ("proxy",), ("url",), ("password",)}
#: The same of alerts and of a channel.
_OF_ALERTS = {"ping", "proxy", "url", "secret", "user", "password", "apprise"}
#: Keys of a job whose values are SQL of a database, or names in it.
_OF_QUERIES = (
    ("source", "query"),
    ("source", "table"),
    ("source", "dbt", "model"),
    ("source", "join", "query"),
    ("source", "join", "table"),
    ("source", "join", "dbt", "model"),
)


@dataclass(frozen=True, slots=True)
class Value:
    """A typed scalar. `raw` is the text as written, before substitution; `quoted` is whether it is in quotes."""

    value: ScalarValue
    raw: str
    quoted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TypedMap:
    """A mapping with typed values."""

    entries: tuple[TypedEntry, ...]
    start: int
    _by_key: dict[str, TypedEntry] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the entries by key; blocks may be large."""
        self._by_key.update({item.key: item for item in self.entries})

    def entry(self, key: str) -> TypedEntry | None:
        """Return the entry of that key, or None."""
        return self._by_key.get(key)

    def get(self, key: str) -> Typed | None:
        """Return the value of that key, or None."""
        found = self.entry(key)
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class TypedEntry:
    """A key with its typed value; `start` is the index of the key in the text."""

    key: str
    start: int
    value: Typed


@dataclass(frozen=True, slots=True)
class TypedSeq:
    """A list with typed items."""

    items: tuple[Typed, ...]
    start: int


Typed = Value | TypedMap | TypedSeq | Broken


def _is_expression(text: str, path: tuple[str, ...]) -> bool:
    """Return whether a text is SQL: a condition, a query, or a part of a record or a key with a single `=`."""
    below_job = path[2:] if path[:1] == ("jobs",) else ()
    if below_job in {("source", "where"), *_OF_QUERIES}:
        return True
    in_scope = below_job[:1] == ("record",) or below_job[:2] in {("on_removed", "record"), ("source", "key")}
    return in_scope and text.startswith("=") and not text.startswith("==")


class Resolver:
    """Converts a YAML tree to typed values, with environment variables substituted."""

    def __init__(self, environ: Mapping[str, str] | None, problems: Problems) -> None:
        """Keep the environment variables and the receiver of problems.

        Args:
            environ: Environment variables; None to read none: defaults and placeholders stand in.
            problems: Receives the problems, and what was substituted, which no message may show.
        """
        self._environ = environ
        self._problems = problems

    def resolve(self, node: Node, path: tuple[str, ...] = ()) -> Typed:
        """Return the node with typed values; invalid values are reported and become Broken."""
        if isinstance(node, Map):
            return self.resolve_map(node, path)
        if isinstance(node, Seq):
            return TypedSeq(tuple(self.resolve(item, path) for item in node.items), node.start)
        return self._scalar(node, path) if isinstance(node, Scalar) else node

    def resolve_map(self, node: Map, path: tuple[str, ...] = ()) -> TypedMap:
        """Return a mapping with typed values, as `resolve` does; never Broken."""
        return TypedMap(tuple(self._entry(item, path) for item in node.entries), node.start)

    def _entry(self, entry: Entry, path: tuple[str, ...]) -> TypedEntry:
        if (
            isinstance(entry.value, Scalar)
            and entry.value.plain
            and isinstance(interpret_scalar(entry.value.text), NullScalar)
        ):
            # An empty value has no text, so the caret points at its key.
            self._report_null(entry.value.text, entry.value.start if entry.value.text else entry.start, entry.key)
            return TypedEntry(entry.key, entry.start, Broken(entry.start))
        return TypedEntry(entry.key, entry.start, self.resolve(entry.value, (*path, entry.key)))

    def _scalar(self, node: Scalar, path: tuple[str, ...]) -> Typed:
        # Hidden values are not substituted: their place is refused anyway, and no message may contain them.
        hidden = self._problems.source.is_hidden(node.start)
        credential = path[:1] == ("connections",) and path[2:3] in _OF_REFERENCES
        credential = credential or (path[:1] == ("alerts",) and path[-1] in _OF_ALERTS)
        if credential or (hidden and in_connections(path) and path[2:3] != ("base_url",)):
            return Value(node.text, node.text, not node.plain, node.start, node.end)
        filled = self._substituted(node, path)
        if filled is None:
            return Broken(node.start)
        if not node.plain or "${" in node.text:
            value = filled if not node.plain else value_or_text(filled)
            return Value(value, node.text, not node.plain, node.start, node.end)
        found = interpret_scalar(node.text)
        if isinstance(found, NullScalar):
            self._report_null(node.text, node.start, "an item")
            return Broken(node.start)
        if isinstance(found, AmbiguousScalar):
            shown = quoted(node.text)[1:-1]
            message = (
                f"ambiguous unquoted value {shown}",
                "quotes, if it is a string",
                f"quote it: some YAML parsers read {shown} as {found.reading}",
            )
            if hidden:
                message = "ambiguous unquoted value", "quotes, if it is a string", "quote it"
            self._problems.add("ambiguous", node.start, *message)
            return Broken(node.start)
        return Value(found, node.text, not node.plain, node.start, node.end)

    def _report_null(self, text: str, at: int, owner: str) -> None:
        if text:
            shown = f'"{text}"'
            self._problems.add("no_value", at, f"null value {text}", "a value", f"quote it if it is a string: {shown}")
        else:
            name = owner if owner == "an item" else quoted(owner)
            advice = "is the space after the colon missing?" if ":" in owner else "remove the key if it has no value"
            self._problems.add("no_value", at, f"{name} has no value", "a value", advice)

    def _substituted(self, node: Scalar, path: tuple[str, ...]) -> str | None:
        """Return the text with references substituted; None if a reference is invalid, unset or not allowed."""
        if _is_expression(node.text, path) and any(item[0] != "$${" for item in _REFERENCE.finditer(node.text)):
            if path[2:] in _OF_QUERIES:
                message = f'"{path[-1]}" with ${{...}}, which never becomes SQL', "the SQL itself, or the name"
                self._problems.add("query", node.start, *message, "give each environment a connection of its own")
                return None
            advice = "write the value itself, use a column, or use the reference as a whole value: member: ${NAME}"
            self._problems.add("expression", node.start, "${...} inside an expression", "columns and literals", advice)
            return None
        is_complete = True

        def substitute(match: re.Match[str]) -> str:
            nonlocal is_complete
            found = self._lookup(match, node)
            is_complete = is_complete and found is not None
            return found or ""

        text = _REFERENCE.sub(substitute, node.text)
        if not is_complete:
            return None
        if self._environ is not None and any(
            self._environ.get(item["name"] or "") for item in _REFERENCE.finditer(node.text)
        ):
            self._problems.hide(node.start, text, node.text)
        return text

    def _lookup(self, match: re.Match[str], node: Scalar) -> str | None:
        if match[0] == "$${":
            return "${"
        at = self._problems.source.text.find(match[0], node.start, node.end)
        at = node.start if at < 0 else at
        name = match["name"]
        if name is None:
            self._report_reference(match, node, at)
            return None
        if self._environ is None:
            if match["sign"] is None:
                self._problems.unchecked.add(node.start)
            return UNREAD if match["sign"] is None else match["default"]
        found = self._environ.get(name)
        if found:
            self._problems.values[found] = match[0]
        if found is not None and has_lone_surrogate(found):
            # Python decodes bytes that are not UTF-8 to lone surrogates.
            self._problems.add("variable", at, f"environment variable {quoted(name)[1:-1]} is not valid UTF-8", "UTF-8")
            return None
        if match["sign"] is not None:
            return found or match["default"]
        if found is None:
            self._problems.add(
                "unset_variable",
                at,
                f"environment variable {quoted(name)[1:-1]} is not set",
                "a value, or a default in jobs.yaml",
                f"export {quoted(name)[1:-1]}=... or write ${{{quoted(name)[1:-1]}:-default}}",
            )
        return found

    def _report_reference(self, match: re.Match[str], node: Scalar, at: int) -> None:
        """Report what begins like a reference and is none."""
        if (match["bad"] or "").startswith("file:"):
            self._problems.add("file_reference", at, "${file:...} outside of credentials", FORMS)
            return
        shown = "" if self._problems.source.is_hidden(node.start) else f" {quoted(match[0])}"
        self._problems.add("bad_reference", at, f"invalid reference{shown}", FORMS, "write $${ for a literal ${")
