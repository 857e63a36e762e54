"""Reading of gzip files that are complete and intact."""

from __future__ import annotations

from typing import IO, cast

from isal import igzip, isal_zlib

#: What reading damaged gzip raises: cut short, wrong around the data, a broken block.
DAMAGED = (EOFError, igzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError))


def read_gzip(raw: IO[bytes]) -> IO[bytes]:
    """Return the content of an open gzip file as a stream."""
    return cast("IO[bytes]", igzip.GzipFile(fileobj=raw))  # type: ignore[no-untyped-call]  # isal ships no types
