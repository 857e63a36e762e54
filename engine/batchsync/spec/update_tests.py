"""Edit what tests of a jobs.yaml expect, as text: nothing else of the file changes, comments included.

The nodes of the parsed file say where each value stands. A value is replaced where it differs, members and items are
added and removed, and the edited text is parsed again and compared before it is returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from batchsync.core.mapping_test import json_text, member_differences
from batchsync.errors import UsageError
from batchsync.spec.scalars import value_or_text
from batchsync.spec.yaml_text import entry_text, flow_text, quoted_text, scalar_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ruamel.yaml.nodes import Node

    from batchsync.core.mapping_test import Json

#: Keys of a test that say what is expected.
KEYS = ("expect", "reason", "left_out")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test shall expect.

    Attributes:
        job: Name of the job.
        index: Position of the test, from 0.
        values: Value by key, of those in `KEYS`.
    """

    job: str
    index: int
    values: dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Edit:
    """A part of the text to replace."""

    start: int
    end: int
    text: str


def with_expectations(text: str, expectations: Sequence[Expectation]) -> str:
    """Return the text of a jobs.yaml in which tests expect something else.

    Args:
        text: The text, without byte order mark.
        expectations: What tests shall expect.

    Raises:
        UsageError: If a test is not where it was, or the edited text would not mean the same elsewhere.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    root = YAML().compose(StringIO(text))
    edits: list[_Edit] = []
    for item in expectations:
        node = _test_node(root, item)
        edits += _Editor(text).test(node, item.values)
    for edit in sorted(edits, key=lambda found: found.start, reverse=True):
        text_of = edit.text.replace("\n", newline)
        text = text[: edit.start] + text_of + text[edit.end :]
    _check(root, text, expectations)
    return text


def _test_node(root: Node | None, item: Expectation) -> MappingNode:
    """Return the node of a test.

    Raises:
        UsageError: If it is not there.
    """
    node: Any = root
    for key in ("jobs", item.job, "tests"):
        node = _value(node, key)
    if not isinstance(node, SequenceNode) or item.index >= len(node.value):
        raise _moved(item)
    found = node.value[item.index]
    if not isinstance(found, MappingNode):
        raise _moved(item)
    return found


def _moved(item: Expectation) -> UsageError:
    return UsageError(
        f"the tests of job {item.job} were changed meanwhile; nothing was written",
        hint="run `batchsync test --update` again",
    )


def _value(node: Any, key: str) -> Any:
    """Return the value of a key of a mapping; None if there is none."""
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)


def _end(node: Node) -> int:
    """Return the index after the last character of a node, without comments and line breaks after it."""
    while isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    index: int = node.end_mark.index
    return index


@dataclass(frozen=True, slots=True)
class _Editor:
    """Edits of one text."""

    text: str

    def test(self, node: MappingNode, values: dict[str, Json]) -> list[_Edit]:
        """Return the edits that make a test expect these values."""
        present = [(key, value) for key, value in node.value if key.value in KEYS]
        kept = [(key, value) for key, value in present if key.value in values]
        gone = [(key, value) for key, value in present if key.value not in values]
        new = [name for name in values if name not in {key.value for key, _ in kept}]
        edits: list[_Edit] = []
        for key, value in kept:
            edits += self.change(value, values[key.value])
        for (key, value), name in zip(gone, new, strict=False):
            edits.append(_Edit(key.start_mark.index, self._last(value), self._entry(node, name, values[name])))
        for key, value in gone[len(new) :]:
            edits.append(self._without(node, key, value))
        if rest := new[len(gone) :]:
            edits.append(self._added(node, [(name, values[name]) for name in rest]))
        return edits

    def change(self, node: Node, value: Json) -> list[_Edit]:
        """Return the edits that give a node another value; parts that are equal stay as they are."""
        if isinstance(node, MappingNode) and isinstance(value, dict) and node.value and value:
            return self._change_members(node, value)
        if isinstance(node, SequenceNode) and isinstance(value, list) and len(node.value) == len(value):
            return [edit for item, inner in zip(node.value, value, strict=True) for edit in self.change(item, inner)]
        if isinstance(node, ScalarNode) and not isinstance(value, dict | list):
            if _means(node, value):
                return []
            quotes = node.style in ("'", '"') and isinstance(value, str)
            return [
                _Edit(
                    node.start_mark.index, self._last(node), quoted_text(str(value)) if quotes else scalar_text(value)
                )
            ]
        return [_Edit(node.start_mark.index, self._last(node), flow_text(value))]

    def _change_members(self, node: MappingNode, value: dict[str, Json]) -> list[_Edit]:
        edits: list[_Edit] = []
        names = {key.value for key, _ in node.value}
        if not names & value.keys():
            return [_Edit(node.start_mark.index, self._last(node), flow_text(value))]
        for key, inner in node.value:
            if key.value in value:
                edits += self.change(inner, value[key.value])
            else:
                edits.append(self._without(node, key, inner))
        if new := [(name, item) for name, item in value.items() if name not in names]:
            edits.append(self._added(node, new))
        return edits

    def _added(self, node: MappingNode, entries: Sequence[tuple[str, Json]]) -> _Edit:
        """Return the edit that adds entries at the end of a mapping."""
        end = self._last(node.value[-1][1])
        if node.flow_style:
            return _Edit(end, end, "".join(f", {scalar_text(name)}: {flow_text(value)}" for name, value in entries))
        line_end = self._line_end(end)
        margin = "\n" + " " * node.start_mark.column
        return _Edit(line_end, line_end, "".join(margin + self._entry(node, name, value) for name, value in entries))

    def _entry(self, node: MappingNode, name: str, value: Json) -> str:
        """Return an entry of a mapping in its style."""
        if node.flow_style:
            return f"{scalar_text(name)}: {flow_text(value)}"
        return entry_text(name, value, node.start_mark.column)

    def _without(self, node: MappingNode, key: Node, value: Node) -> _Edit:
        """Return the edit that removes an entry of a mapping that keeps others."""
        start, end = key.start_mark.index, self._last(value)
        position = next(number for number, pair in enumerate(node.value) if pair[0] is key)
        if node.flow_style:
            if position:
                return _Edit(self._last(node.value[position - 1][1]), end, "")
            return _Edit(start, node.value[1][0].start_mark.index, "")
        if position == 0:
            # The first key of an item of a list stands in the line of its dash.
            return _Edit(start, node.value[1][0].start_mark.index, "")
        begin = self.text.rfind("\n", 0, start)
        return _Edit(begin, self._line_end(end), "")

    def _last(self, node: Node) -> int:
        """Return the index after a node; the line breaks of a block scalar are not part of it."""
        end = _end(node)
        while end > node.start_mark.index and self.text[end - 1] in " \t\r\n":
            end -= 1
        return end

    def _line_end(self, index: int) -> int:
        """Return the index of the end of a line, after its comment."""
        found = self.text.find("\n", index)
        end = len(self.text) if found < 0 else found
        return end - 1 if end > index and self.text[end - 1] == "\r" else end


def _means(node: ScalarNode, value: Json) -> bool:
    """Return whether a scalar has a value already."""
    found = node.value.replace("$${", "${") if node.style else value_or_text(node.value)
    return not list(member_differences(found, value))


def _check(before: Node | None, text: str, expectations: Sequence[Expectation]) -> None:
    """Check that an edited text has the values, and that everything else is as before.

    Raises:
        UsageError: If not; the text must not be written.
    """
    after = YAML().compose(StringIO(text))
    edited = {(item.job, item.index): item for item in expectations}
    former, found = (_plain(root) for root in (before, after))
    for item in edited.values():
        tests = [tree["jobs"][item.job]["tests"][item.index] for tree in (former, found)]
        stated = {key: tests[1][key] for key in KEYS if key in tests[1]}
        for test in tests:
            for key in KEYS:
                test.pop(key, None)
        if stated.keys() != item.values.keys() or any(
            True for key in stated for _ in member_differences(stated[key], item.values[key])
        ):
            raise _unsafe(item)
    if json_text(former) != json_text(found):
        raise _unsafe(next(iter(edited.values())))


def _unsafe(item: Expectation) -> UsageError:
    return UsageError(
        f"the tests of job {item.job} cannot be edited without changing the rest of the file; nothing was written",
        hint="write each key of these tests in a line of its own, or edit them by hand",
    )


def _plain(node: Any) -> Any:
    """Return a node as plain values; texts without quotes have the type that jobs.yaml gives them."""
    if isinstance(node, MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return node.value.replace("$${", "${") if node.style else value_or_text(node.value)
