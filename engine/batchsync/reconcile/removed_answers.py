"""Remove or mark the answers of keys that left the source, as `results: {on_removed: ...}` says.

What has to change follows from the source and the results alone, each time anew. After a crash the next run finds what
is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.job import OnRemovedAnswer
from batchsync.reconcile.renames import baseline_before

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.guards import AbsentAnswers
    from batchsync.core.job import Job
    from batchsync.ports import Comparison
    from batchsync.reconcile.services import JobContext, Services


def answers_to_remove(job: Job, comparison: Comparison, services: Services) -> AbsentAnswers | None:
    """Return the answers that a plan removes from the results of its job.

    Args:
        job: The job.
        comparison: Its comparison; the keys of the answers are written to its folder.
        services: Sinks to read.

    Returns:
        The answers; None if the job removes none, or the keys of its source are not known.

    Raises:
        UnavailableError: If the results cannot be read.
    """
    if job.results is None or job.results.on_removed is not OnRemovedAnswer.REMOVE or comparison.present is None:
        return None
    return services.sinks.find_absent(job.results, comparison.present, _absent_file(comparison))


def remove_or_mark(
    context: JobContext, comparison: Comparison, answers: AbsentAnswers | None, services: Services
) -> None:
    """Remove or mark answers after the plan was let through by its guards. The caller holds the job's lease.

    The baseline forgets the keys before their answers are removed, and not after: a key that returned after a crash in
    between would otherwise count as unchanged, and its answer would be missing.

    Args:
        context: The job.
        comparison: Its comparison.
        answers: The answers that `answers_to_remove` found.
        services: Data engine, sinks and journal to use.

    Raises:
        UnavailableError: If the results cannot be written. The next run repeats it.
        StateError: If the baseline is damaged.
    """
    results, present = context.job.results, comparison.present
    if results is None or present is None:
        return
    if results.on_removed is OnRemovedAnswer.MARK:
        services.sinks.mark(results, present, services.clock.now())
        return
    if answers is None or not answers.absent:
        return
    keys = _absent_file(comparison)
    before = baseline_before(context, services)
    after = services.data.forget(before, keys)
    if after != before:
        with services.shield():
            services.store.set_baseline(after)
    services.sinks.remove(results, keys)


def _absent_file(comparison: Comparison) -> Path:
    """Return the path of the keys whose answers are removed."""
    return comparison.folder / "absent-answers.parquet"
