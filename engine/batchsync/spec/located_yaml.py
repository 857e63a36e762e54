"""Reads YAML into a tree in which every key and value knows its place, and refuses what could surprise or explode.

It does not know what the file is about; values are texts here, and what they stand for is decided in `scalars`.
Anchors, aliases, tags, merge keys, duplicate keys and further documents are refused, each at its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from lading.spec.secrecy import JOBS_FILE, in_connections, names_nothing
from lading.spec.suggest import quoted
from lading.spec.yaml_words import SyntaxTrouble, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.events import Event

    from lading.spec.problems import Problems
    from lading.spec.secrecy import Secrecy

#: Limits on what is read at all. The parser needs about 20 microseconds a node: within these a refusal takes a second.
BYTES_MAX = 1_000_000
NODES_MAX = 40_000
DEPTH_MAX = 64

_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
#: What may be a comment. YAML wants white space before it, but the parser also takes `}#`.
_COMMENT = re.compile(r"#[^\r\n]*")
#: An anchor, an alias or a tag before what it belongs to.
_SIGN = re.compile(r"[&*!][^\s,{}\[\]]*")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as written. `plain` is without quotes; `start` and `end` are indices of the text, quotes included."""

    text: str
    plain: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that was complained about already; nobody needs to look at it again."""

    start: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; `start` is the index of the key."""

    key: str
    start: int
    value: Node


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping in the order written, keys unique."""

    entries: tuple[Entry, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Seq:
    """A list."""

    items: tuple[Node, ...]
    start: int


Node = Scalar | Map | Seq | Broken


class _Open:
    """A mapping or a list that is being read."""

    def __init__(self, start: int, path: tuple[str, ...], *, is_map: bool) -> None:
        self.start = start
        self.path = path
        self.is_map = is_map
        self.items: list[Node] = []
        self.entries: dict[str, Entry] = {}
        self.key: Node | None = None

    def below(self) -> tuple[str, ...]:
        """Return the keys above what comes now; a key that is none has no name."""
        if not self.is_map or self.key is None:
            return self.path
        return (*self.path, self.key.text if isinstance(self.key, Scalar) else "")

    def closed(self) -> Node:
        return Map(tuple(self.entries.values()), self.start) if self.is_map else Seq(tuple(self.items), self.start)


class _TooMuch(Exception):  # noqa: N818 - it never leaves this file
    """The file is beyond a limit; what was found so far is all that will be said."""


def read_tree(problems: Problems, secrecy: Secrecy = JOBS_FILE) -> Node | None:
    """Return the root of the text that `problems` is about, or None when there is none that could be used."""
    before = len(problems)
    builder = _Builder(problems, secrecy)
    try:
        for event in _events(problems.source.text):
            builder.take(event)
    except _TooMuch:
        problems.source.by_name = True
        return None
    except SyntaxTrouble as trouble:
        problems.source.by_name = True
        problems.add("syntax", trouble.index, trouble.message, trouble.expected, trouble.suggestion)
        return None
    if builder.root is None and len(problems) == before:
        advice = "`lading init example` writes one to start from into a new folder, example"
        problems.add("empty", 0, "the file is empty", "version, connections and jobs", advice)
    builder.hide_comments()
    _refuse_tabs(problems, builder.scalars)
    return builder.root


def _events(text: str) -> Iterator[Event]:
    """Yield the parser's events; whatever goes wrong in it is a SyntaxTrouble."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except Exception as error:  # noqa: BLE001 - hostile text makes the YAML library slip in many ways; each is a syntax error
        raise explained(error, text) from None


def _refuse_tabs(problems: Problems, scalars: list[Scalar]) -> None:
    tabs = [match.end() - 1 for match in _TAB_INDENT.finditer(problems.source.text)]
    for index in tabs[:100]:
        if not any(one.start < index < one.end and not one.plain for one in scalars):
            problems.add("tab", index, "a tab", "spaces: YAML indents with spaces only")


