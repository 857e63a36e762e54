"""Interface of a source format, and the description of the opened files of a source.

A format is one class derived from `RowReader`. Installed packages add theirs with an entry point in the group
`batchsync.row_readers`, whose name is the name of the format and the ending of its files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import polars as pl

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.sheet import Sheet
from batchsync.errors import BatchsyncError, SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from polars.datatypes import DataTypeClass

    from batchsync.core.job import Source
    from batchsync.data.row.file_state import FileState
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
        dialect: Dialect of CSV files.
        sheet: What is read of workbooks.
        nulls: Texts that are read as null.
        schema: Columns and types.
        stored: Columns and types as found in the files, before columns were added or void columns got a type.
        void: Columns without a value, which take the type in `schema` by a cast.
        unreadable: Columns that cannot be read, each with the reason; null in `schema`.
        path_columns: For each file, the values of the columns that are named in its path (`month=2026-01`).
        names: What messages call landed files: where each was at its source. Other files are called by their path.
        states: States of the files before they were opened, in the order of `files`.
    """

    files: tuple[Path, ...]
    reader: RowReader
    delimiter: str
    encoding: str
    nulls: tuple[str, ...]
    schema: dict[str, pl.DataType]
    stored: dict[str, pl.DataType] = field(default_factory=dict)
    void: frozenset[str] = frozenset()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    path_columns: Mapping[Path, Mapping[str, str | None]] = field(default_factory=dict)
    names: Mapping[Path, str] = field(default_factory=dict)
    dialect: CsvDialect = field(default=CsvDialect())
    sheet: Sheet = field(default=Sheet())
    states: tuple[FileState, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in the order of the first file."""
        return tuple(self.schema)

    @property
    def within_files(self) -> Self:
        """The source without the columns that are named in the paths of its files."""
        if not self.path_columns:
            return self
        outside = {name for found in self.path_columns.values() for name in found}
        schema = {name: dtype for name, dtype in self.schema.items() if name not in outside}
        return replace(self, schema=schema, path_columns={})

    def with_path_columns(self, frame: pl.DataFrame, path: Path) -> pl.DataFrame:
        """Return rows of a file, read `within_files`, with all columns of the source, after the other columns."""
        if not self.path_columns:
            return frame
        texts = self.path_columns.get(path, {})
        values = {name: pl.lit(texts.get(name), dtype=pl.String) for name in self.schema if name not in frame.columns}
        others = [name for name in frame.columns if name not in self.schema]
        return frame.with_columns(**values).select(*others, *self.schema)

    def used(self, names: Collection[str]) -> Self:
        """Return the source with the named columns only, if its reader can leave the others out."""
        if not self.reader.reads_used_columns:
            return self
        return replace(self, schema={name: dtype for name, dtype in self.schema.items() if name in names})

    def values(self) -> list[pl.Expr]:
        """Return the expressions of the columns, with declared null texts replaced by null."""
        return [
            self._value(name, pl.col(name).cast(dtype) if name in self.void else pl.col(name))
            for name, dtype in self.schema.items()
        ]

    def values_of(self, stored: Mapping[str, tuple[pl.Expr, pl.DataType]]) -> list[pl.Expr]:
        """Return the expressions of the columns over a file that stores some of them, perhaps with other types.

        Args:
            stored: For each stored column its value and type.

        Returns:
            The expressions, cast to the types of the source, with declared null texts replaced by null.
        """
        found = []
        for name, dtype in self.schema.items():
            value, kind = stored.get(name, (pl.lit(None), pl.Null()))
            found.append(self._value(name, value if kind == dtype else value.cast(dtype)))
        return found

    def _value(self, name: str, value: pl.Expr) -> pl.Expr:
        """Return the expression of a column with declared null texts replaced by null."""
        if self.nulls and self.schema[name] in (pl.String, pl.Categorical, pl.Enum):
            value = pl.when(~value.cast(pl.String).is_in(self.nulls)).then(value)
        return value.alias(name)


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
    #: Whether files that declare their columns may differ in compatible types, and lack columns, which are then null.
    merges_types: ClassVar[bool] = False
    #: Whether the columns of a source may be reduced to those that a job uses.
    reads_used_columns: ClassVar[bool] = False

    @abstractmethod
    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the columns and types of a file, reading as little as possible.

        Raises:
            SourceError: If the file is not of this format.
        """

    def unreadable(self, path: Path, source: Source) -> Mapping[str, str]:  # noqa: ARG002 - optional
        """Return the columns of a file that cannot be read, each with the reason; they are null in `schema`."""
        return {}

    def prepare(self, file: SourceFile) -> Path:
        """Return the file to check and to read: the file itself, or a copy in the work folder."""
        return file.path

    def check(self, file: SourceFile) -> None:  # noqa: B027 - optional
        """Raise a SourceError if `read` would misread a prepared file without an error. Runs while `read` does."""

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
        self, path: Path, prepared: SourceFile | None = None, validation: Future[None] | None = None, *, name: str = ""
    ) -> Iterator[None]:
        """Translate errors of a block that reads a file into a SourceError without values.

        Args:
            path: The file of the source.
            prepared: The prepared file, if the block reads its rows.
            validation: Running check of the prepared file; its error is more exact and takes precedence.
            name: What messages call the file; empty for its path.

        Yields:
            Nothing; the block reads the file.

        Raises:
            BatchsyncError: If the block raises one.
            SourceError: If the block raises another error.
        """
        copy = prepared.path if prepared is not None else path
        with name_in_errors(path, name or str(path)):
            try:
                with name_in_errors(copy, str(path)):
                    yield
            except BatchsyncError:
                raise
            except (pl.exceptions.PanicException, Exception) as error:  # noqa: BLE001 - a reader may fail with any error
                if prepared is not None:
                    with name_in_errors(copy, str(path)):
                        self._raise_exact_error(prepared, validation)
                raise self.unreadable_error(path, error) from None

    def _raise_exact_error(self, prepared: SourceFile, validation: Future[None] | None) -> None:
        """Raise the error of the check, or that of the first invalid row; return if there is none of batchsync's."""
        try:
            if validation is not None:
                validation.result()
            self.raise_first_error(prepared)
        except BatchsyncError:
            raise
        except (pl.exceptions.PanicException, Exception):  # noqa: BLE001 - the caller raises the error it has
            return

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
            with self.translate_errors(path, name=source.names.get(path, "")):
                rows += self.count_rows(path)
        size = sum(path.stat().st_size for path in source.files)
        return SourceSize(rows, size, size / rows if rows else 0.0)


@contextmanager
def name_in_errors(path: Path, name: str) -> Iterator[None]:
    """Replace the path of a file in the messages of errors.

    Args:
        path: The file: a copy of one of the source, or a landed one.
        name: What messages call it.

    Yields:
        Nothing; the block reads the file.

    Raises:
        SourceError: If the block raises one.
    """
    try:
        yield
    except SourceError as error:
        if str(path) == name or str(path) not in error.message:
            raise
        raise SourceError(error.message.replace(str(path), name), hint=error.hint) from None


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
