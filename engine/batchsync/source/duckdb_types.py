"""Types of DuckDB: those that Arrow carries exactly, those that the statement casts, and those that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from batchsync.core.query import QueryColumn

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

#: Bytes of the longest text, as of a line of text in a file.
VALUE_BYTES = 16 << 20
#: What values become, by the type that Arrow carries exactly.
_EXACT = {
    "boolean": "boolean",
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint"), "integer"),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint"), "integer"),
    "float": "float",
    "double": "float",
    "decimal": "decimal",
    "varchar": "text",
    "date": "date",
    "time": "time",
    "time_ns": "time",
    "timestamp": "timestamp",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_ns": "timestamp",
    "timestamp with time zone": "timestamp",
    "timestamptz_ns": "timestamp",
    "null": "null",
}
#: Types that are cast, with the type of the cast and what the values become. As an Arrow decimal, numbers of 128 bits
#: overflow, a time loses its zone, and the others are bytes, dictionaries or types that Parquet does not have.
_CAST = {
    "hugeint": ("DECIMAL(38,0)", "decimal"),
    "uhugeint": ("DECIMAL(38,0)", "decimal"),
    "bignum": ("VARCHAR", "text"),
    "uuid": ("VARCHAR", "text"),
    "enum": ("VARCHAR", "text"),
    "bit": ("VARCHAR", "text"),
    "interval": ("VARCHAR", "text"),
    "time with time zone": ("VARCHAR", "text"),
}
#: What to write instead of other types.
_INSTEAD = {"blob": "hex(...) or base64(...)", "geometry": "ST_AsText(...), or a column of text"}
_OTHERWISE = "to_json(...) or CAST(... AS VARCHAR)"
#: Days since 1970 of the years 1 to 9999, the first after them, and units of times in a day.
_FIRST_DAY, _END_DAY = -719_162, 2_932_897
_DAY_UNITS = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def column_of(name: str, kind: DuckDBPyType) -> QueryColumn:
    """Return a column of a query, with a refusal if its type cannot be taken over."""
    declared = str(kind).lower() if kind.id != "null" else "null"
    if kind.id in _EXACT or kind.id in _CAST:
        return QueryColumn(name=name, declared=declared, read_as=_EXACT.get(kind.id) or _CAST[kind.id][1])
    if _is_exact(kind):
        return QueryColumn(name=name, declared=declared, read_as="struct" if kind.id == "struct" else "list")
    instead = f"Leave it out, or write {_INSTEAD.get(kind.id, _OTHERWISE)} of it."
    return QueryColumn(name=name, declared=declared, refusal=instead)


def selected(name: str, kind: DuckDBPyType) -> str:
    """Return the item of a select list that reads a column."""
    quoted = '"' + name.replace('"', '""') + '"'
    if kind.id in _CAST:
        return f"CAST({quoted} AS {_CAST[kind.id][0]}) AS {quoted}"
    if kind.id == "array":
        return f"CAST({quoted} AS {kind.children[0][1]}[]) AS {quoted}"
    return quoted


def is_plain(kind: DuckDBPyType) -> bool:
    """Return whether a column is read as it is."""
    return kind.id not in _CAST and kind.id != "array"


def _is_exact(kind: DuckDBPyType) -> bool:
    """Return whether Arrow carries a type exactly, with all types within it."""
    if kind.id not in {"list", "array", "struct"}:
        return kind.id in _EXACT
    # An array also has its length among its children.
    inner = [child for _, child in kind.children if not isinstance(child, int | list)]
    return all(_is_exact(child) and child.id != "array" for child in inner)


def odd_value(values: pa.Array) -> tuple[int, str] | None:
    """Return the row of a value that has no counterpart elsewhere, from 0, and what it is; None without one.

    Args:
        values: Values of a column; within lists, the row is that of the value among all of them.
    """
    kind = values.type
    if pa.types.is_string(kind):
        too_long = pc.greater(pc.binary_length(values), VALUE_BYTES)
        return _first(too_long, f"a text of more than {VALUE_BYTES >> 20} MiB")
    if pa.types.is_struct(kind):
        return next(filter(None, map(odd_value, values.flatten())), None)
    if pa.types.is_list(kind):
        return odd_value(values.flatten())
    if pa.types.is_time(kind):
        units = values.cast(pa.int64())
        return _first(pc.greater_equal(units, _DAY_UNITS[kind.unit]), "the time 24:00:00, which is no time of a day")
    if pa.types.is_date32(kind):
        bounds, units = (_FIRST_DAY, _END_DAY), values.cast(pa.int32())
    elif pa.types.is_timestamp(kind) and kind.unit != "ns":
        size = _DAY_UNITS[kind.unit]
        bounds, units = (_FIRST_DAY * size, _END_DAY * size), values.cast(pa.int64())
    elif pa.types.is_timestamp(kind):
        bounds, units = (-(2**63) + 2, 2**63 - 1), values.cast(pa.int64())
    else:
        return None
    outside = pc.or_(pc.less(units, bounds[0]), pc.greater_equal(units, bounds[1]))
    return _first(outside, "infinity, or outside of the years 1 to 9999")


def _first(found: pa.Array, reason: str) -> tuple[int, str] | None:
    row = pc.index(found, value=True).as_py()
    return (row, reason) if row >= 0 else None
