"""The files of one source, opened and described for the readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """The files of one source (or of one join), all with the same columns.

    `schema` maps each column to its type; for CSV every type is text. `void` are columns without a value that were
    given a type. `stored` are the types with which the columns of Parquet files are read, before that.
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
        """The column names, in the order of the first file."""
        return tuple(self.schema)

    def values(self) -> list[pl.Expr]:
        """Return the columns as they are to be read: a declared null is null in any text, whatever the format.

        For CSV the reader has done it.
        """
        return [pl.col(name) if self.format == "csv" else self._value(name, kind) for name, kind in self.schema.items()]

    def _value(self, name: str, kind: pl.DataType) -> pl.Expr:
        """Return one column of a format that is not text alone."""
        value = pl.col(name).cast(kind) if name in self.void else pl.col(name)
        if not self.nulls or kind not in (pl.String, pl.Categorical, pl.Enum):
            return value
        return pl.when(~value.cast(pl.String).is_in(self.nulls)).then(value)
