"""Rows of a job as records with key and fingerprint.

Enters: partitions of `row` and a job. Leaves: the compiled job or every problem in it, keyed rows, whole records of
rows that share a key, fingerprints, invalid records with reasons, removal records, and the picklable task spec from
which any process makes the same compiled job. Must not use the baseline or outcomes.
"""
