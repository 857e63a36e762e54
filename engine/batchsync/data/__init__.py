"""Columnar data path: reading, mapping, comparing, encoding, joining outcomes. No network, no database.

Packages that add a file format need `RowReader`, `SourceFile` and `ROW`.
"""

from __future__ import annotations

from batchsync.data.engine import PolarsEngine
from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import RowReader, SourceFile

__all__ = ["ROW", "PolarsEngine", "RowReader", "SourceFile"]
