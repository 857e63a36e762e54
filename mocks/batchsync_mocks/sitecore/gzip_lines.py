"""An uploaded gzip file as lines, within bounds: whole files are never in memory, and a gzip bomb is given up on.

It does not know what the lines mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from isal import igzip, isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE_LIMIT = 1 << 20
EXPANDED_LIMIT = 2 << 30
LINES_LIMIT = 5_000_000
_PIECE = 1 << 20
# isal has an error of its own for a broken block, beside those of the standard library for what is around it.
_BROKEN = (OSError, EOFError, cast("type[Exception]", isal_zlib.IsalError))


class Unusable(Exception):  # noqa: N818 - it is the customer's file that is unusable
    """The file as a whole cannot be processed; the text says why without quoting it."""


def check_whole(file: Path) -> None:
    """Unpack a file once, keeping nothing, so that a broken one is found before anything is applied.

    Raises:
        Unusable: not gzip, cut short, or it expands to more than 2 GiB or 5,000,000 lines.
    """
    rows = 0
    for piece in _expanded(file):
        rows += piece.count(b"\n")
        _bound(rows)


def pieces(file: Path) -> Iterator[list[bytes]]:
    """Read the lines of a file, many at a time and without their ends; one of more than 1 MiB comes cut, but too long.

    Raises:
        Unusable: as `check_whole`, once the place is reached where it is so.
    """
    rest, rows = b"", 0
    for piece in _expanded(file):
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()[: LINE_LIMIT + 1]
        rows += len(lines)
        _bound(rows)
        yield lines
    if rest:
        yield [rest]


def lines(file: Path, *, skip_blank: bool = True) -> Iterator[tuple[int, bytes | None]]:
    """Read the record lines with their numbers, from 1; blank lines are passed over (assumption 23).

    A line of more than 1 MiB shows as None.

    Raises:
        Unusable: as `pieces`.
    """
    number = 0
    for several in pieces(file):
        for line in several:
            number += 1
            if len(line) > LINE_LIMIT:
                yield number, None
            elif not skip_blank or line.strip():
                yield number, line


def _expanded(file: Path) -> Iterator[bytes]:
    size = 0
    try:
        with igzip.open(file, "rb") as stream:  # type: ignore[no-untyped-call]  # isal ships no types
            while piece := stream.read(_PIECE):
                size += len(piece)
                if size > EXPANDED_LIMIT:
                    _bound(LINES_LIMIT + 1)
                yield piece
    except _BROKEN:
        msg = "the file is not whole gzip"
        raise Unusable(msg) from None


def _bound(rows: int) -> None:
    if rows > LINES_LIMIT:
        msg = "the file expands to more than 2 GiB or 5,000,000 lines"
        raise Unusable(msg)
