"""A source is a stream of frames with row numbers, or a `SourceError` that says which file, which row and what to do.

It does not know keys or mappings. CSV is text in every column; an empty field is null.
"""

from __future__ import annotations

import glob
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lading.data import jsonlines, parquet, soundness
from lading.data.files import TextFile, format_of, locate, readable_copy
from lading.data.misread import ENGINE, instead, reading
from lading.data.names import PREFIX, ROW
from lading.data.nested_types import LEVELS_MAX, is_too_deep
from lading.data.pull import LITTLE, at_once, batches, stretches
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lading.core.job import Join, Source

#: Rows in a frame: the flat optimum of PERFORMANCE.md section 4.
FRAME_ROWS = 25_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
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


def open_source(source: Source) -> Input:
    """Look at the files of a source: format, columns, types. Reads as little as it can.

    Raises:
        SourceError: when a file is missing, unreadable, empty, not what its name says, or has other columns.
    """
    files = locate(source.path, source.folder)
    return _open(files, source, format_of(files[0], source.format))


def open_join(source: Source, join: Join) -> Input:
    """Look at the file of a join; its format follows from its ending, CSV settings are those of the source."""
    files = locate(join.path, source.folder)
    return _open(files, source, format_of(files[0], None))


def _open(files: tuple[Path, ...], source: Source, kind: str) -> Input:
    """Look at each file and refuse those that differ from the first."""
    first: dict[str, pl.DataType] | None = None
    for path in files:
        with reading(path):
            schema = _schema(path, kind, source)
        reserved = [one for one in schema if one.startswith(PREFIX)]
        if reserved:
            raise SourceError(f"{path}: column names may not begin with {PREFIX!r}", hint="Rename the column.")
        if deep := next((one for one, kind in schema.items() if is_too_deep(kind)), None):
            hint = "Export it flatter, or leave the column out."
            raise SourceError(f"{path}: column {deep!r} is nested more than {LEVELS_MAX} levels deep", hint=hint)
        if first is None:
            first = schema
        elif kind == "jsonl":
            first = _together(first, schema, path)
        elif set(schema) != set(first):
            other = ", ".join(sorted(set(schema) ^ set(first))[:5])
            hint = "Files of one glob need the same columns; split the job or fix the export."
            raise SourceError(f"{path} and {files[0].name} differ in columns: {other}", hint=hint)
        elif schema != first:
            other = ", ".join(one for one in first if schema[one] != first[one])
            hint = "Write the files with the same types."
            raise SourceError(f"{path} and {files[0].name} differ in the types of: {other}", hint=hint)
    return Input(
        files=files,
        format=kind,
        delimiter=source.delimiter,
        encoding=source.encoding,
        nulls=source.nulls,
        schema=first or {},
        stored=first if kind == "parquet" else None,
    )


def _schema(path: Path, kind: str, source: Source) -> dict[str, pl.DataType]:
    """Return the columns and types of one file."""
    if kind == "csv":
        if len(source.delimiter.encode()) != 1:
            hint = "Write one plain character, such as , or ; or a tab."
            raise SourceError(f"{source.place}: {source.delimiter!r} cannot be a delimiter", hint=hint)
        names = soundness.header(TextFile(path=path, encoding=source.encoding), source.delimiter)
        return dict.fromkeys(names, pl.String())
    if kind == "parquet":
        return parquet.schema_of(path)
    file = TextFile(path=path, encoding=source.encoding, marked=False)
    with tempfile.TemporaryDirectory() as folder:
        plain = readable_copy(file, Path(folder), fresh=True)
        with instead(plain, path):
            try:
                return jsonlines.schema_of(plain)
            except ENGINE:
                jsonlines.explain(plain)
                raise


def _together(first: dict[str, pl.DataType], other: dict[str, pl.DataType], path: Path) -> dict[str, pl.DataType]:
    """Return the members of JSON lines in several files: what one has no value for says nothing of its type."""
    try:
        return jsonlines.merged(first, other)
    except ENGINE:
        names = ", ".join(one for one in first if one in other and first[one] != other[one])
        hint = "Export each member with one type."
        raise SourceError(f"{path} and the files before it differ in the types of: {names}", hint=hint) from None


def frames(given: Input, work: Path, *, fresh: bool, piece: int = FRAME_ROWS) -> Iterator[pl.DataFrame]:
    """Yield the rows in frames with their number in `ROW`, blank lines left out.

    Each frame but the last is made of exactly FRAME_ROWS rows of the source, whatever the reader gives and however
    the rows are spread over files. `fresh` checks the files and renews their copies in the work folder; otherwise
    both are trusted. `piece` is how many rows of a text file are taken from the reader at a time.

    Raises:
        SourceError: for whatever cannot be read to its end.
    """
    kept: list[pl.DataFrame] = []
    height = 0
    blank = _Blank()
    for frame in _pieces(given, work, piece, blank, fresh=fresh):
        kept.append(frame)
        height += frame.height
        if height >= FRAME_ROWS:
            whole = pl.concat(kept) if len(kept) > 1 else frame
            begin = 0
            while height - begin >= FRAME_ROWS:
                yield blank.left_out(whole[begin : begin + FRAME_ROWS])
                begin += FRAME_ROWS
            kept = [whole[begin:]] if begin < height else []
            height -= begin
    if kept:
        yield blank.left_out(pl.concat(kept))


