"""A job is held against its source before anything runs: every expression, every named column, every kind.

It does not read rows. All problems are returned at once, each with the place where it was written.
"""

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
    """Return everything in a job that does not fit its source.

    Raises:
        SourceError: when the source is not there or cannot be read.
    """
    _, problems = try_compile_job(job, rules, None)
    if job.removal is not None:
        try:
            removal_record(job, rules)
        except SpecError as error:
            problems = [*problems, *error.problems]
    return tuple(problems)
