"""What the path of a source says: where it is, by its scheme, and the format of its files, by their ending."""

from __future__ import annotations

import re

#: Endings of the files of each bundled format, which `.gz` may follow. An installed format's name is its ending, too.
BUNDLED_FORMATS = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
}


def format_by_ending(path: str) -> str:
    """Return the format that a path's ending names: a bundled one, else the ending itself without its dot."""
    name = path.casefold().removesuffix(".gz").rpartition("/")[2]
    ending = name[name.rfind(".") :] if "." in name else ""
    return next((found for found, endings in BUNDLED_FORMATS.items() if ending in endings), ending.removeprefix("."))


def scheme_of(path: str) -> str:
    """Return the scheme of a source elsewhere (`s3` of `s3://bucket/key`); empty for a local path."""
    found = re.match(r"([a-z][a-z0-9+.-]*)://", path)
    return found[1] if found else ""
