"""Streaming of uploaded gzip files as lines, with limits that stop gzip bombs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from isal import igzip, isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE_LIMIT = 1 << 20
EXPANDED_LIMIT = 2 << 30
LINES_LIMIT = 5_000_000
_CHUNK = 1 << 20
# isal raises its own error for a broken block, besides those of the standard library.
_BROKEN = (OSError, EOFError, cast("type[Exception]", isal_zlib.IsalError))


class UnusableFileError(Exception):
    """Error for a file that cannot be processed as a whole; the text gives the reason without file content."""


def check_complete(file: Path) -> None:
    """Decompress a file once, so that a broken file is detected before anything is applied.

    Raises:
        UnusableFileError: If the file is not gzip, is truncated, or expands to more than 2 GiB or 5,000,000 lines.
    """
    rows = 0
    for chunk in _decompress(file):
        rows += chunk.count(b"\n")
        _check_lines(rows)


def line_chunks(file: Path) -> Iterator[list[bytes]]:
    """Read lines in lists, without line ends; a line of more than 1 MiB is cut, but stays above the limit.

    Yields:
        The next lines.

    Raises:
        UnusableFileError: As `check_complete`, when the invalid block is reached.
    """
    rest, rows = b"", 0
    for chunk in _decompress(file):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: LINE_LIMIT + 1]
        rows += len(lines)
        _check_lines(rows)
        yield lines
    if rest:
        yield [rest]


def lines(file: Path, *, skip_blank: bool = True) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line); a line of more than 1 MiB is None.

    Args:
        file: The upload.
        skip_blank: Whether to skip blank lines (assumption 23).

    Raises:
        UnusableFileError: As `line_chunks`.
    """
    number = 0
    for chunk in line_chunks(file):
        for line in chunk:
            number += 1
            if len(line) > LINE_LIMIT:
                yield number, None
            elif not skip_blank or line.strip():
                yield number, line


def _decompress(file: Path) -> Iterator[bytes]:
    """Yield the expanded chunks of a file."""
    size = 0
    try:
        with igzip.open(file, "rb") as stream:  # type: ignore[no-untyped-call]  # isal ships no types
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > EXPANDED_LIMIT:
                    _check_lines(LINES_LIMIT + 1)
                yield chunk
    except _BROKEN:
        msg = "the file is not complete gzip"
        raise UnusableFileError(msg) from None


def _check_lines(rows: int) -> None:
    """Raise if a file has too many lines."""
    if rows > LINES_LIMIT:
        msg = "the file expands to more than 2 GiB or 5,000,000 lines"
        raise UnusableFileError(msg)
