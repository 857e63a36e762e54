"""Names of the columns that the engine adds to those of a source. A source must not have columns of these names."""

from __future__ import annotations

#: Prefix of all names here; sources with such a column are refused.
PREFIX = "batchsync:"
#: Row number in the source, from 1.
ROW = "batchsync:row"
#: Canonical text of the key; null if a part of it is missing.
KEY = "batchsync:key"
#: Row number of the first source row of the same record (`each:`).
HEAD = "batchsync:head"
#: Fingerprint, 21 bytes.
FINGERPRINT = "batchsync:fingerprint"
#: Fingerprint of version 1, 20 bytes, if the baseline holds such.
FORMER_FINGERPRINT = "batchsync:former_fingerprint"
#: Tokens of the members that a record has a value for, if the target keeps what a record leaves out.
MEMBERS = "batchsync:members"
#: Value that decides between rows of the same key (`by:column`).
RANK = "batchsync:rank"
#: Row number, key, fingerprint and operation of a changed row, from the comparison.
SENT_ROW = "batchsync:sent_row"
SENT_KEY = "batchsync:sent_key"
SENT_FINGERPRINT = "batchsync:sent_fingerprint"
OP = "batchsync:op"
#: Reference of the record, sent to the vendor.
REF = "batchsync:ref"
#: Digests of the values of a record that are looked up in the suppression list.
LISTED_VALUES = "batchsync:listed"
#: Whether a row is below the watermark.
BELOW_WATERMARK = "batchsync:old"


def leaf_column(index: int) -> str:
    """Return the name of the column with a mapped value."""
    return f"batchsync:v{index}"


def items_column(index: int) -> str:
    """Return the name of the column with the items of a mapped list."""
    return f"batchsync:list{index}"


def error_column(index: int) -> str:
    """Return the name of the column that marks values that could not be computed."""
    return f"batchsync:flaw{index}"


def masked_column(index: int) -> str:
    """Return the name of the column with the masked text of invalid values."""
    return f"batchsync:shown{index}"


def list_column(index: int) -> str:
    """Return the name of the column with the items of an `each:` as JSON text."""
    return f"batchsync:each{index}"


def count_column(index: int) -> str:
    """Return the name of the column with the number of items of an `each:`."""
    return f"batchsync:items{index}"
