"""The names of the columns that the data path adds to a source's own. They cannot be column names of a source.

It does not know what stands in them beyond one line each.
"""

from __future__ import annotations

#: Every internal name begins so; a source whose header does is refused.
PREFIX = "lading:"
#: row of the source, from 1
ROW = "lading:row"
#: canonical text of the key; null when a part of it is missing
KEY = "lading:key"
#: row of the first source row of the same record (`each:`)
HEAD = "lading:head"
#: fingerprint, 20 bytes
FINGERPRINT = "lading:fingerprint"
#: value that decides between duplicates (`by:column`)
RANK = "lading:rank"
#: what the comparison found about a row that is to be sent
SENT_ROW = "lading:sent_row"
SENT_KEY = "lading:sent_key"
SENT_AS = "lading:sent_fingerprint"
OP = "lading:op"
#: our reference of the record
REF = "lading:ref"
#: rows below the high water mark
OLD = "lading:old"


def leaf(index: int) -> str:
    """Return the column of a mapped value."""
    return f"lading:v{index}"


def flaw(index: int) -> str:
    """Return the column that says where a mapped value could not be made."""
    return f"lading:flaw{index}"


def shown(index: int) -> str:
    """Return the column with the masked text that a flaw shows."""
    return f"lading:shown{index}"


def repeated(index: int) -> str:
    """Return the column with the items of an `each:`, as JSON text."""
    return f"lading:each{index}"


def items(index: int) -> str:
    """Return the column with the number of items of an `each:`."""
    return f"lading:items{index}"
