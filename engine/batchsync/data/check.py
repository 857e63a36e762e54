"""Check of a job against the columns of its source. Reads no rows, and imports nothing that only reading rows needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.data.record.compiled_job import compile_job
from batchsync.data.record.list_problems import list_problems
from batchsync.data.row.open_source import open_source

if TYPE_CHECKING:
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import Problem


def check_job(job: Job, rules: VendorRules) -> tuple[Problem, ...]:
    """Return every problem of a job against its source, and against its suppression list if that is local.

    Args:
        job: The job; its source is local.
        rules: Rules of the job's vendor.

    Returns:
        The problems, each with its place in jobs.yaml.

    Raises:
        SourceError: If the source, or the list, is missing or cannot be read.
    """
    problems = compile_job(job, rules, open_source(job.source)).problems
    suppress = job.suppress
    if problems or suppress is None or not suppress.source.is_local:
        return problems
    return list_problems(suppress, open_source(suppress.source).schema)
