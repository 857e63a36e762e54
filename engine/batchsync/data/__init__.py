"""Columnar data path: reading, mapping, comparing, encoding, joining outcomes. No network, no database.

Packages that add a file format need `RowReader`, `SourceFile` and `ROW`. Public names are imported lazily, so that
`validate` does not import what reads rows.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchsync.data.check import check_job
    from batchsync.data.engine import PolarsEngine
    from batchsync.data.frame.columns import ROW
    from batchsync.data.record.describe import describe
    from batchsync.data.record.given_source import with_given_rows
    from batchsync.data.record.map_given import map_given
    from batchsync.data.row.row_reader import RowReader, SourceFile

__all__ = ["ROW", "PolarsEngine", "RowReader", "SourceFile", "check_job", "describe", "map_given", "with_given_rows"]

_MODULES = {
    "ROW": "frame.columns",
    "PolarsEngine": "engine",
    "RowReader": "row.row_reader",
    "SourceFile": "row.row_reader",
    "check_job": "check",
    "describe": "record.describe",
    "map_given": "record.map_given",
    "with_given_rows": "record.given_source",
}


def __getattr__(name: str) -> Any:
    """Return a public name of this package, importing its module on first use.

    Raises:
        AttributeError: If the package has no such name.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
