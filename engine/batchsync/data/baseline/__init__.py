"""What the target is known to hold, by key.

Enters: row outcomes of a batch, or a person's resolution. Leaves: a new baseline (one more segment, or fewer after
compaction), a merged reading by key hash, and what is known of a key. Must not know how outcomes were found; a
segment is whole on disk, under its digest, before anything names it.
"""
