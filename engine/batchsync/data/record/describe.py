"""Facts of the columns of a file, for a proposed mapping."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.column_fit import ColumnFacts
from batchsync.data.frame.columns import ROW
from batchsync.data.row.csv_header import likely_delimiter
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames

if TYPE_CHECKING:
    from batchsync.core.job import Source

#: Rows of which values are looked at. Whether values are unique is known of the rows of the first frame only.
SAMPLED_ROWS = 2000


def describe(source: Source) -> tuple[Source, tuple[ColumnFacts, ...], tuple[dict[str, str], ...]]:
    """Return what is known of the columns of a local source, from its first rows.

    Args:
        source: The source. Another delimiter is tried if all columns seem to be one.

    Returns:
        The source with the delimiter that was found, the columns, and the sampled rows: text by column, without nulls.

    Raises:
        SourceError: If the file is missing or cannot be read.
    """
    opened = open_source(source)
    if delimiter := likely_delimiter(tuple(opened.schema), source.delimiter):
        source = replace(source, delimiter=delimiter)
        opened = open_source(source)
    with tempfile.TemporaryDirectory() as folder:
        frame = next(frames(opened, Path(folder), fresh=True), pl.DataFrame(schema={ROW: pl.Int64, **opened.schema}))
    rows = frame.drop(ROW)
    head = rows.head(SAMPLED_ROWS)
    texts = {name: _texts(head[name]) for name in head.columns}
    columns = tuple(
        ColumnFacts(
            name=name,
            kind=_kind(kind),
            values=tuple(text for text in texts[name] if text is not None),
            unique=bool(rows.height) and not kind.is_nested() and _is_unique(rows[name]),
        )
        for name, kind in rows.schema.items()
    )
    sampled = tuple(
        {name: text for name, column in texts.items() if (text := column[number]) is not None}
        for number in range(head.height)
    )
    return source, columns, sampled


def _is_unique(values: pl.Series) -> bool:
    return not values.null_count() and values.n_unique() == values.len()


def _texts(values: pl.Series) -> list[str | None]:
    """Return values as text; None for nulls, and for values that are lists or objects."""
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        return [None] * values.len()
    if values.dtype in (pl.Date, pl.Datetime):
        return [None if value is None else value.isoformat() for value in values]
    return values.cast(pl.String, strict=False).to_list()


def _kind(kind: pl.DataType) -> str:
    """Return the kind of a type, as in `ColumnFacts`."""
    kinds: list[tuple[bool, str]] = [
        (kind in (pl.String, pl.Categorical, pl.Enum, pl.Null), "text"),
        (kind == pl.Boolean, "boolean"),
        (kind.is_integer(), "integer"),
        (kind.is_numeric(), "number"),
        (kind == pl.Date, "date"),
        (isinstance(kind, pl.Datetime), "datetime"),
        (isinstance(kind, pl.List) and not kind.inner.is_nested(), "list"),
    ]
    return next((name for is_kind, name in kinds if is_kind), "other")
