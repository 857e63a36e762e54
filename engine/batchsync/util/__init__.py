"""Leaf functions that several folders need.

Private folders, digests, durable renames and translation of operating system errors, the Parquet writer, the
executor, gzip reading, durations, suggestions. Modules of this folder do not import each other; a function that a
single folder needs stays in that folder.
"""
