"""Search of a state folder for a text: in every byte of every file, and in its decompressed and decoded content."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def files_with(folder: Path, text: str) -> list[str]:
    """Return the files of a folder, relative to it, in which a text is found, regardless of case."""
    wanted = text.lower().encode()
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(wanted in content.lower() for content in contents(path))
    )


def contents(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, and its content: decompressed gzip members, all values of Parquet."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"PAR1"):
        frame = pl.read_parquet(path, glob=False)
        yield json.dumps(frame.to_dicts(), default=str, ensure_ascii=False).encode()
    if data.startswith(b"\x1f\x8b"):
        try:
            yield gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            yield zlib.decompressobj(31).decompress(data)
