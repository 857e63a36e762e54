"""Normalize a file of jobs: order of keys, indentation, quotes, blank lines. Comments are kept, the meaning is proven.

Keys are moved as lines of text, with the comments above them; ruamel.yaml then writes the indentation.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

from batchsync.errors import Problem, SpecError
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import Map, Scalar, Seq, read_tree
from batchsync.spec.models import DocumentModel, JobModel
from batchsync.spec.models_connection import ConnectionModel
from batchsync.spec.models_source import SourceModel
from batchsync.spec.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.spec.located_yaml import Entry, Node

_WIDTH = 1_000_000
_INDENT = {"mapping": 2, "sequence": 4, "offset": 2}
_COMMENT = re.compile(r"(?:^|(?<=[\s,\[\]{}]))#[^\n]*")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
#: Number of passes until nothing changes any more.
_PASSES = 4
#: First keys in their order; those of the models follow.
_TOP = ("version", "include", "defaults", "environments", "connections", "jobs")
_JOB = (
    "tags",
    "suspend",
    "source",
    "target",
    "mode",
    "record",
    "results",
    "send",
    "on_removed",
    "on_null",
    "allow_unknown",
    "depends_on",
    "schedule",
    "guards",
    "budget",
)


class _NoTypes(VersionedResolver):
    """Resolver for which every scalar is a string, so that it is written as it was."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a node."""
        return self.DEFAULT_SCALAR_TAG if kind is ScalarNode else super().resolve(kind, value, implicit)


def format_text(file: str, text: str) -> str:
    """Return the normalized text of a file of jobs.

    Args:
        file: Path of the file, for messages.
        text: Its text.

    Raises:
        SpecError: If it is no valid YAML of a jobs file, or cannot be formatted without changing its meaning.
    """
    before = _parsed(file, text)
    formatted = text
    for _ in range(_PASSES):
        last, formatted = formatted, _formatted_once(file, formatted)
        if formatted == last:
            break
    same = formatted == last and _meaning(_parsed(file, formatted)) == _meaning(before)
    if not same or _comments(file, formatted) != _comments(file, text):
        message = "the file cannot be formatted without changing its meaning or comments; it is left as it is"
        problem = Problem(code="spec.format", message=message, file=file, suggestion="write it in a simpler form")
        raise SpecError((problem,))
    return formatted


