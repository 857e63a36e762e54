"""Leaf functions that several folders need.

Private folders, digests and durable renames, the Parquet writer, the executor, gzip reading, suggestions. Modules
of this folder do not import each other; a function that a single folder needs stays in that folder.
"""
