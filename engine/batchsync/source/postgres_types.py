"""How types of PostgreSQL become types of Arrow: as they are where that is exact, else as text of the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from batchsync.core.query import QueryColumn

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Types that the driver reads exactly, by PostgreSQL's internal name: type of Arrow, name in SQL, and what is read.
_EXACT: dict[str, tuple[pa.DataType, str, str]] = {
    "bool": (pa.bool_(), "boolean", "boolean"),
    "int2": (pa.int16(), "smallint", "integer"),
    "int4": (pa.int32(), "integer", "integer"),
    "int8": (pa.int64(), "bigint", "integer"),
    "float4": (pa.float32(), "real", "float"),
    "float8": (pa.float64(), "double precision", "float"),
    "text": (pa.string(), "text", "text"),
    "varchar": (pa.string(), "character varying", "text"),
    "bpchar": (pa.string(), "character", "text"),
    "name": (pa.string(), "name", "text"),
    "date": (pa.date32(), "date", "date"),
    "time": (pa.time64("us"), "time without time zone", "time"),
    "timestamp": (pa.timestamp("us"), "timestamp without time zone", "timestamp"),
    "timestamptz": (pa.timestamp("us", "UTC"), "timestamp with time zone", "timestamp"),
}
#: Types of elements of arrays that are read as lists; arrays of others become text.
_ELEMENTS = frozenset({"bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar"})
#: Types whose text the driver gives as PostgreSQL writes it.
_TEXTS = frozenset({"json", "jsonb"})
#: Casts other than to text.
_CASTS = {"oid": ("bigint", pa.int64(), "integer")}
#: Types by which `since` can compare, with the name to cast the bound to.
ORDERED = {
    "int2": "bigint",
    "int4": "bigint",
    "int8": "bigint",
    "numeric": "numeric",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
DIGITS_MAX = 38
#: Bytes of the longest text, as of a line of text in a file.
VALUE_BYTES = 16 << 20
UNNAMED = re.compile(r"unnamed<oid:(\d+)>")
_KIND, _TYPMOD = b"POSTGRESQL:type", b"POSTGRESQL:typmod"
#: Name of the column that says whether the array in a column is no plain list.
_MARK = "batchsync:array:{}"
#: Days from 1970 of the first and last date whose year has four digits, and a day in microseconds.
_FIRST_DAY, _LAST_DAY, _DAY = -719_162, 2_932_896, 86_400_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a statement, with how it is read.

    Attributes:
        name: Name of the column.
        kind: PostgreSQL's internal name of the type; that of an array begins with an underscore.
        cast: Type in SQL that the wrapping query casts to; empty to read the values as they are.
        arrow: Type of the column in the parts.
        declared: Type for messages.
        read_as: What its values become, for messages.
        is_list: Whether it is an array that becomes a list.
    """

    name: str
    kind: str
    cast: str
    arrow: pa.DataType
    declared: str
    read_as: str
    is_list: bool = False

    def described(self) -> QueryColumn:
        """Return the column as `describe` returns it."""
        return QueryColumn(name=self.name, declared=self.declared, read_as=self.read_as)


def column_of(field: pa.Field) -> Column:
    """Return how a column is read.

    Args:
        field: The column as the driver describes it, with PostgreSQL's type in its metadata.
    """
    metadata = field.metadata or {}
    kind = metadata.get(_KIND, b"").decode("utf-8", "replace")
    if kind in _EXACT and field.type == _EXACT[kind][0]:
        arrow, declared, read_as = _EXACT[kind]
        return Column(field.name, kind, "", arrow, declared, read_as)
    if kind == "numeric":
        return _numeric(field.name, int(metadata.get(_TYPMOD, b"-1")))
    if kind in _TEXTS:
        return Column(field.name, kind, "", pa.string(), kind, "text (JSON)")
    if kind.startswith("_") and kind[1:] in _ELEMENTS and pa.types.is_list(field.type):
        arrow, declared, read_as = _EXACT[kind[1:]]
        return Column(field.name, kind, "", pa.list_(arrow), f"{declared}[]", f"list of {read_as}", is_list=True)
    if kind in _CASTS:
        cast, arrow, read_as = _CASTS[kind]
        return Column(field.name, kind, cast, arrow, kind, read_as)
    declared = f"{kind[1:]}[]" if kind.startswith("_") else kind
    return Column(field.name, kind, "text", pa.string(), declared, "text")


