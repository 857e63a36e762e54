"""Parse YAML into a tree of keys and scalars with their indices in the text.

Anchors, aliases, tags, merge keys, duplicate keys and multiple documents are refused. Scalars stay strings; `scalars`
converts them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from batchsync.spec.secret_policy import JOBS_FILE, in_connections, may_be_secret_key
from batchsync.spec.yaml_errors import YamlSyntaxError, explain
from batchsync.spec.yaml_parser import may_be_read_by_libyaml, yaml_parser
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.events import Event

    from batchsync.spec.problems import Problems
    from batchsync.spec.secret_policy import SecretPolicy

#: Limits of a file. The parser needs about 20 microseconds per node, so that a refusal takes about a second at most.
BYTES_MAX = 1_000_000
NODES_MAX = 40_000
DEPTH_MAX = 64

_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
#: What may be a comment. YAML wants white space before it, but the parser also takes `}#`.
_COMMENT = re.compile(r"#[^\r\n]*")
#: An anchor, an alias or a tag before its value.
_SIGN = re.compile(r"[&*!][^\s,{}\[\]]*")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar. `plain` is whether it is unquoted; `start` and `end` are indices in the text, including quotes."""

    text: str
    plain: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A value with a reported problem; it is not validated further."""

    start: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; `start` is the index of the key in the text."""

    key: str
    start: int
    value: Node


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping in the order of the file, with unique keys."""

    entries: tuple[Entry, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Seq:
    """A list."""

    items: tuple[Node, ...]
    start: int


Node = Scalar | Map | Seq | Broken


class _OpenNode:
    """A mapping or list that is being parsed."""

    def __init__(self, start: int, path: tuple[str, ...], *, is_map: bool) -> None:
        self.start = start
        self.path = path
        self.is_map = is_map
        self.items: list[Node] = []
        self.entries: dict[str, Entry] = {}
        self.key: Node | None = None

    def below(self) -> tuple[str, ...]:
        """Return the path of the next value; keys that are not scalars are empty strings."""
        if not self.is_map or self.key is None:
            return self.path
        return (*self.path, self.key.text if isinstance(self.key, Scalar) else "")

    def closed(self) -> Node:
        return Map(tuple(self.entries.values()), self.start) if self.is_map else Seq(tuple(self.items), self.start)


class _LimitExceeded(Exception):  # noqa: N818 - private to this module
    """The file exceeds a limit; parsing stops with the problems found so far."""


def read_tree(problems: Problems, secret_policy: SecretPolicy = JOBS_FILE) -> Node | None:
    """Parse the text of `problems.source`.

    Args:
        problems: Receives the problems; its source receives the hidden spans.
        secret_policy: Which scalars are hidden.

    Returns:
        The root of the tree; None after reporting a problem.
    """
    before = len(problems)
    builder = _Builder(problems, secret_policy)
    try:
        for event in _events(problems.source.text):
            builder.take(event)
    except _LimitExceeded:
        problems.source.mask_by_key_names = True
        return None
    except YamlSyntaxError as error:
        problems.source.mask_by_key_names = True
        problems.add("syntax", error.index, error.message, error.expected, error.suggestion)
        return None
    if builder.root is None and len(problems) == before:
        advice = "`batchsync init example` creates a working jobs.yaml in the new folder `example`"
        problems.add("empty", 0, "the file is empty", "version, connections and jobs", advice)
    builder.hide_comments()
    _refuse_tabs(problems, builder.scalars)
    return builder.root


def _events(text: str) -> Iterator[Event]:
    """Yield the events of the parser; every exception of it becomes a YamlSyntaxError."""
    if may_be_read_by_libyaml(text):
        # A text that it refuses is refused again below, with a better message.
        with suppress(Exception):
            yield from tuple(yaml_parser(libyaml=True).parse(text))
            return
    try:
        yield from yaml_parser(libyaml=False).parse(text)
    except Exception as error:  # noqa: BLE001 - on hostile text ruamel.yaml raises many kinds of exceptions
        raise explain(error, text) from None


def _refuse_tabs(problems: Problems, scalars: list[Scalar]) -> None:
    tabs = [match.end() - 1 for match in _TAB_INDENT.finditer(problems.source.text)]
    for index in tabs[:100]:
        if not any(scalar.start < index < scalar.end and not scalar.plain for scalar in scalars):
            problems.add("tab", index, "tab in the indentation", "spaces")


class _Builder:
    """Builds a tree from parser events, without recursion."""

    def __init__(self, problems: Problems, secret_policy: SecretPolicy) -> None:
        self._problems = problems
        self._secret_policy = secret_policy
        self._stack: list[_OpenNode] = []
        #: Gaps between scalars of connections, in which comments are hidden: end of a scalar, start of the next.
        self._gaps: list[tuple[int, int]] = []
        self._ended: int | None = None
        self._nodes = 0
        self._documents = 0
        self.root: Node | None = None
        self.scalars: list[Scalar] = []

    def take(self, event: Event) -> None:
        """Add one event."""
        start = event.start_mark.index
        if isinstance(event, DocumentStartEvent):
            self._document(event, start)
        elif isinstance(event, NodeEvent):
            self._node(event, start)
        elif type(event).__name__ in {"MappingEndEvent", "SequenceEndEvent"}:
            self._place(self._stack.pop().closed())

    def _document(self, event: DocumentStartEvent, start: int) -> None:
        self._documents += 1
        if event.version or event.tags:
            self._problems.add(
                "directive",
                start,
                "YAML directives are not supported",
                "no directives: remove the line that starts with %",
            )
        if self._documents > 1:
            self._problems.add("documents", start, "more than one YAML document", "a single document: remove ---")
            raise _LimitExceeded

    def _node(self, event: NodeEvent, start: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._problems.add(
                "too_many_nodes",
                start,
                f"the file contains more than {NODES_MAX:,} values",
                "a smaller file",
                "split it",
            )
            raise _LimitExceeded
        path = self._stack[-1].below() if self._stack else ()
        if isinstance(event, AliasEvent):
            self._problems.add(
                "alias", start, f"YAML alias{self._sign(path, '*', event)} is not supported", "the value itself"
            )
            self._place(Broken(start))
            return
        refused = self._refused(event, path)
        if isinstance(event, ScalarEvent):
            scalar = Scalar(event.value, not event.style, start, event.end_mark.index)
            self._hide(scalar, path)
            if not scalar.plain:
                self.scalars.append(scalar)
            self._place(Broken(start) if refused else scalar)
            return
        if len(self._stack) >= DEPTH_MAX:
            self._problems.add("too_deep", start, f"nested more than {DEPTH_MAX} levels deep", "fewer levels")
            raise _LimitExceeded
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)  # noqa: S101 - the only other node events
        self._stack.append(_OpenNode(start, path, is_map=isinstance(event, MappingStartEvent)))

    def _hide(self, scalar: Scalar, path: tuple[str, ...]) -> None:
        """Hide a key or value that may be a secret, so that no message shows it."""
        if self._ended is not None:
            self._gaps.append((self._ended, scalar.start))
        parent = self._stack[-1] if self._stack else None
        is_key = parent is not None and parent.is_map and parent.key is None
        here = (*path, scalar.text) if is_key else path
        self._ended = scalar.end if self._secret_policy is JOBS_FILE and in_connections(here) else None
        if (self._secret_policy.key if is_key else self._secret_policy.value)(path, scalar.text):
            self._problems.source.hide(scalar.start, scalar.end)

    def hide_comments(self) -> None:
        """Hide comments among connections; they may contain former secrets."""
        text = self._problems.source.text
        for start, end in [*self._gaps, *([(self._ended, len(text))] if self._ended is not None else [])]:
            for match in _COMMENT.finditer(text, start, end):
                self._problems.source.hide(match.start(), match.end())

    def _refused(self, event: NodeEvent, path: tuple[str, ...]) -> bool:
        """Report an anchor or a tag; return whether the value is unusable, which is so for tags only."""
        start = event.start_mark.index
        if event.anchor is not None:
            self._problems.add(
                "anchor", start, f"YAML anchor{self._sign(path, '&', event)} is not supported", "the value without &"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problems.add(
                "tag", start, f"YAML tag{self._sign(path, '', event)} is not supported", "the value without !"
            )
        return tag is not None

    def _sign(self, path: tuple[str, ...], sign: str, event: NodeEvent) -> str:
        """Return the name of an anchor, alias or tag in parentheses; hide it and return "" if it may be a secret."""
        name = sign + str(event.anchor) if sign else quoted(getattr(event, "tag", ""))[1:-1]
        if not self._secret_policy.value(path, name):
            return f" ({name})"
        source, at = self._problems.source, event.start_mark.index
        while match := _SIGN.match(source.text, at):
            source.hide(at, match.end())
            at = match.end() + len(source.text[match.end() :]) - len(source.text[match.end() :].lstrip(" "))
        return ""

    def _place(self, node: Node) -> None:
        """Add a finished node to its parent."""
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if not parent.is_map:
            parent.items.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            self._entry(parent, parent.key, node)
            parent.key = None

    def _entry(self, parent: _OpenNode, key: Node, value: Node) -> None:
        if isinstance(key, Broken):
            return
        if not isinstance(key, Scalar):
            self._problems.add("key", key.start, "mapping or list as a key", "a string", "quote it if it is a string")
            return
        if key.text == "<<" and key.plain:
            self._problems.add("merge", key.start, "YAML merge key (<<) is not supported", "the keys themselves")
        elif not key.text:
            self._problems.add("key", key.start, "value without a key", "key: value")
        elif "${" in key.text:
            self._problems.add("key_reference", key.start, "${...} reference in a key", "references in values only")
        elif key.text in parent.entries:
            first = self._problems.source.place(parent.entries[key.text].start)
            self._problems.add(
                "duplicate_key",
                key.start,
                f"duplicate key {quoted(key.text)}",
                f"unique keys; first defined in line {first.line}",
            )
        else:
            parent.entries[key.text] = Entry(key.text, key.start, value)
        is_empty = isinstance(value, Scalar) and value.plain and not value.text
        if self._secret_policy is JOBS_FILE and is_empty and may_be_secret_key(parent.path, key.text):
            self._problems.source.hide(key.start, key.end)
