"""Layout of a Parquet file: its rows, the types of its columns, and which library reads them. Reads the footer only.

polars reads files whose columns it knows. It refuses a whole file, or panics, because of one column of another type,
so that pyarrow reads such files. A column that neither reads is named with the reason, and matters only if it is used.
Imports pyarrow, which is slow: import this module where a file is read.
"""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from batchsync.data.frame.numbers import widened
from batchsync.data.row.parquet_probe import PROBED_BYTES, ParquetProbe
from batchsync.data.row.row_reader import LEVELS_MAX, inner_types
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Files whose layout is remembered.
_LAYOUTS_MAX = 1024
_HINT = "Write the file again; a footer that was edited or belongs to another file is the usual cause."
_FLAT_HINT = "Export it flatter, or leave the column out."
#: Metadata key of the Arrow schema. It states the unit of columns that Arrow wrote as INT96, which polars respects.
_ARROW_SCHEMA = b"ARROW:schema"
#: Metadata key of a column of an Arrow extension type.
_EXTENSION = b"ARROW:extension:name"
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
#: Bytes of the length of the footer and the mark at the end of a file, and of the mark at its beginning.
_TAIL_BYTES, _HEAD_BYTES = 8, 4


class _UnreadableInt96Error(Exception):
    """INT96 in a type that polars never reads as microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetLayout:
    """Layout of a file.

    Attributes:
        rows: Number of rows.
        stored: Columns and types as they are read.
        uuids: Columns that contain UUIDs as 16 bytes.
        unreadable: Columns that cannot be read, each with the reason.
        arrow_types: Types to which pyarrow casts columns after reading them; None if polars reads the file.
    """

    rows: int
    stored: dict[str, pl.DataType]
    uuids: frozenset[str]
    unreadable: dict[str, str]
    arrow_types: dict[str, pa.DataType] | None

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Columns and types as the source has them, in the order of the file."""
        return {name: self.dtype(name) for name in self.stored} | dict.fromkeys(self.unreadable, pl.Null())

    def dtype(self, name: str) -> pl.DataType:
        """Return the type of a column as the source has it."""
        if name in self.uuids:
            return pl.String()
        return pl.Float64() if self.stored[name].is_float() else self.stored[name]

    def value(self, name: str) -> pl.Expr:
        """Return a stored column as the source has it: UUIDs as text, floats of fewer bits in their shortest form."""
        column = pl.col(name)
        if name in self.uuids:
            digits = column.bin.encode("hex")
            parts = [digits.str.slice(begin, length) for begin, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
            return pl.concat_str(parts, separator="-")
        if self.stored[name].is_float() and self.stored[name] != pl.Float64:
            return column.map_batches(widened, return_dtype=pl.Float64, is_elementwise=True)
        return column


def layout_of(path: Path) -> ParquetLayout:
    """Return the layout of a file, remembered until the file changes.

    Raises:
        OSError: If the file cannot be read or is not a Parquet file.
        SourceError: If the footer contradicts itself or the file, or a column is nested too deeply.
    """
    status = path.stat()
    return _layout(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=_LAYOUTS_MAX)
def _layout(path: Path, _inode: int, size: int, _modified: int, _changed: int) -> ParquetLayout:
    """Read the footer of a file that is not known to end the process; most arguments only identify the content."""
    if size <= PROBED_BYTES and (fatal := ParquetProbe.fatal_part(path)):
        problem = "reading it ends the process, because its parts contradict each other"
        raise SourceError(f"{path}: {fatal}: {problem}", hint=_HINT)
    return read_layout(path, size)


def read_layout(path: Path, size: int) -> ParquetLayout:
    """Return the layout of a file from its footer, which is checked; some invalid footers end the process.

    Args:
        path: The file.
        size: Its size in bytes.

    Returns:
        The layout.

    Raises:
        OSError: If the file cannot be read or is not a Parquet file.
        SourceError: If the footer contradicts itself or the file, or a column is nested too deeply.
    """
    try:
        footer = pq.read_metadata(path)
        rows = _count_rows(path, footer)
        _check_columns(path, footer, size)
        arrow = pq.ParquetFile(path, metadata=footer, coerce_int96_timestamp_unit="us").schema_arrow
    except (OSError, pa.ArrowException) as error:
        invalid = _footer_error(path, error)
        raise invalid from None
    uuids = frozenset(
        column.path
        for column in (footer.schema.column(index) for index in range(footer.num_columns))
        if column.logical_type.type == "UUID" and not column.max_repetition_level and column.path in arrow.names
    )
    is_plain = all(map(_is_plain, (*arrow, *_arrow_schema(footer)))) and _is_unique(arrow.names)
    is_plain = is_plain and _is_decoded_by_polars(footer)
    stored = _types_of_polars(path, footer) if is_plain else None
    if stored is not None:
        return ParquetLayout(rows=rows, stored=stored, uuids=uuids, unreadable={}, arrow_types=None)
    return _layout_by_arrow(rows, arrow, uuids)


def _footer_error(path: Path, error: Exception) -> Exception:
    """Return the error for a footer that pyarrow refuses; the same unless it concerns the types of columns."""
    if "deeply nested" in str(error):
        message = f"{path}: a column is nested more than {LEVELS_MAX} levels deep"
        return SourceError(message, hint=_FLAT_HINT)
    if isinstance(error, OSError) and "column type" not in str(error):
        return error
    reason = str(error).partition("\n")[0].rstrip(".")
    hint = "Leave the column out, or write it with a type of the Parquet specification."
    return SourceError(f"{path}: the schema cannot be read: {reason}", hint=hint)


def _layout_by_arrow(rows: int, arrow: pa.Schema, uuids: frozenset[str]) -> ParquetLayout:
    """Return the layout of a file that pyarrow reads."""
    counts = Counter(arrow.names)
    stored: dict[str, pl.DataType] = {}
    types: dict[str, pa.DataType] = {}
    unreadable = {name: f"{count} columns have this name" for name, count in counts.items() if count > 1}
    for field in arrow:
        if field.name in unreadable:
            continue
        try:
            kind = _storage(field.type)
            found = pl.from_arrow(pa.array([], kind), schema={field.name: None})
        except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError):
            unreadable[field.name] = f"its type is {field.type}"
            continue
        types[field.name] = kind
        stored[field.name] = found.dtypes[0] if isinstance(found, pl.DataFrame) else found.dtype
    uuids = uuids | {field.name for field in arrow if "arrow.uuid" in str(field.type) and field.name in stored}
    uuids = frozenset(name for name in uuids if stored.get(name) == pl.Binary)
    return ParquetLayout(rows=rows, stored=stored, uuids=uuids, unreadable=unreadable, arrow_types=types)


