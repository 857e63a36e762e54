"""Formats of source files by their names and endings. An installed format's name is its ending, too."""

from __future__ import annotations

#: Endings of the files of each bundled format; `.gz` may follow.
BUNDLED = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
}


def format_by_ending(path: str) -> str:
    """Return the format that a path's ending names: a bundled one, else the ending itself without its dot."""
    name = path.casefold().removesuffix(".gz").rpartition("/")[2]
    ending = name[name.rfind(".") :] if "." in name else ""
    return next((found for found, endings in BUNDLED.items() if ending in endings), ending.removeprefix("."))
