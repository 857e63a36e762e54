"""Column names, order, hashes, spill and integrity of frames.

Enters: frames. Leaves: names of the columns that the engine adds, an order of values and of key hashes, hashes of
rows, rows by partition (on disk when there are many), and the check that a state file is what its name says. Must
not know what a row means, and imports nothing else of `data`.
"""