def _is_unique(names: list[str]) -> bool:
    """Return whether no name occurs twice."""
    return len(set(names)) == len(names)


def _is_plain(field: pa.Field) -> bool:
    """Return whether polars reads a column of this type as pyarrow does."""
    kind = field.type
    is_extension = isinstance(kind, pa.BaseExtensionType) or _EXTENSION in (field.metadata or {})
    if is_extension or pa.types.is_decimal256(kind) or pa.types.is_date64(kind):
        return False
    if pa.types.is_timestamp(kind):
        return _is_known_zone(kind.tz)
    inner = [kind.field(index) for index in range(kind.num_fields)]
    if pa.types.is_struct(kind) and not _is_unique([item.name for item in inner]):
        return False
    return all(map(_is_plain, inner))


def _arrow_schema(footer: pq.FileMetaData) -> list[pa.Field]:
    """Return the columns of the Arrow schema in the footer, which polars applies; pyarrow not to INT96."""
    stored = (footer.metadata or {}).get(_ARROW_SCHEMA)
    try:
        return list(pa.ipc.read_schema(pa.py_buffer(b64decode(stored)))) if stored else []
    except (pa.ArrowException, ValueError, OSError):
        return []


def _is_decoded_by_polars(footer: pq.FileMetaData) -> bool:
    """Return whether polars decodes the encodings of all columns; it splits the bytes of floats only."""
    groups = (footer.row_group(number) for number in range(min(footer.num_row_groups, 1)))
    chunks = (group.column(index) for group in groups for index in range(footer.num_columns))
    return not any("BYTE_STREAM_SPLIT" in chunk.encodings and chunk.physical_type not in _FLOATS for chunk in chunks)


@lru_cache(maxsize=64)
def _is_known_zone(zone: str | None) -> bool:
    """Return whether polars knows a time zone: names of the IANA database, not offsets such as +02:00."""
    if zone is None or zone == "UTC":
        return True
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        return False
    return True


