"""Sums over the settled runs of each job, for metrics."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import PLAN_OUTCOMES, RowOutcome
from batchsync.core.running_totals import JobSums
from batchsync.journal import codec
from batchsync.journal.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_OUTCOMES = {outcome.name_in_plan: outcome.value for outcome in PLAN_OUTCOMES}
#: Sums by job, part and kind; `newer` is whether a run has a greater serial number than the parameter, a JSON object,
#: gives for its job. Counts are grouped as text: json_each takes three times as long.
_SUMS = """
    WITH parts AS (
        SELECT *, serial > coalesce((SELECT value FROM json_each(:newest) WHERE key = runs.job), 0) AS newer FROM runs
    ),
    settled AS (SELECT * FROM parts WHERE state = 'settled'),
    sent AS (
        SELECT settled.job, newer, batches.counts, batches.verdict, batches.size
        FROM settled JOIN batches ON batches.run = settled.id
    )
    SELECT job, newer, 'newest' AS kind, '' AS detail, max(serial) AS number, 0 AS size FROM parts GROUP BY job, newer
    UNION ALL SELECT job, newer, 'runs', '', count(*), 0 FROM settled GROUP BY job, newer
    UNION ALL SELECT job, newer, 'plan', counts, count(*), 0 FROM settled GROUP BY job, newer, counts
    UNION ALL SELECT job, newer, 'rows', counts, count(*), 0 FROM sent GROUP BY job, newer, counts
    UNION ALL SELECT job, newer, 'batches', coalesce(verdict, 'none'), count(*), sum(size)
        FROM sent GROUP BY job, newer, verdict
"""
_LAST_SETTLED = """
    SELECT job, max(settled_at) AS at FROM runs WHERE state = 'settled' AND settled_at IS NOT NULL GROUP BY job
"""


class RunSums(Chain):
    """Sums over settled runs; a base of `Journal`."""

    def run_sums(self, newest: Mapping[str, int]) -> dict[str, JobSums]:
        """Return the sums over the settled runs of each job.

        Args:
            newest: Serial numbers by job, at which the sums are taken apart.

        Returns:
            The sums by job. Their names: `runs`, `bytes`, `rows:` and an outcome, `batches:` and a verdict, and
            `unresolved`, the rows of unknown outcome of batches.
        """
        sums: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
        last = Counter[str]()
        for row in self._rows(_SUMS, {"newest": json.dumps(dict(newest))}):
            own, number = sums[row["job"], bool(row["newer"])], int(row["number"])
            match row["kind"]:
                case "newest":
                    last[row["job"]] = max(last[row["job"]], number)
                case "runs":
                    own["runs"] += number
                case "batches":
                    own[f"batches:{row['detail']}"] += number
                    own["bytes"] += int(row["size"])
                case "rows":
                    counts = json.loads(row["detail"])
                    own.update({f"rows:{name}": number * rows for name, rows in counts.items()})
                    own["unresolved"] += number * counts.get(RowOutcome.UNKNOWN.value, 0)
                case _:
                    counts = {
                        _OUTCOMES[name]: rows for name, rows in json.loads(row["detail"]).items() if name in _OUTCOMES
                    }
                    own.update({f"rows:{name}": number * rows for name, rows in counts.items()})
        return {
            job: JobSums(newest=serial, older=sums[job, False], newer=sums[job, True]) for job, serial in last.items()
        }

    def last_settlements(self) -> dict[str, datetime]:
        """Return when the last run of each job was settled."""
        return {row["job"]: codec.from_iso(row["at"]) for row in self._rows(_LAST_SETTLED)}