@dataclass(slots=True)
class _Blank:
    """The numbers of blank lines, which are no records, in the files that have some."""

    rows: list[pl.Series] = field(default_factory=list)

    def look(self, given: Input, plain: Path, frame: pl.DataFrame, offset: int) -> bool:
        """Find the blank lines of a CSV file, when a frame has a row without a value; return whether it was done."""
        if given.format != "csv" or not given.columns or not frame[given.columns[0]].null_count():
            return False
        if not frame.select(pl.all_horizontal(pl.col(given.columns).is_null()).any()).item():
            return False
        self.rows.append(pl.Series(soundness.blank_rows(plain), dtype=pl.Int64) + (offset + 1))
        return True

    def left_out(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a frame that are no blank lines."""
        for rows in self.rows:
            frame = frame.filter(~pl.col(ROW).is_in(rows.implode()))
        return frame


def _pieces(given: Input, work: Path, piece: int, blank: _Blank, *, fresh: bool) -> Iterator[pl.DataFrame]:
    """Yield the rows of all files as the reader gives them, numbered; note which are blank lines."""
    offset = 0
    with ThreadPoolExecutor(1) as beside:
        for path in given.files:
            with reading(path):
                plain = path
                if given.format != "parquet":
                    text = TextFile(path=path, encoding=given.encoding, marked=given.format == "csv")
                    plain = readable_copy(text, work, fresh=fresh)
            sound: Future[None] | None = None
            if given.format != "parquet" and fresh:
                submit = _now if plain.stat().st_size <= LITTLE else beside.submit
                sound = submit(_check, given, plain)
            rows, looked, inexact = 0, False, not fresh
            with reading(path, given, plain, sound):
                for frame in _pulled(given, plain, piece):
                    rows += frame.height
                    looked = looked or blank.look(given, plain, frame, offset)
                    inexact = inexact or _look_at_floats(given, plain, frame)
                    yield frame.with_columns((pl.col(ROW).cast(pl.Int64) + (offset + 1)).alias(ROW))
                if sound is not None:
                    sound.result()
            offset += rows


def _check(given: Input, plain: Path) -> None:
    """Refuse a file of text that the reader would take for another one in silence."""
    if given.format == "csv":
        soundness.check(plain, given.delimiter, len(given.columns))
    else:
        jsonlines.check(plain)


def _look_at_floats(given: Input, plain: Path, frame: pl.DataFrame) -> bool:
    """Look for whole numbers that floats cannot hold, when a frame may have one; return whether it was done."""
    if given.format != "jsonl":
        return False
    floats = [name for name, kind in given.schema.items() if kind.is_float()]
    large = [pl.col(name).abs() >= jsonlines.EXACT for name in floats]
    if not large or not frame.select(pl.any_horizontal(large).any()).item():
        return False
    jsonlines.check_whole(plain, floats)
    return True


def _now(check: Callable[..., None], *given: object) -> Future[None]:
    """Do at once what a thread would do beside."""
    done: Future[None] = Future()
    try:
        check(*given)
        done.set_result(None)
    except (SourceError, OSError, UnicodeError) as error:
        done.set_exception(error)
    return done


def _pulled(given: Input, plain: Path, piece: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of one file at the pace of the consumer."""
    if given.format == "parquet":
        return stretches(_scan(given, plain), parquet.rows_of(plain))
    if plain.stat().st_size <= LITTLE:
        return at_once(_scan(given, plain), FRAME_ROWS)
    return batches(_scan(given, plain), piece)


def _scan(given: Input, plain: Path) -> pl.LazyFrame:
    """Return the lazy rows of one file, with ROW from 0 and the columns in the order of the first file."""
    if given.format == "csv":
        header = soundness.header(TextFile(path=plain, encoding="utf-8"), given.delimiter)
        rows = pl.scan_csv(
            plain,
            new_columns=list(header),
            separator=given.delimiter,
            infer_schema=False,
            null_values=["", *given.nulls],
            row_index_name=ROW,
            glob=False,
        )
    elif given.format == "parquet":
        rows = parquet.scan(given, plain, row_index=ROW)
    elif not given.schema:
        return pl.LazyFrame(schema={ROW: pl.UInt32})
    else:
        rows = pl.scan_ndjson(glob.escape(str(plain)), schema=given.schema, row_index_name=ROW)
    return rows.select(ROW, *given.values())
