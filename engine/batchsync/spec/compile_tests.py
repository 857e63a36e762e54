"""Compile `tests:` of a job into `MappingTest` values, and report what contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.mapping import Expression
from batchsync.core.mapping_test import Cell, GivenRow, JoinedRows, MappingTest
from batchsync.spec.interpolate import TypedMap, TypedSeq, Value
from batchsync.spec.located_yaml import Broken
from batchsync.spec.model_validator import to_python
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.mapping_test import Json
    from batchsync.spec.interpolate import Typed, TypedEntry
    from batchsync.spec.problems import Problems

_ROW = "a mapping of values by column, or a list of these"
_RECORD = "the record, or a list of records"


def compile_tests(entry: TypedEntry, job: Job | None, problems: Problems) -> tuple[MappingTest, ...]:
    """Return the tests of a job; those with a problem are left out after reporting it.

    Args:
        entry: The entry of the job.
        job: The compiled job; None if it has problems.
        problems: Receives the problems.
    """
    block = entry.value.get("tests") if isinstance(entry.value, TypedMap) else None
    if not isinstance(block, TypedSeq):
        return ()
    compiler = _TestCompiler(job, problems)
    found: list[MappingTest] = []
    names: dict[str, int] = {}
    for index, item in enumerate(block.items):
        test = compiler.compile(item, index) if isinstance(item, TypedMap) else None
        if test is None or not isinstance(item, TypedMap):
            continue
        if test.name in names:
            line = problems.source.place(names[test.name]).line
            message = f"a second test is called {quoted(test.name)}"
            problems.add("test_name", _at(item, "name"), message, f"unique names; the first is in line {line}")
            continue
        names[test.name] = item.start
        found.append(test)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _TestCompiler:
    """Compiles single tests."""

    job: Job | None
    problems: Problems

    def compile(self, node: TypedMap, index: int) -> MappingTest | None:
        """Return a test, or None after reporting a problem."""
        before = len(self.problems)
        name = node.get("name")
        self._check_keys(node)
        test = MappingTest(
            name=str(name.value) if isinstance(name, Value) else "",
            given=compile_rows(node.get("given"), "given", self.problems),
            joined=self._joined(node.get("joined")),
            removed=self._removed(node.get("removed")),
            expect=self._expect(node.get("expect")),
            reasons=self._reasons(node.get("reason")),
            left_out=node.entry("left_out") is not None,
            index=index,
            place=self.problems.source.place(node.start),
        )
        return test if len(self.problems) == before and test.name else None

    def _check_keys(self, node: TypedMap) -> None:
        """Report keys that exclude or need each other."""
        has = {entry.key for entry in node.entries}
        if not {"given", "removed"} & has:
            self._add(node.start, 'the test has neither "given" nor "removed"', "given: {column: value}")
        for name, others in (
            ("removed", ("given", "joined", "reason", "left_out")),
            ("left_out", ("expect", "reason")),
        ):
            for other in others:
                if name in has and other in has:
                    self._add(_at(node, other), f'"{other}" with "{name}"', f"one of {name} and {other}")
        left_out = node.get("left_out")
        if isinstance(left_out, Value) and left_out.value is not True:
            self._add(left_out.start, '"left_out" can only be true', "left_out: true, or expect: the record")

    def _joined(self, node: Typed | None) -> tuple[JoinedRows, ...]:
        if node is None or isinstance(node, Broken):
            return ()
        if not isinstance(node, TypedMap):
            self._add(node.start, '"joined" is not a mapping', "rows by the path or table of the join")
            return ()
        return tuple(
            JoinedRows(
                entry.key,
                compile_rows(entry.value, entry.key, self.problems),
                self.problems.source.place(entry.start),
            )
            for entry in node.entries
        )

    def _removed(self, node: Typed | None) -> tuple[str, ...]:
        """Return the values of the key columns, in their order."""
        if node is None or isinstance(node, Broken):
            return ()
        key = self.job.source.key if self.job is not None else ()
        names = ("key",) if isinstance(key, Expression) else key
        if isinstance(node, TypedMap) and self.job is not None and {item.key for item in node.entries} != set(names):
            self._add(node.start, '"removed" does not name the key columns', ", ".join(names))
            return ()
        items: list[Typed] = [node]
        if isinstance(node, TypedMap):
            items = [item for name in names if (item := node.get(name)) is not None]
        elif isinstance(node, TypedSeq):
            items = list(node.items)
        values = tuple(_text(item) for item in items if isinstance(item, Value))
        if len(values) != len(items) or (self.job is not None and len(values) != len(names)):
            self._add(node.start, '"removed" is no key', f"a value for each key column: {', '.join(names)}")
            return ()
        return values

    def _expect(self, node: Typed | None) -> tuple[Json, ...] | None:
        if node is None or isinstance(node, Broken):
            return None
        items = node.items if isinstance(node, TypedSeq) else (node,)
        for item in items:
            if not isinstance(item, TypedMap | Broken):
                self._add(item.start, '"expect" is no record', _RECORD)
        return tuple(to_python(item) for item in items if isinstance(item, TypedMap) and not _is_broken(item))

    def _reasons(self, node: Typed | None) -> tuple[str, ...]:
        if node is None or isinstance(node, Broken):
            return ()
        items = node.items if isinstance(node, TypedSeq) else (node,)
        found = tuple(_text(item) for item in items if isinstance(item, Value))
        if len(found) != len(items) or not all(found) or not found:
            self._add(node.start, '"reason" is no text', "the reason, a part of it, or a list of reasons")
            return ()
        return found

    def _add(self, at: int, message: str, expected: str) -> None:
        self.problems.add("test", at, message, expected)


def compile_rows(node: Typed | None, name: str, problems: Problems) -> tuple[GivenRow, ...]:
    """Return rows that are written in jobs.yaml, and report what is none.

    Args:
        node: A mapping of values by column, or a list of these.
        name: Name of the key for messages.
        problems: Receives the problems.
    """
    if node is None or isinstance(node, Broken):
        return ()
    items = node.items if isinstance(node, TypedSeq) else (node,)
    if not items:
        problems.add("test", node.start, f"{quoted(name)} has no rows", _ROW)
    rows = []
    for item in items:
        if isinstance(item, TypedMap):
            rows.append(GivenRow(tuple(_cells(item, problems)), problems.source.place(item.start)))
        elif not isinstance(item, Broken):
            problems.add("test", item.start, f"{quoted(name)} holds what is no row", _ROW)
    return tuple(rows)


def _cells(row: TypedMap, problems: Problems) -> list[Cell]:
    """Return the cells of a row, except those with a reported problem."""
    return [
        Cell(
            entry.key,
            to_python(entry.value),
            _text(entry.value) if isinstance(entry.value, Value) else "",
            problems.source.place(entry.start),
        )
        for entry in row.entries
        if not _is_broken(entry.value)
    ]


def _text(value: Value) -> str:
    """Return a value as text: as written, unless it is a text in which references were substituted."""
    return value.value if isinstance(value.value, str) else value.raw


def _is_broken(node: Typed) -> bool:
    """Return whether a value, or one within it, has a reported problem."""
    pending: list[Typed] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, Broken):
            return True
        if isinstance(item, TypedMap):
            pending += [entry.value for entry in item.entries]
        elif isinstance(item, TypedSeq):
            pending += item.items
    return False


def _at(node: TypedMap, key: str) -> int:
    """Return the index of a key, or of the mapping if it has no such key."""
    found = node.entry(key)
    return found.start if found is not None else node.start
