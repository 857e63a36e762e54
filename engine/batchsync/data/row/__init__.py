"""Local files as numbered rows.

Enters: paths of CSV, JSON lines or Parquet files (plain or gzip) as `jobs.yaml` declares them. Leaves: frames, or
picklable partitions that can be read anywhere, with row numbers from 1, and columns of joined files beside them;
files that could be misread are refused with file and row. Must not know keys, expressions or records.
"""
