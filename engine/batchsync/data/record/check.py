"""Check of a job against its source: all problems at once, each with its place in jobs.yaml. Reads no rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.data.record.compiled_job import try_compile_job
from batchsync.data.record.removal import removal_record
from batchsync.errors import SpecError

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem


def check(job: Job, rules: VendorRules) -> tuple[Problem, ...]:
    """Return every problem of a job against its source: expressions, named columns, types.

    Raises:
        SourceError: If the source is missing or cannot be read.
    """
    _, problems = try_compile_job(job, rules, None)
    if job.removal is not None:
        try:
            removal_record(job, rules)
        except SpecError as error:
            problems = [*problems, *error.problems]
    return tuple(problems)
