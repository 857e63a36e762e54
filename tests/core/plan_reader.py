"""Reader of serialised plans that needs nothing but `batchsync.core`: prints a plan from stdin as instructions.

Run by `test_plan.py` in a process of its own.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from batchsync.core.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator


def instructions(plan: Plan) -> Iterator[str]:
    """Yield what a run of the plan would do, one step per line."""
    counts = plan.counts
    for breach in plan.breaches:
        yield f"stop for approval: {breach.guard}: {breach.message}"
    for verb, count in (("add", counts.added), ("change", counts.changed), ("remove", counts.removed)):
        if count:
            yield f"{verb} {count} of {plan.baseline_rows} records at {plan.account_id}"
    for outcome, count in counts.outcomes.items():
        if count:
            yield f"leave {count} {outcome.label_in_plan}"
    for warning, count in plan.warnings.items():
        yield f"warn of {count}: {warning}"
    yield f"plan {plan.digest}"


for line in instructions(Plan.from_dict(json.load(sys.stdin))):
    sys.stdout.write(f"{line}\n")
outside_core = [name for name in sys.modules if name.startswith("batchsync.") and not name.startswith("batchsync.core")]
sys.stdout.write(f"imported besides core: {', '.join(outside_core) or 'nothing'}\n")
