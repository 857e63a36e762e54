"""Column names, ordering, hashes, partitioned spill and integrity of frames.

Enters: frames. Leaves: names of the columns that the engine adds, sort keys of texts, hashes of keys and rows, rows by
partition (on disk if there are many), and verified state files. Must not depend on the meaning of a row, and imports
nothing else of `data`.
"""
