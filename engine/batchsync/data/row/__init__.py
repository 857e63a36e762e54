"""Local files as numbered rows.

Enters: paths of CSV, JSON Lines or Parquet files (plain or gzip), or files of an installed format. Leaves: frames, or
picklable partitions that can be read by any process, with row numbers from 1 and the columns of joined files; files
that would be misread are refused with file and row. Must not depend on keys, expressions or records.
"""
