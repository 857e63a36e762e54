"""Baseline: the records that the target is known to hold, by key.

Enters: row outcomes of a batch, or a person's resolution. Leaves: a new baseline (one more segment, or fewer after
compaction), merged reads in the order of key hashes, and the state of a key. Must not depend on how outcomes were
determined; a segment is durable, under its digest, before it is referenced.
"""
