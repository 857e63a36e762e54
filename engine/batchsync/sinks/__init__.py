"""Sinks: upsert the answers of lookups into the user's file or table, each key once, however often they are delivered.

A Parquet file of answers enters, the row count of the target leaves. Sinks must not use vendors, batches or the
journal.
"""

from __future__ import annotations

from batchsync.sinks.sink import Sinks

__all__ = ["Sinks"]
