"""Reader of CSV files. All columns are text; an empty field is null.

polars fills short rows with nulls, merges rows across unbalanced quotes and treats a stray carriage return as part of
the value, all without an error. Each file is checked by a fast pass (`csv_scan`); one that fails it is parsed row by
row to locate the error (`csv_rows`). Files of another dialect than the plain one are rewritten first (`csv_rewrite`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from batchsync.core.csv_dialect import CsvDialect
from batchsync.data.frame.columns import ROW
from batchsync.data.row.csv_header import read_header
from batchsync.data.row.csv_rewrite import rewrite
from batchsync.data.row.csv_rows import BOM, UNNAMED, CsvFile, raise_first_error
from batchsync.data.row.csv_scan import find_blank_rows, has_short_rows, passes
from batchsync.data.row.row_reader import engine_errors, name_in_errors
from batchsync.data.row.text_reader import TextFile, TextReader, require_text
from batchsync.errors import SourceError
from batchsync.util.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile, SourceFiles

#: Dialect of the files that polars reads.
_PLAIN = CsvDialect()


class CsvReader(TextReader):
    """Reader of CSV files."""

    skips_bom: ClassVar[bool] = True

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the columns that have a name, all text.

        Raises:
            SourceError: If the delimiter is not one ASCII character, the file is no text in its encoding, or there is
                no valid header.
        """
        if len(source.delimiter.encode()) != 1:
            hint = "Use one ASCII character, such as , or ; or a tab."
            raise SourceError(f"{source.place}: {source.delimiter!r} cannot be a delimiter", hint=hint)
        file = TextFile(path=path, encoding=source.encoding)
        require_text(file)
        header = read_header(file, source.delimiter, source.dialect)
        return dict.fromkeys((name for name in header if not name.startswith(UNNAMED)), pl.String())

    def prepare(self, file: SourceFile) -> Path:
        """Return a plain UTF-8 file of the plain dialect: the file itself, or a complete copy in the work folder.

        Raises:
            SourceError: If the file cannot be read or decoded, or is rewritten and has an invalid row.
        """
        path, source = super().prepare(file), file.source
        if source.dialect.is_plain:
            if file.fresh and not has_short_rows(path):
                with name_in_errors(path, str(file.path)):
                    self.raise_first_error(replace(file, path=path))
            return path
        copy = file.work / f"{path.stem}-{sha256_of(os.fsencode(file.path))[:16]}.csv"
        if file.fresh or not copy.exists():
            with name_in_errors(path, str(file.path)):
                header = read_header(TextFile(path=path, encoding="utf-8"), source.delimiter, source.dialect)
                rewrite(CsvFile(path=path, delimiter=source.delimiter, dialect=source.dialect), header, copy)
        return copy

    def check(self, file: SourceFile) -> None:
        """Check the structure of a prepared file and report its first invalid row.

        Raises:
            SourceError: If a row has another number of fields, a quote is not closed, an unquoted carriage return is
                not followed by a line feed, a row is longer than the limit, or a byte is not UTF-8.
        """
        header = self._header(file)
        if not passes(file.path, file.source.delimiter, len(header)):
            raise_first_error(_plain(file), header)

    def scan(self, file: SourceFile) -> pl.LazyFrame:
        """Return a scan of a prepared file: `ROW` from 0, and the columns in the order of the source."""
        return self._scan([file.path], file.source, self._header(file)).select(ROW, *file.source.columns)

    def _scan(self, paths: list[Path], source: SourceFiles, header: tuple[str, ...]) -> pl.LazyFrame:
        """Return a scan of prepared files with the same header: `ROW` and all columns, also those without a name."""
        return pl.scan_csv(
            paths,
            new_columns=list(header),
            separator=source.delimiter,
            infer_schema=False,
            null_values=["", *source.nulls],
            row_index_name=ROW,
            glob=False,
        )

    def _header(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names of all columns of a prepared file."""
        return read_header(TextFile(path=file.path, encoding="utf-8"), file.source.delimiter, _PLAIN)

    def read_together(self, files: Sequence[SourceFile]) -> pl.DataFrame | None:
        """Return the rows of files with the same header, unless one has a blank line or cannot be read.

        Args:
            files: The files, of one source.

        Returns:
            The rows as `RowReader.read_together` describes them.
        """
        source = files[0].source
        try:
            headers = {self._header(file) for file in files}
            if len(headers) > 1:
                return None
            header = headers.pop()
            rows = self._scan([file.path for file in files], source, header).collect(engine="streaming")
        except (*engine_errors(), SourceError, OSError):
            return None
        if _has_row_of_nulls(rows, source.columns) or _is_suspect(rows, header):
            return None
        return rows.select(ROW, *source.columns)

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a prepared file; its blank lines, which are searched for at the first row of nulls, have no `ROW`.

        Yields:
            The frames that `RowReader.read` describes.

        Raises:
            SourceError: If a row repeats the header, begins with a byte order mark, or has a value without a column.
        """
        header, columns = self._header(file), file.source.columns
        blank: pl.Series | None = None
        is_checked = not file.fresh
        for frame in self.run(self._scan([file.path], file.source, header), file):
            if not is_checked and _is_suspect(frame, header):
                raise_first_error(_plain(file), header)
                is_checked = True
            if blank is None and _has_row_of_nulls(frame, columns):
                blank = pl.Series(find_blank_rows(file.path), dtype=pl.UInt32)
            rows = frame.select(ROW, *columns)
            if blank is None:
                yield rows
            else:
                yield rows.with_columns(pl.when(~pl.col(ROW).is_in(blank.implode())).then(ROW).alias(ROW))

    def raise_first_error(self, file: SourceFile) -> None:
        """Parse a file row by row and raise an error for its first invalid row; return if there is none.

        Raises:
            SourceError: If a row is invalid, or has an unescaped quotation mark, which polars may refuse.
        """
        header = self._header(file)
        raise_first_error(_plain(file), header)
        raise_first_error(_plain(file), header, strict_quotes=True)


def _plain(file: SourceFile) -> CsvFile:
    """Return a prepared file."""
    return CsvFile(path=file.path, delimiter=file.source.delimiter, dialect=_PLAIN)


def _is_suspect(frame: pl.DataFrame, header: tuple[str, ...]) -> bool:
    """Return whether a row may repeat the header, begins with a byte order mark, or has a value without a column."""
    unnamed = [name for name in header if name.startswith(UNNAMED)]
    if any(frame[name].null_count() < frame.height for name in unnamed):
        return True
    first = frame[header[0]]
    if first.str.starts_with(BOM).any():
        return True
    named = [name for name in header if name and name not in unnamed]
    if not named or not (frame[named[0]] == named[0]).any():
        return False
    return bool(frame.select(pl.all_horizontal(pl.col(name) == pl.lit(name) for name in named).any()).item())


def _has_row_of_nulls(frame: pl.DataFrame, columns: tuple[str, ...]) -> bool:
    """Return whether all columns of a row are null."""
    if not columns or not frame[columns[0]].null_count():
        return False
    return bool(frame.select(pl.all_horizontal(pl.col(columns).is_null()).any()).item())
