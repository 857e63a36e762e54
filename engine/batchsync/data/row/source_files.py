"""Description of the opened files of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """Files of a source or of a join, all with the same columns.

    Attributes:
        files: Paths of the files, sorted.
        format: `csv`, `parquet` or `jsonl`.
        delimiter: Delimiter of CSV files.
        encoding: Python encoding of text files.
        nulls: Texts that are read as null.
        schema: Columns and types; all text for CSV.
        void: Columns without a value, which take the type in `schema` by a cast.
        stored: Columns and types with which Parquet files are scanned, before casts of void columns.
    """

    files: tuple[Path, ...]
    format: str
    delimiter: str
    encoding: str
    nulls: tuple[str, ...]
    schema: dict[str, pl.DataType]
    void: frozenset[str] = frozenset()
    stored: dict[str, pl.DataType] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in the order of the first file."""
        return tuple(self.schema)

    def values(self) -> list[pl.Expr]:
        """Return the expressions of the columns with declared null texts replaced by null.

        In CSV files polars has replaced them.
        """
        return [
            pl.col(name) if self.format == "csv" else self._value(name, dtype) for name, dtype in self.schema.items()
        ]

    def _value(self, name: str, dtype: pl.DataType) -> pl.Expr:
        """Return the expression of a column of a typed format."""
        value = pl.col(name).cast(dtype) if name in self.void else pl.col(name)
        if not self.nulls or dtype not in (pl.String, pl.Categorical, pl.Enum):
            return value
        return pl.when(~value.cast(pl.String).is_in(self.nulls)).then(value)
