"""Columnar data path: reading, mapping, comparing, encoding, joining outcomes. No network, no database."""

from __future__ import annotations

from batchsync.data.engine import PolarsEngine

__all__ = ["PolarsEngine"]
