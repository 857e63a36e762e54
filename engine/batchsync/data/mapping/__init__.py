"""The `record:` of a job, compiled and applied to columns.

Enters: a `record:` of `core.mapping`, a record schema, the columns of a source; then frames. Leaves: a compiled
record, its values as columns, reasons why a record is invalid, its encoding as JSON or CSV. Must not use files,
partitions or the baseline, and keeps no state.
"""
