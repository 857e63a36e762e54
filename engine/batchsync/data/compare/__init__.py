"""The source against the baseline.

Enters: records of a whole pass over the source, the baseline, the keys in flight. Leaves: a `Comparison` whose
counts balance, `changes.parquet`, `invalid.parquet`, a fingerprint of the plan, a preview; on a first sync batch
files, too. Must not send, and must not move the baseline.
"""
