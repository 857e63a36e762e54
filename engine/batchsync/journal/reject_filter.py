"""Which rejects a query is about, as conditions of SQL for rows and for objects of rejects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import DECLARED_OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Kinds of rows that end as their job declares, which no person has to look at.
DECLARED = tuple(outcome.value for outcome in DECLARED_OUTCOMES)

_HAS_GROUP = "EXISTS (SELECT 1 FROM reject_object_groups {where} AND object = reject_objects.no)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectFilter:
    """Which rejects are wanted; None and empty members restrict nothing.

    Attributes:
        job: Name of the job.
        run: Id of the run.
        batch: Id of the batch.
        kind: Kind of rejects.
        without: Kinds that are left out.
        code: Code of the reason.
        field: Field that was refused.
        key: The key.
        part_of_key: Part of the key.
        after: Number of the reject after which they begin.
    """

    job: str | None = None
    run: str | None = None
    batch: str | None = None
    kind: str | None = None
    without: tuple[str, ...] = ()
    code: str | None = None
    field: str | None = None
    key: str | None = None
    part_of_key: str = ""
    after: int = 0

    def of_rows(self) -> dict[str, str]:
        """Return the columns that differ within a batch, with their wanted values."""
        columns = {"kind": self.kind, "code": self.code, "field": self.field, "key": self.key}
        return {name: value for name, value in columns.items() if value is not None}

    @property
    def of_keys(self) -> bool:
        """Whether a key, or a part of keys, is wanted."""
        return self.key is not None or bool(self.part_of_key)

    def rows_clause(self) -> tuple[str, list[object]]:
        """Return a WHERE clause for rows of `rejects`, and its values."""
        conditions, values = self._conditions(self._of_batch() | self.of_rows(), "kind")
        if self.part_of_key:
            conditions.append("instr(key, ?) > 0")
            values.append(self.part_of_key)
        if self.after:
            conditions.append("no > ?")
            values.append(self.after)
        return _where(conditions), values

    def objects_clause(self) -> tuple[str, list[object]]:
        """Return a WHERE clause for rows of `reject_objects` that may have wanted rejects, and its values."""
        conditions, values = self._conditions(self._of_batch(), "")
        conditions.append("last > ?")
        grouped, more = self.groups_clause()
        if grouped:
            conditions.append(_HAS_GROUP.format(where=grouped))
        return _where(conditions), [*values, self.after, *more]

    def groups_clause(self) -> tuple[str, list[object]]:
        """Return a WHERE clause for rows of `reject_object_groups`, and its values; empty without a condition."""
        named = {name: value for name, value in self.of_rows().items() if name != "key"}
        conditions, values = self._conditions(named, "kind")
        return _where(conditions), values

    def _of_batch(self) -> dict[str, str]:
        columns = {"job": self.job, "run": self.run, "batch": self.batch}
        return {name: value for name, value in columns.items() if value is not None}

    def _conditions(self, exact: dict[str, str], kind: str) -> tuple[list[str], list[object]]:
        """Return conditions with their values; `kind` is the column of kinds, if there is one."""
        conditions = [f"{name} = ?" for name in exact]
        values: list[object] = [*exact.values()]
        if kind and self.without:
            conditions.append(f"{kind} NOT IN ({', '.join('?' for _ in self.without)})")
            values += self.without
        return conditions, values


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """Which rejects of an object are deleted, and which reasons are replaced.

    Attributes:
        keys: Keys whose rejects are deleted.
        kind: Only rejects of this kind are deleted; None for all.
        is_replaced: Return whether a reason is replaced.
        text: The replacement.
    """

    keys: Collection[str]
    kind: str | None = None
    is_replaced: Callable[[str], bool] = lambda _: False
    text: str = ""


def of_run(job: str | None, run: str | None, kind: str | None) -> RejectFilter:
    """Return the filter of rejects of a job, run and kind; without a kind, of all but `DECLARED`."""
    return RejectFilter(job=job, run=run, kind=kind, without=DECLARED if kind is None else ())


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""
