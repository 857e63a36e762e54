"""Sources as local files with a pinned version.

Enters: a `core.job.Source` as `jobs.yaml` declares it. Leaves: the same source if its files are local, else one whose
parts were landed in the folder of the run. Must not read rows: `data` reads whatever files it gets.
"""

from __future__ import annotations

from batchsync.source.fetch import fetch

__all__ = ["fetch"]
