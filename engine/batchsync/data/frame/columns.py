"""The names of the columns that the data path adds to a source's own. They cannot be column names of a source.

It does not know what stands in them beyond one line each.
"""

from __future__ import annotations

#: Every internal name begins so; a source whose header does is refused.
PREFIX = "batchsync:"
#: row of the source, from 1
ROW = "batchsync:row"
#: canonical text of the key; null when a part of it is missing
KEY = "batchsync:key"
#: row of the first source row of the same record (`each:`)
HEAD = "batchsync:head"
#: fingerprint, 20 bytes
FINGERPRINT = "batchsync:fingerprint"
#: value that decides between duplicates (`by:column`)
RANK = "batchsync:rank"
#: what the comparison found about a row that is to be sent
SENT_ROW = "batchsync:sent_row"
SENT_KEY = "batchsync:sent_key"
SENT_AS = "batchsync:sent_fingerprint"
OP = "batchsync:op"
#: our reference of the record
REF = "batchsync:ref"
#: rows below the high water mark
OLD = "batchsync:old"


def leaf_column(index: int) -> str:
    """Return the column of a mapped value."""
    return f"batchsync:v{index}"


def error_column(index: int) -> str:
    """Return the column that says where a mapped value could not be made."""
    return f"batchsync:flaw{index}"


def masked_column(index: int) -> str:
    """Return the column with the masked text that a flaw shows."""
    return f"batchsync:shown{index}"


def list_column(index: int) -> str:
    """Return the column with the items of an `each:`, as JSON text."""
    return f"batchsync:each{index}"


def count_column(index: int) -> str:
    """Return the column with the number of items of an `each:`."""
    return f"batchsync:items{index}"