def _formatted_once(file: str, text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    text = "\n".join(_reordered(file, lines))
    loader = YAML()
    loader.Resolver = _NoTypes
    loader.preserve_quotes = True
    loader.width = _WIDTH
    loader.indent(**_INDENT)
    try:
        tree = loader.load(text)
        stream = io.StringIO()
        loader.dump(_with_double_quotes(tree), stream)
    except Exception:  # noqa: BLE001 - on unusual text ruamel.yaml raises many kinds of exceptions
        return text
    written = stream.getvalue()
    for pattern, replacement in ((_TRAILING, ""), (_BLANK_LINES, "\n\n")):
        shorter = pattern.sub(replacement, written)
        if _meaning(_parsed(file, shorter)) == _meaning(_parsed(file, written)):
            written = shorter
    tidied = _with_aligned_comments(file, written)
    if _meaning(_parsed(file, tidied)) == _meaning(_parsed(file, written)):
        written = tidied
    return written.strip("\n") + "\n"


def _parsed(file: str, text: str) -> Node:
    """Return the tree of a text.

    Raises:
        SpecError: If it is not valid.
    """
    problems = Problems(LocatedText(file, text))
    tree = read_tree(problems)
    if tree is None or len(problems):
        raise SpecError(problems.sorted())
    return tree


def _meaning(node: Node | None, path: tuple[str, ...] = ()) -> object:
    """Return what a tree means: texts, whether they are quoted, and the order of keys where it matters."""
    if isinstance(node, Map):
        pairs = [(entry.key, _meaning(entry.value, (*path, entry.key))) for entry in node.entries]
        return dict(pairs) if _order_of(path, node) else pairs
    if isinstance(node, Seq):
        return [_meaning(item, (*path, "-")) for item in node.items]
    return (node.text, node.plain) if isinstance(node, Scalar) else None


def _comments(file: str, text: str) -> Counter[str]:
    """Return the comments of a text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    spans: list[tuple[int, int]] = []
    _add_spans(_parsed(file, text), spans)
    inside = bytearray(len(text) + 1)
    for start, end in spans:
        inside[start:end] = b"\1" * (end - start)
    return Counter(found[0].rstrip() for found in _COMMENT.finditer(text) if not inside[found.start()])


def _with_aligned_comments(file: str, text: str) -> str:
    """Return a text with comments of their own lines indented as the next line, and others after one space."""
    spans: list[tuple[int, int]] = []
    _add_spans(_parsed(file, text), spans)
    inside = bytearray(len(text) + 1)
    for start, end in spans:
        inside[start:end] = b"\1" * (end - start)
    lines: list[str] = []
    at = 0
    for line in text.split("\n"):
        found = next((item for item in _COMMENT.finditer(line) if not inside[at + item.start()]), None)
        code = line[: found.start()].rstrip() if found is not None else line
        lines.append(f"{code} {found[0]}" if found is not None and code.strip() else line)
        at += len(line) + 1
    indent: str | None = None
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if line.lstrip().startswith("#") and indent is not None:
            lines[number] = indent + line.lstrip()
        elif line.strip() and not line.lstrip().startswith("#"):
            indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(lines)


def _add_spans(node: Node, spans: list[tuple[int, int]]) -> None:
    if isinstance(node, Map):
        for entry in node.entries:
            spans.append((entry.start, entry.start + len(entry.key) + 1))  # at least all but a closing quote
            _add_spans(entry.value, spans)
    elif isinstance(node, Seq):
        for item in node.items:
            _add_spans(item, spans)
    elif isinstance(node, Scalar):
        spans.append((node.start, node.end))


def _with_double_quotes(node: Any) -> Any:
    """Return a tree of ruamel.yaml with double quotes for single ones, where neither needs escapes."""
    if isinstance(node, CommentedMap):
        for key in list(node):
            node[key] = _with_double_quotes(node[key])
    elif isinstance(node, CommentedSeq):
        for index, item in enumerate(node):
            node[index] = _with_double_quotes(item)
    elif isinstance(node, SingleQuotedScalarString) and not set('\\"\n') & set(node) and node.isprintable():
        return DoubleQuotedScalarString(node, anchor=node.anchor.value)
    return node


def _order_of(path: tuple[str, ...], node: Map) -> Sequence[str]:
    """Return the order of the keys of a block; empty where the order is the author's, as in records."""
    match path:
        case ():
            return tuple(dict.fromkeys([*_TOP, *DocumentModel.model_fields]))
        case ("defaults",) | ("jobs", _):
            return tuple(dict.fromkeys([*_JOB, *JobModel.model_fields]))
        case ("defaults", "source") | ("jobs", _, "source"):
            return tuple(SourceModel.model_fields)
        case ("connections", _) if any(entry.key == "vendor" for entry in node.entries):
            return tuple(ConnectionModel.model_fields)
        case _:
            return ()


def _reordered(file: str, lines: list[str]) -> list[str]:
    """Return the lines with the keys of known blocks in their order."""
    source = LocatedText(file, "\n".join(lines))
    problems = Problems(source)
    tree = read_tree(problems)
    if not isinstance(tree, Map) or len(problems):
        return lines
    return _Reordering(source, lines).block(tree, (), 0, len(lines))


class _Reordering:
    """Moves entries of block mappings as lines."""

    def __init__(self, source: LocatedText, lines: list[str]) -> None:
        self._source = source
        self._lines = lines

    def block(self, node: Map, path: tuple[str, ...], begin: int, end: int) -> list[str]:
        """Return the lines from `begin` to `end`, which contain the entries of a mapping, in the order of its keys."""
        rows = [self._source.place(entry.start) for entry in node.entries]
        in_block = all(not self._lines[row.line - 1][: row.column - 1].strip() for row in rows)
        if not rows or not in_block or len({row.line for row in rows}) < len(rows):
            return self._lines[begin:end]
        heads = [self._head(row.line - 1, begin) for row in rows]
        end_of_last = self._end(rows[-1].line, end, rows[-1].column - 1)
        ends = [*heads[1:], end_of_last]
        chunks = {
            entry.key: self._entry(entry, (*path, entry.key), head, row.line, stop)
            for entry, head, row, stop in zip(node.entries, heads, rows, ends, strict=True)
        }
        rank = {key: number for number, key in enumerate(_order_of(path, node))}
        keys = sorted(chunks, key=lambda key: rank.get(key, len(rank))) if rank else list(chunks)
        moved = [line for key in keys for line in chunks[key]]
        return [*self._lines[begin : heads[0]], *moved, *self._lines[end_of_last:end]]

    def _entry(self, entry: Entry, path: tuple[str, ...], head: int, row: int, stop: int) -> list[str]:
        """Return the lines of an entry, whose own mapping is reordered, too."""
        if isinstance(entry.value, Map) and entry.value.entries:
            first = self._source.place(entry.value.entries[0].start).line
            if first > row:
                return [*self._lines[head:row], *self.block(entry.value, path, row, stop)]
        return self._lines[head:stop]

    def _head(self, line: int, begin: int) -> int:
        """Return the first of the comment lines directly above a line."""
        while line > begin and self._lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line

    def _end(self, line: int, end: int, indent: int) -> int:
        """Return the end of the last entry: without blank lines and comments that are indented less."""
        while end > line:
            text = self._lines[end - 1]
            is_outer = text.lstrip().startswith("#") and len(text) - len(text.lstrip()) < indent
            if text.strip() and not is_outer:
                break
            end -= 1
        return end
