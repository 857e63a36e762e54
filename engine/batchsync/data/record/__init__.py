"""Rows of a job as records with key and fingerprint.

Enters: partitions of `row` and a job. Leaves: the compiled job with every problem in it, keyed rows, whole records of
rows that share a key, fingerprints, invalid records with reasons, and the picklable specification that carries the
compiled job to any process. Must not use the baseline or outcomes.
"""
