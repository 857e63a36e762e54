"""The answers of a lookup reach the user's file or table, each key once, however often they are delivered.

It does not know vendors, batches or the journal.
"""

from __future__ import annotations

from lading.sinks.sink import Sinks

__all__ = ["Sinks"]
