"""Sources as local files with a pinned version.

Enters: a `core.job.Source` as `jobs.yaml` declares it. Leaves: the same source if its files are local, else one whose
parts were landed in the folder of the run. Must not know what a row means: `data` reads the files that it gets.
"""

from __future__ import annotations

from batchsync.source.fetch import check_database, check_storage, describe_query, fetch
from batchsync.source.stdin import require_one_reader

__all__ = [
    "check_database",
    "check_storage",
    "describe_query",
    "fetch",
    "require_one_reader",
]
