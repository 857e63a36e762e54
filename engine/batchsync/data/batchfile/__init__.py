"""Changes as finalized batch files.

Enters: the changes of a comparison (`changes.parquet`, `compare.json`), the source again, and file rules. Leaves:
batch files, finalized and fsynced, each with its row manifest, byte-identical whatever the executor. Must not
compare, and must refuse a row that differs from the compared one.
"""
