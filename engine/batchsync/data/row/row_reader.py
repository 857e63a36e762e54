"""Interface of a source format, and the description of the opened files of a source.

A format is one class derived from `RowReader`. Installed packages add theirs with an entry point in the group
`batchsync.row_readers`, whose name is the name of the format and the ending of its files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from polars.datatypes import DataTypeClass

    from batchsync.core.job import Source
    from batchsync.ports import Size

#: Maximum number of nested lists and objects. A column of 500 nested lists with one row takes polars half a minute and
#: gigabytes, and its Python side recurses.
LEVELS_MAX = 100
#: Size in bytes up to which a file is read and checked without a thread, which would take longer than reading.
SMALL_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """Files of a source or of a join, all of the same format and with the same columns.

    Attributes:
        files: Paths of the files, sorted.
        reader: Reader of their format.
        delimiter: Delimiter of CSV files.
        encoding: Python encoding of text files.
        nulls: Texts that are read as null.
        schema: Columns and types.
        stored: Columns and types as found in the files, before columns were added or void columns got a type.
        void: Columns without a value, which take the type in `schema` by a cast.
    """

    files: tuple[Path, ...]
    reader: RowReader
    delimiter: str
    encoding: str
    nulls: tuple[str, ...]
    schema: dict[str, pl.DataType]
    stored: dict[str, pl.DataType] = field(default_factory=dict)
    void: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in the order of the first file."""
        return tuple(self.schema)

    def values(self) -> list[pl.Expr]:
        """Return the expressions of the columns, with declared null texts replaced by null."""
        return [self._value(name, dtype) for name, dtype in self.schema.items()]

    def _value(self, name: str, dtype: pl.DataType) -> pl.Expr:
        """Return the expression of a column."""
        value = pl.col(name).cast(dtype) if name in self.void else pl.col(name)
        if not self.nulls or dtype not in (pl.String, pl.Categorical, pl.Enum):
            return value
        return pl.when(~value.cast(pl.String).is_in(self.nulls)).then(value)


