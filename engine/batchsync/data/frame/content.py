"""Columns that hold the content of accepted records, in row manifests and baseline segments of jobs that keep it.

`baseline: {keep: members}` keeps a hash per member, `keep: records` the record as well. Files of other jobs lack the
columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.keep import Keep

if TYPE_CHECKING:
    from collections.abc import Iterable

#: JSON array: what was kept (members, records), then the paths of the members that have a hash.
LAYOUT = "layout"
#: The hash of each member in the order of the layout, `HASH_BYTES` each; zero if the record lacks the member.
HASHES = "hashes"
#: The record as JSON.
RECORD = "record"
#: Beginning of the digest of the batch file that delivered the accepted version; kept by each job, in segments only.
FILE = "file"
FILE_DIGITS = 16
#: All columns of content.
CONTENT: dict[str, type[pl.DataType]] = {LAYOUT: pl.String, HASHES: pl.Binary, RECORD: pl.String, FILE: pl.String}
#: Bytes of the hash of a member.
HASH_BYTES = 4
#: Columns of row manifests by what a job keeps.
COLUMNS_OF = {
    Keep.FINGERPRINTS: (),
    Keep.MEMBERS: (LAYOUT, HASHES),
    Keep.RECORDS: (LAYOUT, HASHES, RECORD),
}


def content_among(names: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of content among some column names, in the order of `CONTENT`."""
    found = frozenset(names)
    return tuple(name for name in CONTENT if name in found)


def content_schema(names: Iterable[str], **more: type[pl.DataType]) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return a schema of some other columns, followed by some columns of content."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = dict(more)
    return schema | {name: CONTENT[name] for name in names}


def layout_prefix(keep: Keep) -> str:
    """Return how the layouts of what a job keeps begin."""
    return f'["{keep}"'
