"""Hash of a job's key definition, kept with each fingerprint.

Keys accepted under another definition of the key are not comparable with those of today, and are never removed.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.mapping import Expression

if TYPE_CHECKING:
    from batchsync.core.job import Source


#: Bytes of the mark of a key's definition.
HASH_BYTES = 4


def key_definition_hash(source: Source) -> bytes:
    """Return a mark of how a source's key is defined: the same text is another key where the definition is another."""
    defined = {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)
    return hashlib.sha256(json.dumps(defined).encode()).digest()[:HASH_BYTES]


def has_current_definition(source: Source) -> pl.Expr:
    """Whether a key was sent under today's definition: by the mark in the fingerprint that the target holds, or may."""
    return pl.coalesce("accepted", "last").bin.tail(HASH_BYTES) == key_definition_hash(source)
