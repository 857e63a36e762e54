"""Members that a record has a value for, so that the values which a later version lost are found.

Where a vendor keeps what a record leaves out, a value that becomes empty in the source stays at the target. The members
of the version that the target accepted are kept in the baseline as a text of tokens, one per member, in their order.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.shapes import Constant, FixedList, ListValue, Members, RepeatedList, Value, presence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.data.mapping.shapes import Record, Shape
    from batchsync.data.record.compiled_job import CompiledJob

#: Type of the texts where there is one for each record.
KIND = pl.Categorical()
#: Characters of a token.
TOKEN = 6
#: Members with a bit each; of further ones the texts are made row by row.
_BITS = 62
#: Distinct combinations of members of a frame whose texts are made one by one.
_COMBINATIONS = 2_000
_MASK = "batchsync:mask"


def keeps_absent_members(compiled: CompiledJob) -> bool:
    """Return whether the target keeps the members that a record of the job leaves out."""
    return compiled.job.mode in compiled.rules.keeps_absent


def token_of(path: str) -> str:
    """Return the token of a member."""
    return base64.urlsafe_b64encode(hashlib.sha256(path.encode()).digest())[:TOKEN].decode()


def members_of(record: Record) -> dict[str, pl.Expr | bool]:
    """Return the members of a record by path: whether they have a value in a row. A list of values is one member."""
    return {path: presence(shape) for path, shape in member_shapes(record).items()}


def member_shapes(record: Record) -> dict[str, Shape]:
    """Return the shapes of the members of a record by path. A list of values is one member."""
    return dict(_members(record.root))


def _members(shape: Shape) -> Iterator[tuple[str, Shape]]:
    """Yield the members of a shape."""
    match shape:
        case Value(leaf) | ListValue(leaf):
            yield leaf.path, shape
        case Constant() | RepeatedList():
            yield shape.path, shape
        case Members():
            for _, item in shape.pairs:
                yield from _members(item)
        case FixedList():
            if any(isinstance(item, Members) for item in shape.shapes):
                for item in shape.shapes:
                    yield from _members(item)
            else:
                yield shape.path, shape


def held_members(record: Record, heads: pl.DataFrame) -> pl.Series:
    """Return the tokens of the members that each record has a value for.

    Args:
        record: Compiled record.
        heads: The columns of `MappedRecords.heads`.

    Returns:
        `MEMBERS: categorical`, in the order of `heads`: few texts occur, and they are long.
    """
    members = sorted((token_of(path), present) for path, present in members_of(record).items() if present is not False)
    constant = pl.Series(names.MEMBERS, ["".join(token for token, _ in members)], dtype=pl.String)
    absent = [
        (token, present) for token, present in members if isinstance(present, pl.Expr) and _is_absent(heads, present)
    ]
    if not absent:
        return constant.cast(KIND).new_from_index(0, heads.height)
    if len(absent) <= _BITS:
        bits = [present.cast(pl.UInt64) * (1 << bit) for bit, (_, present) in enumerate(absent)]
        masks = heads.select(pl.sum_horizontal(bits).alias(_MASK))
        distinct = masks[_MASK].unique()
        if distinct.len() <= _COMBINATIONS:
            bit_of = {token: bit for bit, (token, _) in enumerate(absent)}
            texts = [
                "".join(token for token, _ in members if token not in bit_of or mask >> bit_of[token] & 1)
                for mask in distinct
            ]
            numbers = pl.Series(range(distinct.len()), dtype=pl.UInt32)
            codes = masks[_MASK].replace_strict(distinct, numbers)
            return pl.Series(names.MEMBERS, texts, dtype=pl.String).cast(KIND).gather(codes)
    known = {token for token, _ in absent}
    parts = [pl.when(present).then(pl.lit(token)) if token in known else pl.lit(token) for token, present in members]
    return heads.select(pl.concat_str(parts, ignore_nulls=True).cast(KIND).alias(names.MEMBERS))[names.MEMBERS]


def _is_absent(heads: pl.DataFrame, present: pl.Expr) -> bool:
    """Return whether a member has no value in some row."""
    return not heads.select(present.all()).item()


def lost_members(before: str, after: str) -> frozenset[str]:
    """Return the tokens of the members that a version has and the next one lacks."""
    return frozenset(_tokens(before)) - frozenset(_tokens(after))


def _tokens(text: str) -> list[str]:
    """Return the tokens of a text."""
    return [text[begin : begin + TOKEN] for begin in range(0, len(text), TOKEN)]
