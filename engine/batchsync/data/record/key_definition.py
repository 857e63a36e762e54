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


#: Bytes of the hash of a key definition.
HASH_BYTES = 4


def key_definition_hash(source: Source) -> bytes:
    """Return the hash of a source's key definition; equal key texts are different keys under different definitions."""
    definition = {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)
    return hashlib.sha256(json.dumps(definition).encode()).digest()[:HASH_BYTES]


def has_current_definition(source: Source) -> pl.Expr:
    """Return whether a key was sent under the current key definition, by its fingerprint (`accepted`, else `last`)."""
    return pl.coalesce("accepted", "last").bin.tail(HASH_BYTES) == key_definition_hash(source)
