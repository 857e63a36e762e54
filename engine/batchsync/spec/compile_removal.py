"""Compile `on_removed:` into a `Removal`: the record sent for a key that left the source, written or derived.

A removal record can use key columns only, because the row is gone. It must use all of them; otherwise it could identify
records of rows that are still in the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.job import Removal
from batchsync.core.mapping import Array, Each, Expression, Object
from batchsync.spec.check_record import RecordCheck
from batchsync.spec.compile_record import compile_record, places_of
from batchsync.spec.expressions import columns_of, combines_rows
from batchsync.spec.interpolate import TypedMap
from batchsync.spec.models import RemovalModel
from batchsync.spec.problems import Problems
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.mapping import Node, Place
    from batchsync.core.record_schema import RecordSchema
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.spec.interpolate import Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalCompiler:
    """Compiler of the removal of one job.

    Attributes:
        rules: Rules of the vendor.
        schema: Record schema of the target; None if unknown.
        key: Key columns of the job, or its key expression.
        lookup: Whether the job is a lookup.
        since: Whether the job sends rows by `since`.
        chained: Whether the source is another job.
        allow_unknown: Whether records may have members that the record schema lacks.
        problems: Receives the problems.
    """

    rules: VendorRules
    schema: RecordSchema | None
    key: tuple[str, ...] | Expression
    lookup: bool
    since: bool
    chained: bool
    allow_unknown: bool
    problems: Problems

    def compile(self, written: str | RemovalModel, node: Typed, record: Object | None) -> Removal | None:
        """Compile the removal.

        Args:
            written: Validated value of `on_removed`.
            node: The same value with its place.
            record: Record of the job, from which the removal is derived; None if it is invalid.

        Returns:
            The removal; None for `ignore` or after reporting a problem.
        """
        if written == "ignore":
            return None
        mode_node = node.get("mode") if isinstance(node, TypedMap) else node
        at = mode_node.start if mode_node is not None else node.start
        mode = written.mode if isinstance(written, RemovalModel) else written
        if not self._possible(node.start) or not self._mode(mode, at):
            return None
        if isinstance(written, RemovalModel):
            return self._written(mode, node)
        return self._derived(mode, record, at) if record is not None else None

    def _possible(self, at: int) -> bool:
        reason, expected = "", ""
        if self.lookup:
            reason, expected = "a lookup cannot remove", "no on_removed"
        elif self.since:
            reason, expected = (
                "send: {since: ...} cannot detect keys that left the source",
                "send: changed, or on_removed: ignore",
            )
        elif self.chained:
            reason, expected = (
                "the results of another job are incomplete: a missing key may just not have been looked up again",
                "on_removed: ignore",
            )
        elif isinstance(self.key, Expression):
            reason, expected = (
                "an expression key cannot be resolved to columns",
                "key: columns, or on_removed: ignore",
            )
        if reason:
            self.problems.add("on_removed", at, f'"on_removed": {reason}', expected)
        return not reason

    def _mode(self, mode: str, at: int) -> bool:
        known = [item for item in self.rules.removal_modes if self.schema is None or item in self.schema.modes]
        if mode in known:
            return True
        owner = f"{self.rules.name} {self.schema.name}" if self.schema else self.rules.name
        expected = one_of(["ignore", *known])
        self.problems.add(
            "on_removed",
            at,
            f"{owner} does not support removal mode {quoted(mode)}",
            expected,
            self.problems.suggest(mode, ["ignore", *known]),
        )
        return False

    def _written(self, mode: str, node: Typed) -> Removal | None:
        tree = node.entry("record") if isinstance(node, TypedMap) else None
        if tree is None:
            return None
        record = compile_record(tree.value, self.problems)
        if record is None:
            return None
        self._check(record, mode, self.problems, places_of(tree.value, tree.start, self.problems))
        has_other_columns = False
        for expression in _expressions(record):
            other_columns = sorted((columns_of(expression.sql) or frozenset()) - set(self._columns()))
            if other_columns:
                has_other_columns = True
                self.problems.add(
                    "on_removed",
                    expression.place,
                    f"{quoted(other_columns[0])} is not a key column; removal records can use key columns only",
                    one_of(self._columns()),
                )
        return (
            Removal(mode=mode, record=record) if has_other_columns or self._uses_whole_key(record, tree.start) else None
        )

    def _derived(self, mode: str, record: Object, at: int) -> Removal | None:
        """Return a removal with the members of the record that the mode supports and that use key columns only."""
        allowed = self.schema.fields_in.get(mode) if self.schema is not None else None
        members = tuple(
            (name, item)
            for name, item in record.members
            if (allowed is None or name in allowed) and self._uses_key_only(item)
        )
        found = Object(members, record.place)
        discarded = Problems(self.problems.source)
        self._check(found, mode, discarded, {})
        if self.problems.covers(discarded):
            # The members are wrong in themselves, which is reported.
            return None
        if not any(_expressions(found)) or len(discarded):
            example = f"on_removed: {{mode: {mode}, record: {{...: ={self._columns()[0]}}}}}"
            self.problems.add(
                "on_removed",
                at,
                f"key columns alone ({', '.join(self._columns())}) are not enough for a record of mode {mode}",
                "members of `record` that use key columns only",
                f"or write the record: {example}",
            )
            return None
        return Removal(mode=mode, record=found) if self._uses_whole_key(found, at) else None

    def _uses_whole_key(self, record: Object, at: int) -> bool:
        """Return whether the record uses every key column; report a problem if not."""
        columns = [columns_of(expression.sql) for expression in _expressions(record)]
        used = frozenset[str]().union(*(item for item in columns if item is not None))
        unused = [column for column in self._columns() if column not in used]
        if not unused or None in columns:
            return True
        kept = [column for column in self._columns() if column in used]
        self.problems.add(
            "on_removed",
            at,
            f"the removal record does not use key column {quoted(unused[0])}: it could remove records of rows that "
            "are still in the source",
            f"a record that uses every key column ({', '.join(self._columns())})",
            f"or key: {_as_key(kept)}, if that alone is unique" if kept else "",
        )
        return False

    def _check(self, record: Object, mode: str, problems: Problems, places: dict[tuple[str, ...], Place]) -> None:
        if self.schema is None:
            return
        flat = self.rules.file.format.value == "csv"
        RecordCheck(
            schema=self.schema,
            mode=mode,
            flat=flat,
            problems=problems,
            places=places,
            allow_unknown=self.allow_unknown,
        ).check(record)

    def _uses_key_only(self, node: Node) -> bool:
        """Return whether a member uses key columns only."""
        for expression in _expressions(node):
            used = columns_of(expression.sql)
            if used is None or not used <= set(self._columns()) or combines_rows(expression.sql):
                return False
        return True

    def _columns(self) -> tuple[str, ...]:
        return () if isinstance(self.key, Expression) else self.key


def _as_key(columns: list[str]) -> str:
    return columns[0] if len(columns) == 1 else f"[{', '.join(columns)}]"


def _expressions(node: Node) -> Iterator[Expression]:
    if isinstance(node, Expression):
        yield node
    elif isinstance(node, Object):
        for _, item in node.members:
            yield from _expressions(item)
    elif isinstance(node, Array):
        for item in node.items:
            yield from _expressions(item)
    elif isinstance(node, Each):
        yield from _expressions(node.item)
        yield from node.order
