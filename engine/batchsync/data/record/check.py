"""A job is held against its source before anything runs: every expression, every named column, every kind.

It does not read rows. All problems are returned at once, each with the place where it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.data.encode import removal_record
from lading.data.records import try_plan
from lading.errors import SpecError

if TYPE_CHECKING:
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.errors import Problem


def check(job: Job, rules: VendorRules) -> tuple[Problem, ...]:
    """Return everything in a job that does not fit its source.

    Raises:
        SourceError: when the source is not there or cannot be read.
    """
    _, problems = try_plan(job, rules, None)
    if job.removal is not None:
        try:
            removal_record(job, rules)
        except SpecError as error:
            problems = [*problems, *error.problems]
    return tuple(problems)