def _storage(kind: pa.DataType) -> pa.DataType:
    """Return the type to which a column is cast: storage of extension types, values of dictionaries, UTC. Recurses."""
    if isinstance(kind, pa.BaseExtensionType):
        return _storage(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _storage(kind.value_type)
    if pa.types.is_timestamp(kind) and not _is_known_zone(kind.tz):
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_decimal256(kind):
        return pa.string()
    return _nested_storage(kind) if kind.num_fields else kind


def _nested_storage(kind: pa.DataType) -> pa.DataType:
    """Return a nested type with the storage of its inner types."""

    def inner(field: pa.Field) -> pa.Field:
        return pa.field(field.name, _storage(field.type), field.nullable)

    if pa.types.is_struct(kind):
        return pa.struct([inner(kind.field(index)) for index in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_storage(kind.key_type), inner(kind.item_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner(kind.value_field), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(inner(kind.value_field))
    return kind


def _types_of_polars(path: Path, footer: pq.FileMetaData) -> dict[str, pl.DataType] | None:
    """Return the columns and types as polars reads them, with microseconds for INT96; None if it cannot."""
    try:
        schema = dict(pl.scan_parquet(path, glob=False).collect_schema())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    columns = [footer.schema.column(index) for index in range(len(footer.schema))]
    if _ARROW_SCHEMA in (footer.metadata or {}) or all(column.physical_type != "INT96" for column in columns):
        return schema
    is_int96 = iter([column.physical_type == "INT96" for column in columns])
    try:
        return {name: _with_microseconds(kind, is_int96) for name, kind in schema.items()}
    except _UnreadableInt96Error:
        return None


def _count_rows(path: Path, footer: pq.FileMetaData) -> int:
    """Return the number of rows; raise an error if the footer states two numbers."""
    found: int = sum(footer.row_group(index).num_rows for index in range(footer.num_row_groups))
    if footer.num_rows != found:
        problem = f"the footer states {footer.num_rows} rows, its row groups contain {found}"
        raise SourceError(f"{path}: {problem}", hint=_HINT)
    return found


def _check_columns(path: Path, footer: pq.FileMetaData, size: int) -> None:
    """Check what the footer states about the chunks of each column: number of values, and location in the file.

    polars takes memory as stated in the pages, wherever the footer says that they are.
    """
    end = size - footer.serialized_size - _TAIL_BYTES
    is_repeated = [bool(footer.schema.column(index).max_repetition_level) for index in range(footer.num_columns)]
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for index in range(footer.num_columns):
            chunk = group.column(index)
            problem = _chunk_problem(chunk, group.num_rows, end, is_repeated=is_repeated[index])
            if problem:
                location = f"row group {number}, column {footer.schema.column(index).path!r}"
                raise SourceError(f"{path}: {location}: {problem}", hint=_HINT)


def _chunk_problem(chunk: pq.ColumnChunkMetaData, rows: int, end: int, *, is_repeated: bool) -> str:
    """Return what is wrong with a column chunk, or an empty string. Columns within lists have any number of values."""
    if chunk.file_path:
        return f"the values are in another file, {chunk.file_path!r}"
    if chunk.num_values != rows and not is_repeated:
        return f"{chunk.num_values} values for {rows} rows"
    begin = chunk.data_page_offset
    if chunk.dictionary_page_offset:
        begin = min(begin, chunk.dictionary_page_offset)
    length = chunk.total_compressed_size
    if chunk.num_values and (begin < _HEAD_BYTES or length < 0 or begin + length > end):
        return f"bytes {begin} to {begin + length}, outside of the {end} bytes before the footer"
    return ""


def _with_microseconds(kind: pl.DataType, is_int96: Iterator[bool]) -> pl.DataType:
    """Return a type with microseconds for each stored column that is INT96, in the order of the footer.

    Raises:
        _UnreadableInt96Error: If a map contains INT96; polars reads its values as nanoseconds whatever the schema.
    """
    inner = [_with_microseconds(dtype, is_int96) for dtype in inner_types(kind)]
    match kind:
        case pl.Struct():
            return pl.Struct({field.name: dtype for field, dtype in zip(kind.fields, inner, strict=True)})
        case pl.Map():
            if inner != [kind.key, kind.value]:
                raise _UnreadableInt96Error
            return kind
        case pl.List():
            return pl.List(inner[0])
        case pl.Array():
            return pl.Array(inner[0], kind.shape[0])
        case _:
            return pl.Datetime("us", kind.time_zone) if next(is_int96) and isinstance(kind, pl.Datetime) else kind
