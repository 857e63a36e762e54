"""Columns of a source elsewhere without its rows, for `validate --online` and `doctor`.

Enters: a source as jobs.yaml declares it. Leaves: the same source with local files that have its columns and types, and
none or few of its rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.core.query import QueryColumn
from batchsync.source.fetch import describe_query, fetch, without_login
from batchsync.source.landing import Landing

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.core.landed_part import LandedPart
    from batchsync.core.mapping import Place
    from batchsync.core.query import Query
    from batchsync.ports import AccessOf, Logins

#: Rows that are read where types are those of values, not of columns.
LOOK_ROWS = 1_000
#: Databases that store a type with each value.
_TYPED_BY_VALUES = frozenset({"sqlite"})
#: Types of the words of `QueryColumn.read_as`.
_ARROW = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "decimal": pa.decimal128(38, 9),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
}
_LIST = "list of "
_DIGITS = re.compile(r"decimal ?\((\d{1,2}), ?(\d{1,2})\)")
_ZONE = re.compile(r"with (?:local )?time zone|timestamptz|\(UTC\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Columns of a source, or of one of its joins.

    Attributes:
        title: What is read: the connection, and the table or file.
        columns: The columns in order, also those that a run would refuse; empty of files, which are read.
        place: Location of the source or join in jobs.yaml.
    """

    title: str
    columns: tuple[QueryColumn, ...] = ()
    place: Place


def describe_source(
    source: Source, into: Path, login: Logins = without_login, access: AccessOf | None = None
) -> tuple[Source, tuple[Described, ...]]:
    """Bring the columns of a source and of its joins to local files.

    Args:
        source: The source; not the standard input, which can be read once only.
        into: Folder for these files, created if rows are elsewhere.
        login: Resolves the references of a database.
        access: Resolves the references of a storage; None if none is read.

    Returns:
        The source of local files, to check a job against, and the columns of what is elsewhere.

    Raises:
        SourceError: If the source is not as declared, or its statement is refused.
        UnavailableError: If it cannot be reached, or the disk is full.
    """
    found: list[Described] = []

    def described(alone: Source, folder: Path, place: Place) -> Source:
        query = alone.query
        columns: tuple[QueryColumn, ...] = ()
        if query is None or query.database.kind in _TYPED_BY_VALUES:
            landed = fetch(alone, folder, rows=LOOK_ROWS, login=login, access=access)
            columns = _by_values(landed) if query is not None else ()
        else:
            columns = describe_query(query, login)
            landed = replace(alone, parts=_without_rows(query, columns, folder))
        found.append(Described(title=alone.path, columns=columns, place=place))
        return landed

    if not source.has_local_rows:
        source = replace(described(replace(source, joins=()), into, source.place), joins=source.joins)
    joins = tuple(
        join
        if join.source is None
        else replace(join, source=described(join.source, into / f"join-{number}", join.place))
        for number, join in enumerate(source.joins, start=1)
    )
    return replace(source, joins=joins), tuple(found)


def _by_values(landed: Source) -> tuple[QueryColumn, ...]:
    """Return the columns of landed rows with the types of their values."""
    schema = pq.read_schema(landed.parts[0].path)
    words = {kind: word for word, kind in _ARROW.items()}
    return tuple(QueryColumn(name=item.name, declared="", read_as=words.get(item.type, "null")) for item in schema)


def _without_rows(query: Query, columns: tuple[QueryColumn, ...], into: Path) -> tuple[LandedPart, ...]:
    """Return a part with the columns that can be read, and no rows."""
    schema = pa.schema([(item.name, _arrow_type(item.read_as, item.declared)) for item in columns if not item.refusal])
    with Landing(into, query.title) as landing:
        return landing.seal(schema)


def _arrow_type(read_as: str, declared: str) -> pa.DataType:
    """Return the type of the values of a column; null, which fits any type, if it is not known.

    Args:
        read_as: What its values become: one of the words of `_ARROW`, or `list of` one, with remarks in brackets.
        declared: Type in the words of the database, which says whether timestamps have a zone.
    """
    if read_as.startswith(_LIST):
        return pa.list_(_arrow_type(read_as.removeprefix(_LIST), declared))
    if digits := _DIGITS.match(read_as):
        return pa.decimal128(int(digits[1]), int(digits[2]))
    found = _ARROW.get(read_as.partition(" ")[0].partition("(")[0], pa.null())
    has_zone = _ZONE.search(f"{read_as} {declared}") is not None
    return pa.timestamp("us", "UTC") if has_zone and found == _ARROW["timestamp"] else found
