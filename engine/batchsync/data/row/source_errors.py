"""Whatever goes wrong while a source is read is a `SourceError` that names the file and, where there is one, the row.

It does not know what is read next. Of the values of a row it says nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from lading.data import jsonlines, soundness
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from lading.data.read import Input

#: What the columnar reader raises.
ENGINE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException)


@contextmanager
def instead(plain: Path, path: Path) -> Iterator[None]:
    """Let errors about a copy name the file that it is of."""
    try:
        yield
    except SourceError as error:
        if plain == path or str(plain) not in error.message:
            raise
        raise SourceError(error.message.replace(str(plain), str(path)), hint=error.hint) from None


@contextmanager
def reading(
    path: Path, given: Input | None = None, plain: Path | None = None, sound: Future[None] | None = None
) -> Iterator[None]:
    """Turn whatever goes wrong in a block that reads `path` into a SourceError without values.

    `sound` is the check of the same file that runs beside; what it says is more exact and comes first.
    """
    try:
        with instead(plain or path, path):
            yield
    except (*ENGINE, OSError, UnicodeError) as error:
        if given is not None and plain is not None:
            with instead(plain, path):
                _explain(path, given, plain, sound)
        if path.suffix.lower() in {".parquet", ".pq"} or (given and given.format == "parquet"):
            hint = "Write it again; a download that was cut short is the usual cause."
            raise SourceError(f"{path} is no whole Parquet file", hint=hint) from None
        if isinstance(error, OSError) and error.strerror:
            raise SourceError(f"{path} cannot be read: {error.strerror}", hint="Try again.") from None
        hint = "Check source.format, delimiter and encoding."
        raise SourceError(f"{path} cannot be read ({type(error).__name__})", hint=hint) from None


def _explain(path: Path, given: Input, plain: Path, sound: Future[None] | None) -> None:
    """Look again, slowly, for the row that the columnar reader stumbled over."""
    if sound is not None:
        sound.result()
    if given.format == "jsonl":
        jsonlines.explain(plain, given.schema)
    if given.format == "csv":
        soundness.explain(plain, given.delimiter, len(given.columns))
        hint = "Quote the whole field and double the quotation marks inside it."
        raise SourceError(f"{path}: a quotation mark stands inside a field that is not quoted", hint=hint) from None