class _Builder:
    """Puts events together into a tree, without recursion."""

    def __init__(self, problems: Problems, secrecy: Secrecy) -> None:
        self._problems = problems
        self._secrecy = secrecy
        self._stack: list[_Open] = []
        #: Where a text ended below which comments are hidden, and where the next one began.
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
            self._problems.add("directive", start, "a YAML directive", "none: take the line with the % out")
        if self._documents > 1:
            self._problems.add("documents", start, "a second YAML document", "one document: take the --- out")
            raise _TooMuch

    def _node(self, event: NodeEvent, start: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._problems.add(
                "too_many_nodes", start, f"the file holds more than {NODES_MAX:,} values", "a smaller file", "split it"
            )
            raise _TooMuch
        path = self._stack[-1].below() if self._stack else ()
        if isinstance(event, AliasEvent):
            self._problems.add(
                "alias", start, f"an alias{self._sign(path, '*', event)}", "the value itself, written out"
            )
            self._place(Broken(start))
            return
        refused = self._refused(event, path)
        if isinstance(event, ScalarEvent):
            scalar = Scalar(event.value, event.style is None, start, event.end_mark.index)
            self._hide(scalar, path)
            if not scalar.plain:
                self.scalars.append(scalar)
            self._place(Broken(start) if refused else scalar)
            return
        if len(self._stack) >= DEPTH_MAX:
            self._problems.add("too_deep", start, f"more than {DEPTH_MAX} levels, one inside the other", "fewer levels")
            raise _TooMuch
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)  # noqa: S101 - there is no other kind of node event
        self._stack.append(_Open(start, path, is_map=isinstance(event, MappingStartEvent)))

    def _hide(self, scalar: Scalar, path: tuple[str, ...]) -> None:
        """Hide a key or a value that no error may show, whatever else is wrong with it."""
        if self._ended is not None:
            self._gaps.append((self._ended, scalar.start))
        around = self._stack[-1] if self._stack else None
        is_key = around is not None and around.is_map and around.key is None
        here = (*path, scalar.text) if is_key else path
        self._ended = scalar.end if self._secrecy is JOBS_FILE and in_connections(here) else None
        if (self._secrecy.key if is_key else self._secrecy.value)(path, scalar.text):
            self._problems.source.hide(scalar.start, scalar.end)

    def hide_comments(self) -> None:
        """Hide comments among connections: an old secret may stand there."""
        text = self._problems.source.text
        for start, end in [*self._gaps, *([(self._ended, len(text))] if self._ended is not None else [])]:
            for match in _COMMENT.finditer(text, start, end):
                self._problems.source.hide(match.start(), match.end())

    def _refused(self, event: NodeEvent, path: tuple[str, ...]) -> bool:
        """Complain about an anchor or a tag. A tagged value is of no use; an anchored one is."""
        start = event.start_mark.index
        if event.anchor is not None:
            self._problems.add(
                "anchor", start, f"an anchor{self._sign(path, '&', event)}", "the value alone, without &"
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problems.add("tag", start, f"a YAML tag{self._sign(path, '', event)}", "the value alone, without !")
        return tag is not None

    def _sign(self, path: tuple[str, ...], sign: str, event: NodeEvent) -> str:
        """Return the name of an anchor, an alias or a tag in brackets, or hide it where it may be a secret."""
        name = sign + str(event.anchor) if sign else quoted(getattr(event, "tag", ""))[1:-1]
        if not self._secrecy.value(path, name):
            return f" ({name})"
        source, at = self._problems.source, event.start_mark.index
        while match := _SIGN.match(source.text, at):
            source.hide(at, match.end())
            at = match.end() + len(source.text[match.end() :]) - len(source.text[match.end() :].lstrip(" "))
        return ""

    def _place(self, node: Node) -> None:
        """Put a finished node where it belongs."""
        if not self._stack:
            self.root = node
            return
        around = self._stack[-1]
        if not around.is_map:
            around.items.append(node)
        elif around.key is None:
            around.key = node
        else:
            self._entry(around, around.key, node)
            around.key = None

    def _entry(self, around: _Open, key: Node, value: Node) -> None:
        if isinstance(key, Broken):
            return
        if not isinstance(key, Scalar):
            self._problems.add("key", key.start, "a mapping or a list as a key", "a name", "quote it if it is one")
            return
        if key.text == "<<" and key.plain:
            self._problems.add("merge", key.start, "a merge key (<<)", "the keys themselves, written out")
        elif not key.text:
            self._problems.add("key", key.start, "a value without a key", "key: value")
        elif "${" in key.text:
            self._problems.add("key_reference", key.start, "a ${...} reference in a key", "references in values only")
        elif key.text in around.entries:
            first = self._problems.source.place(around.entries[key.text].start)
            self._problems.add(
                "duplicate_key",
                key.start,
                f"{quoted(key.text)} stands here twice",
                f"one; the other is in line {first.line}",
            )
        else:
            around.entries[key.text] = Entry(key.text, key.start, value)
        nothing = isinstance(value, Scalar) and value.plain and not value.text
        if self._secrecy is JOBS_FILE and nothing and names_nothing(around.path, key.text):
            self._problems.source.hide(key.start, key.end)
