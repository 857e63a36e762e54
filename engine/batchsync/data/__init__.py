"""The columnar path: everything that touches rows. It knows no vendor by name and no network."""

from __future__ import annotations

from batchsync.data.engine import PolarsEngine

__all__ = ["PolarsEngine"]
