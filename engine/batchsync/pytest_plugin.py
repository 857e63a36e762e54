"""pytest plugin: the fixture `mapping`, which maps rows by a job of jobs.yaml without a vendor, state or source.

Nothing of batchsync is imported until the fixture is used.

    def test_names(mapping):
        assert mapping("guests").records([{"id": 1, "name": "ANNA"}]) == [{"firstName": "Anna"}]
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from batchsync.core.mapping_test import Cell, GivenRow, MappingResult, MappingTest


@dataclass(frozen=True, slots=True)
class Invalid:
    """A record that would not be sent, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class JobMapping:
    """Mapping of a job, as `batchsync test` evaluates it.

    Attributes:
        file: The jobs file.
        job: Name of the job.
    """

    file: Path
    job: str

    def records(
        self, rows: Iterable[Mapping[str, Any]], *, joined: Mapping[str, Iterable[Mapping[str, Any]]] | None = None
    ) -> list[dict[str, Any] | Invalid]:
        """Return the records of rows, in the order of their first rows; `Invalid` for those that would not be sent.

        Args:
            rows: Rows of the source: values by column. Columns that are not named are null.
            joined: Rows of joins by the path or table of the join.

        Returns:
            The records. Rows that `source.where` does not select give none.

        Raises:
            ValueError: If a run with these rows would stop, or a column is unknown.
        """
        core = import_module("batchsync.core.mapping_test")
        joins = tuple(core.JoinedRows(name, tuple(map(_row, items))) for name, items in (joined or {}).items())
        result = self._result(core.MappingTest(name="", given=tuple(map(_row, rows)), joined=joins))
        records, reasons = iter(result.records), iter(result.reasons)
        return [_plain(next(records)) if is_record else Invalid(next(reasons)) for is_record in result.are_records]

    def removal(self, *key: object) -> dict[str, Any]:
        """Return the record of a key that left the source.

        Args:
            key: Values of the key columns.

        Returns:
            The record of `on_removed`.

        Raises:
            ValueError: If the job sends none.
        """
        core = import_module("batchsync.core.mapping_test")
        found: dict[str, Any] = _plain(
            self._result(core.MappingTest(name="", removed=tuple(map(_text, key)))).records[0]
        )
        return found

    def _result(self, test: MappingTest) -> MappingResult:
        """Return what the job makes of the rows of a test.

        Raises:
            ValueError: If they do not fit the job.
        """
        if not test.given and not test.removed:
            nothing: MappingResult = import_module("batchsync.core.mapping_test").MappingResult()
            return nothing
        errors, spec = import_module("batchsync.errors"), import_module("batchsync.spec")
        settings = import_module("batchsync.settings").Settings(file=self.file)
        with import_module("batchsync.app").App(settings) as app:
            try:
                (job,) = app.jobs([self.job])
                map_given = import_module("batchsync.data").map_given
                results, problems = map_given(job, app.rules_of(job), [test], app.clock.now())
            except errors.SpecError as error:
                raise ValueError("\n".join(map(spec.render_problem, error.problems))) from None
        if problems:
            raise ValueError("; ".join(f"{item.message}. {item.suggestion}" for item in problems))
        if results[0].failure:
            raise ValueError(results[0].failure)
        found: MappingResult = results[0]
        return found


@pytest.fixture
def mapping(request: pytest.FixtureRequest) -> Callable[..., JobMapping]:
    """Return a function that returns the mapping of a job of `BATCHSYNC_FILE`, or of jobs.yaml in the root folder."""
    default = request.config.rootpath / os.environ.get("BATCHSYNC_FILE", "jobs.yaml")

    def of(job: str, *, file: str | os.PathLike[str] = default) -> JobMapping:
        return JobMapping(Path(file), job)

    return of


def _row(row: Mapping[str, Any]) -> GivenRow:
    """Return a row as given row; a column with None is null."""
    core = import_module("batchsync.core.mapping_test")
    cells: list[Cell] = [core.Cell(name, value, _text(value)) for name, value in row.items() if value is not None]
    found: GivenRow = core.GivenRow(tuple(cells))
    return found


def _text(value: object) -> str:
    """Return a value as a CSV file has it; the empty text for lists and objects."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, str | int | float | Decimal) else ""


def _plain(value: Any) -> Any:
    """Return a record with floats instead of decimals, where no digit is lost."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else value
    return value
