"""Content of records that a job keeps in its baseline: a hash per member, and the record itself.

The hash of a member has 32 bits and depends on the key of the record, so that equal values of different records have
different hashes. Two values of a member have equal hashes in one of four billion cases; then a change of this member
alone is sent, and not shown as one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from batchsync.core.keep import Keep
from batchsync.core.record_schema import Kind
from batchsync.data.frame import columns as names
from batchsync.data.frame.content import HASH_BYTES, HASHES, LAYOUT, RECORD
from batchsync.data.frame.hashes import HASH, hash_of
from batchsync.data.mapping.json_encode import Encoder, encode_rows, with_list_texts
from batchsync.data.mapping.shapes import Constant, ListValue, Value
from batchsync.data.record.held_members import member_shapes

if TYPE_CHECKING:
    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.mapping.shapes import Record, Shape

#: Odd factor that spreads the bits of a hash (2 ** 64 divided by the golden ratio).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_TEXT = "batchsync:member"
#: Bits of a hash that are dropped.
_DROPPED = np.uint64(32)


def kept_content(record: Record, mapped: MappedRecords, keep: Keep) -> pl.DataFrame:
    """Return what a job keeps of mapped records, in the order of `mapped.heads`.

    Args:
        record: Compiled record.
        mapped: Mapped records; `heads` has `SENT_KEY`.
        keep: What is kept, at least hashes.

    Returns:
        The columns `LAYOUT` and `HASHES`, and `RECORD` if records are kept.
    """
    members = member_shapes(record)
    rows = mapped.heads.height
    layout = json.dumps([keep.value, *members], ensure_ascii=False, separators=(",", ":"))
    found = {
        LAYOUT: pl.Series([layout], dtype=pl.String).new_from_index(0, rows),
        HASHES: _hashes(record, members, mapped),
    }
    if keep is Keep.RECORDS:
        found[RECORD] = encode_rows(record, mapped, (), ())
    return pl.DataFrame(found)


def _hashes(record: Record, members: dict[str, Shape], mapped: MappedRecords) -> pl.Series:
    """Return the hashes of the members of each record as one binary value."""
    # Items without a declared order have none, as in the fingerprint.
    heads = with_list_texts(record, mapped, ordered=False)
    encoder = Encoder(heads, valid=mapped.valid)
    keys = heads.select(hash_of(names.SENT_KEY))[HASH].to_numpy() * _SPREAD
    hashed = np.zeros((heads.height, len(members)), dtype=f"<u{HASH_BYTES}")
    for number, shape in enumerate(members.values()):
        texts, kind = _texts(shape, encoder)
        values = texts.to_frame(_TEXT).select(hash_of(_TEXT))[HASH].fill_null(0).to_numpy()
        mixed = ((values ^ keys ^ _seed(kind)) * _SPREAD) >> _DROPPED
        hashed[:, number] = np.where(texts.is_null().to_numpy(), 0, np.maximum(mixed, 1))
    width = HASH_BYTES * len(members)
    if not width:
        return pl.Series([b""], dtype=pl.Binary).new_from_index(0, heads.height)
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), heads.height, [None, pa.py_buffer(hashed.tobytes())])
    return pl.Series(HASHES, fixed.cast(pa.large_binary()))


def _texts(shape: Shape, encoder: Encoder) -> tuple[pl.Series, str]:
    """Return the text of a member in each record, null where it has no value, and its kind."""
    match shape:
        case Value(leaf) | ListValue(leaf):
            kind = "list" if isinstance(shape, ListValue) else _kind(leaf.kind, leaf.rule.kind)
            return encoder.frame[names.leaf_column(leaf.index)].cast(pl.String), kind
        case Constant():
            text = pl.Series([shape.json], dtype=pl.String)
            return text.new_from_index(0, encoder.frame.height), "constant"
        case _:
            return encoder.column(shape), "list"


def _kind(of: pl.DataType, wanted: Kind) -> str:
    """Return the JSON kind of a value: 5 and "5" are different values."""
    if wanted is not Kind.SCALAR:
        return wanted.value
    return "boolean" if of == pl.Boolean else "number" if of.is_numeric() else "string"


def _seed(kind: str) -> np.uint64:
    """Return a number that follows from the kind of a value."""
    return np.uint64(int.from_bytes(hashlib.sha256(kind.encode()).digest()[:8], "big"))
