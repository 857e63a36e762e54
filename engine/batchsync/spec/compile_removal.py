"""Makes the Removal of a job: what is sent for a key that left the source, as written or derived from the record.

It does not know rows. A removal knows the key columns alone: the row they came from is gone. It uses all of them, or it
would name records of rows that are still there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.job import Removal
from lading.core.mapping import Array, Each, Expression, Object
from lading.spec.check_record import RecordCheck
from lading.spec.compile_record import compile_record, places_of
from lading.spec.expressions import columns_of
from lading.spec.interpolate import TypedMap
from lading.spec.models import RemovalModel
from lading.spec.problems import Problems
from lading.spec.suggest import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.core.mapping import Node, Place
    from lading.core.record_schema import RecordSchema
    from lading.core.vendor_rules import VendorRules
    from lading.spec.interpolate import Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalCompiler:
    """Everything that a removal of one job depends on. `key` is the job's key columns, or its expression."""

    rules: VendorRules
    schema: RecordSchema | None
    key: tuple[str, ...] | Expression
    lookup: bool
    since: bool
    chained: bool
    problems: Problems

    def compile(self, wish: str | RemovalModel, node: Typed, record: Object | None) -> Removal | None:
        """Return the removal, or None for `ignore` or after a complaint. `node` is what stands at on_removed."""
        if wish == "ignore":
            return None
        mode_node = node.get("mode") if isinstance(node, TypedMap) else node
        at = mode_node.start if mode_node is not None else node.start
        mode = wish.mode if isinstance(wish, RemovalModel) else wish
        if not self._possible(node.start) or not self._mode(mode, at):
            return None
        if isinstance(wish, RemovalModel):
            return self._written(mode, node)
        return self._derived(mode, record, at) if record is not None else None

    def _possible(self, at: int) -> bool:
        why, expected = "", ""
        if self.lookup:
            why, expected = "a lookup removes nothing", "no on_removed"
        elif self.since:
            why, expected = (
                "send: {since: ...} does not see what left the source",
                "send: changed, or on_removed: ignore",
            )
        elif self.chained:
            why, expected = (
                "the answers of another job are no whole source: what is missing there may only not be asked for again",
                "on_removed: ignore",
            )
        elif isinstance(self.key, Expression):
            why, expected = (
                "a key that is an expression cannot be turned back into columns",
                "key: columns, or on_removed: ignore",
            )
        if why:
            self.problems.add("on_removed", at, f'"on_removed": {why}', expected)
        return not why

    def _mode(self, mode: str, at: int) -> bool:
        known = [one for one in self.rules.removal_modes if self.schema is None or one in self.schema.modes]
        if mode in known:
            return True
        what = f"{self.rules.name} {self.schema.name}" if self.schema else self.rules.name
        expected = one_of(["ignore", *known])
        self.problems.add(
            "on_removed",
            at,
            f"{what} cannot be removed by {quoted(mode)}",
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
        strange = False
        for one in _expressions(record):
            beyond = sorted((columns_of(one.sql) or frozenset()) - set(self._columns()))
            if beyond:
                strange = True
                self.problems.add(
                    "on_removed",
                    one.place,
                    f"{quoted(beyond[0])} is no key column, and nothing else is left of the row",
                    one_of(self._columns()),
                )
        return Removal(mode=mode, record=record) if strange or self._of_whole_key(record, tree.start) else None

    def _derived(self, mode: str, record: Object, at: int) -> Removal | None:
        """Return a removal of those members of the record that the mode takes and the key alone can fill."""
        allowed = self.schema.fields_in.get(mode) if self.schema is not None else None
        members = tuple(
            (name, one) for name, one in record.members if (allowed is None or name in allowed) and self._of_key(one)
        )
        found = Object(members, record.place)
        silent = Problems(self.problems.source)
        self._check(found, mode, silent, {})
        if not any(_expressions(found)) or len(silent):
            example = f"on_removed: {{mode: {mode}, record: {{...: ={self._columns()[0]}}}}}"
            self.problems.add(
                "on_removed",
                at,
                f"the key alone ({', '.join(self._columns())}) does not fill a record for mode {mode}",
                "members of `record` that use nothing but key columns",
                f"or say what to send: {example}",
            )
            return None
        return Removal(mode=mode, record=found) if self._of_whole_key(found, at) else None

    def _of_whole_key(self, record: Object, at: int) -> bool:
        """Whether the record uses every key column; otherwise it may be that of rows that are still there."""
        every = [columns_of(one.sql) for one in _expressions(record)]
        used = frozenset[str]().union(*(one for one in every if one is not None))
        lacking = [one for one in self._columns() if one not in used]
        if not lacking or None in every:
            return True
        kept = [one for one in self._columns() if one in used]
        self.problems.add(
            "on_removed",
            at,
            f"the record of a removal does not use the key column {quoted(lacking[0])}: it could remove rows that "
            "are still in the source, too",
            f"a record that uses every key column ({', '.join(self._columns())})",
            f"or key: {_as_key(kept)}, where that alone tells rows apart" if kept else "",
        )
        return False

    def _check(self, record: Object, mode: str, problems: Problems, places: dict[tuple[str, ...], Place]) -> None:
        if self.schema is None:
            return
        flat = self.rules.file.format.value == "csv"
        RecordCheck(schema=self.schema, mode=mode, flat=flat, problems=problems, places=places).check(record)

    def _of_key(self, node: Node) -> bool:
        """Whether the key columns alone fill a member."""
        for one in _expressions(node):
            used = columns_of(one.sql)
            if used is None or not used <= set(self._columns()):
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
        for _, one in node.members:
            yield from _expressions(one)
    elif isinstance(node, Array):
        for one in node.items:
            yield from _expressions(one)
    elif isinstance(node, Each):
        yield from _expressions(node.item)