def _numeric(name: str, typmod: int) -> Column:
    """Return how a numeric column is read: as decimals if its declaration bounds the digits, else as text."""
    if typmod >= 0:
        digits, scale = (typmod - 4) >> 16 & 0xFFFF, ((typmod - 4 & 0x7FF) ^ 0x400) - 0x400
        if 0 < digits <= DIGITS_MAX and 0 <= scale <= digits:
            declared = f"numeric({digits},{scale})"
            return Column(name, "numeric", "", pa.decimal128(digits, scale), declared, f"decimal({digits},{scale})")
        return Column(name, "numeric", "text", pa.string(), f"numeric({digits},{scale})", "text")
    return Column(name, "numeric", "text", pa.string(), "numeric", "text (for numbers, cast it: x::numeric(12,2))")


def select_list(columns: Iterable[Column], text: str) -> str:
    """Return the columns of the wrapping query, casts and marks of arrays included.

    Args:
        columns: The columns.
        text: Name of the type of text in SQL.
    """
    items = []
    for number, column in enumerate(columns):
        name = quoted(column.name)
        items.append(
            f"CAST(q.{name} AS {text if column.cast == 'text' else column.cast}) AS {name}"
            if column.cast
            else f"q.{name}"
        )
        if column.is_list:
            mark = quoted(_MARK.format(number))
            items.append(f"(array_ndims(q.{name}) > 1 OR array_lower(q.{name}, 1) <> 1) AS {mark}")
    return ", ".join(items)


def quoted(name: str) -> str:
    """Return a name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


class UnfitValueError(Exception):
    """A value that its column cannot carry. `column`, `row` (from 0, in the batch), `what` it is, `remedy`."""

    def __init__(self, column: str, row: int, what: str, remedy: str) -> None:
        """Keep the place and the reason."""
        super().__init__(what)
        self.column, self.row, self.what, self.remedy = column, row, what, remedy


def converted(batch: pa.RecordBatch, columns: Iterable[Column]) -> pa.Table:
    """Return a batch with the types of its columns in the parts.

    Args:
        batch: Rows as the driver reads them, with the marks of arrays.
        columns: The columns.

    Raises:
        UnfitValueError: If a value cannot be carried exactly.
    """
    arrays, names, at = [], [], 0
    for column in columns:
        array = batch.column(at)
        at += 1
        if column.is_list:
            _refuse(column, batch.column(at), "an array that is no plain list", "x::text, or unnest it")
            at += 1
        arrays.append(_array(array, column))
        names.append(column.name)
    return pa.Table.from_arrays(arrays, names=names)


def _array(array: pa.Array, column: Column) -> pa.Array:
    """Return the values of a column with its type."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_decimal(column.arrow):
        special = pc.match_substring_regex(array, "[A-Za-z]")
        _refuse(column, special, "NaN, which is no number of digits", "NULLIF(x, 'NaN')")
        return array.cast(column.arrow)
    if column.kind == "time":
        _refuse(
            column, pc.greater_equal(array.cast(pa.int64()), _DAY), "24:00:00, which is no time of a day", "x::text"
        )
    elif column.kind == "date":
        _check_range(array.cast(pa.int32()), column, 1)
    elif column.kind in {"timestamp", "timestamptz"}:
        _check_range(array.cast(pa.int64()), column, _DAY)
    elif pa.types.is_string(column.arrow) and array.nbytes > VALUE_BYTES:
        long = pc.greater(pc.binary_length(array), VALUE_BYTES)
        _refuse(column, long, f"a text of more than {VALUE_BYTES >> 20} MiB", "left(x, 1000000)")
    return array.cast(column.arrow) if array.type != column.arrow else array


def _check_range(numbers: pa.Array, column: Column, day: int) -> None:
    """Refuse infinity, and years that ISO 8601 does not write with four digits."""
    first, last = _FIRST_DAY * day, (_LAST_DAY + 1) * day - 1
    bounds = pc.min_max(numbers)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is not None and (low < first or high > last):
        outside = pc.or_(pc.less(numbers, first), pc.greater(numbers, last))
        _refuse(column, outside, "infinity, or a year before 1 or after 9999", "NULLIF(x, 'infinity') or x::text")


def _refuse(column: Column, found: pa.Array, what: str, remedy: str) -> None:
    """Raise UnfitValueError for the first true value."""
    row = pc.index(found, pa.scalar(value=True)).as_py()
    if row >= 0:
        raise UnfitValueError(column.name, row, what, remedy)