@dataclass(frozen=True, slots=True)
class SourceSize:
    """Size of a source, as far as it is known before reading.

    Attributes:
        rows: Number of rows; None if the files do not state it.
        size: Size of the files in bytes; None for compressed or recoded text.
        row_size: Estimated bytes per row.
    """

    rows: int | None = None
    size: int | None = None
    row_size: float = 0.0

    def read(self, rows: int) -> Size | None:
        """Return the estimated bytes of this many rows and the bytes of the source, or None if unknown."""
        return None if self.size is None else (min(self.size, round(rows * self.row_size)), self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of an opened source, to be prepared, checked and read.

    Attributes:
        source: The opened source.
        path: The file; once it is prepared, the copy of it to read, if there is one.
        work: Existing folder for copies.
        fresh: Whether the file is checked, and a copy of it renewed; otherwise both were done before.
        chunk_rows: Number of rows to read at a time, if the format leaves a choice.
    """

    source: SourceFiles
    path: Path
    work: Path
    fresh: bool
    chunk_rows: int


class RowReader(ABC):
    """Reader of the files of one format, with `schema` and `read` of its own. Has no state; is pickled with tasks."""

    #: Whether each file names all its columns and has the same. Otherwise the types of the files are merged, and a
    #: column that the job names and no file has is null.
    declares_columns: ClassVar[bool] = True

    @abstractmethod
    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the columns and types of a file, reading as little as possible.

        Raises:
            SourceError: If the file is not of this format.
        """

    def prepare(self, file: SourceFile) -> Path:
        """Return the file to check and to read: the file itself, or a copy in the work folder."""
        return file.path

    def check(self, file: SourceFile) -> None:  # noqa: B027 - optional
        """Raise a SourceError if `read` would misread a prepared file without an error. Runs beside `read`."""

    @abstractmethod
    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read the rows of a prepared file in order.

        Yields:
            Frames of any size with `ROW` (integers: index in the file, from 0; null for a blank line, which has a
            number but is no row) and the columns of the source, as `SourceFiles.values` selects them.
        """

    def read_together(self, files: Sequence[SourceFile]) -> pl.DataFrame | None:  # noqa: ARG002 - optional
        """Return the rows of several small files, prepared and checked, with one query.

        Args:
            files: The files; together not larger than `SMALL_FILE_BYTES`.

        Returns:
            A frame as `read` yields it, with consecutive values of `ROW` over all files and none for blank lines; None
            to read the files one by one.
        """
        return None

    def raise_first_error(self, file: SourceFile) -> None:  # noqa: B027 - optional
        """Parse a prepared file that could not be read, slowly, and raise a SourceError that names the row."""

    def unreadable_error(self, path: Path, error: Exception) -> SourceError:
        """Return the error for a file that could not be read for another reason than an invalid row."""
        if isinstance(error, OSError) and error.strerror:
            return SourceError(f"{path} cannot be read: {error.strerror}", hint="Try again.")
        hint = "Check source.format, delimiter and encoding."
        return SourceError(f"{path} cannot be read ({type(error).__name__})", hint=hint)

    @contextmanager
    def translate_errors(
        self, path: Path, prepared: SourceFile | None = None, validation: Future[None] | None = None
    ) -> Iterator[None]:
        """Translate errors of a block that reads a file into a SourceError without values.

        Args:
            path: The file of the source.
            prepared: The prepared file, if the block reads its rows.
            validation: Running check of the prepared file; its error is more exact and takes precedence.

        Yields:
            Nothing; the block reads the file.

        Raises:
            SourceError: If the block raises an error of polars, pyarrow or the operating system.
        """
        copy = prepared.path if prepared is not None else path
        try:
            with blame_original_path(copy, path):
                yield
        except (*engine_errors(), OSError, UnicodeError) as error:
            if prepared is not None:
                with blame_original_path(copy, path):
                    if validation is not None:
                        validation.result()
                    self.raise_first_error(prepared)
            raise self.unreadable_error(path, error) from None

    def size(self, source: SourceFiles) -> SourceSize:  # noqa: ARG002 - overridden where the size is known
        """Return the size of a source, for progress."""
        return SourceSize()


def engine_errors() -> tuple[type[Exception], type[Exception], type[Exception]]:
    """Return the exceptions of polars and pyarrow; an `except` clause evaluates it only after an error."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and not needed to read the columns of most sources

    return pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException


class RandomAccessReader(RowReader):
    """Reader of a format whose files state their number of rows and whose rows can be read from any index on."""

    @abstractmethod
    def count_rows(self, path: Path) -> int:
        """Return the number of rows of a file."""

    @abstractmethod
    def read_range(self, source: SourceFiles, path: Path, begin: int, count: int) -> pl.DataFrame:
        """Return consecutive rows of a file.

        Args:
            source: The opened source.
            path: One of its files.
            begin: Index of the first row, from 0.
            count: Number of rows.

        Returns:
            The columns of the source.
        """

    def size(self, source: SourceFiles) -> SourceSize:
        """Return the exact size of a source."""
        rows = 0
        for path in source.files:
            with self.translate_errors(path):
                rows += self.count_rows(path)
        size = sum(path.stat().st_size for path in source.files)
        return SourceSize(rows, size, size / rows if rows else 0.0)


@contextmanager
def blame_original_path(prepared: Path, path: Path) -> Iterator[None]:
    """Replace the path of a copy by the path of its original in the messages of errors.

    Args:
        prepared: The copy, or the original itself.
        path: The original.

    Yields:
        Nothing; the block reads `prepared`.

    Raises:
        SourceError: If the block raises one.
    """
    try:
        yield
    except SourceError as error:
        if prepared == path or str(prepared) not in error.message:
            raise
        raise SourceError(error.message.replace(str(prepared), str(path)), hint=error.hint) from None


def inner_types(kind: pl.DataType) -> list[pl.DataType]:
    """Return the inner types of a nested type in the order in which Parquet stores them; none for a flat type."""
    found: list[DataTypeClass | pl.DataType] = []
    match kind:
        case pl.Struct():
            found += [field.dtype for field in kind.fields]
        case pl.Map():
            found += [kind.key, kind.value]
        case pl.List() | pl.Array():
            found.append(kind.inner)
        case _:
            pass
    return [dtype if isinstance(dtype, pl.DataType) else dtype() for dtype in found]


def is_too_deep(kind: pl.DataType) -> bool:
    """Return whether a type has more than `LEVELS_MAX` levels. Does not recurse."""
    inner, levels = inner_types(kind), 0
    while inner and levels <= LEVELS_MAX:
        inner = [dtype for outer in inner for dtype in inner_types(outer)]
        levels += 1
    return levels > LEVELS_MAX
