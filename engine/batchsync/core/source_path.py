"""What the path of a source says: where it is, by its scheme, and the format of its files, by their ending."""

from __future__ import annotations

import re

#: What stands in a path for a value of the environment that is not read.
UNREAD = "placeholder"
#: Endings of the files of each bundled format, which an ending of `COMPRESSIONS` may follow. The name of an installed
#: format is its ending, too.
BUNDLED_FORMATS = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "excel": (".xlsx", ".xlsm"),
}

#: Endings of workbooks that cannot be read exactly.
OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods")
#: Path of the standard input.
STDIN = "-"
#: Endings of compressed files of text.
COMPRESSIONS = (".gz", ".zip", ".zst", ".zstd", ".bz2")


def format_by_ending(path: str) -> str:
    """Return the format that a path's ending names: a bundled one, else the ending itself without its dot."""
    ending = text_ending(path)
    return next((found for found, endings in BUNDLED_FORMATS.items() if ending in endings), ending.removeprefix("."))


def text_ending(path: str) -> str:
    """Return the ending of a path in small letters, without that of a compression: `.csv` of `A.CSV.gz`."""
    name = path.casefold().rpartition("/")[2]
    name = next((name.removesuffix(ending) for ending in COMPRESSIONS if name.endswith(ending)), name)
    return name[name.rfind(".") :] if "." in name else ""


def scheme_of(path: str) -> str:
    """Return the scheme of a source elsewhere (`s3` of `s3://bucket/key`); empty for a local path."""
    found = re.match(r"([a-z][a-z0-9+.-]*)://", path)
    return found[1] if found else ""
