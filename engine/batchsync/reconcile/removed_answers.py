"""Remove or mark the answers of keys that left the source, as `results: {on_removed: ...}` says.

What has to change follows from the source and the results alone, every time. After a crash the next run finds what
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
    return services.sinks.find_absent(job.results, comparison.present, absent_file(comparison))


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
    if answers is not None and answers.absent:
        remove_answers(context, absent_file(comparison), services)


def remove_answers(context: JobContext, keys: Path, services: Services) -> None:
    """Remove the answers of some keys from the results of a job. The caller holds the job's lease.

    Args:
        context: The job.
        keys: Parquet file of the keys, by key column, as strings.
        services: Data engine, sinks and journal to use.
    """
    if context.job.results is None:
        return
    before = baseline_before(context, services)
    after = services.data.forget(before, keys)
    if after != before:
        with services.shield():
            services.store.set_baseline(after)
    services.sinks.remove(context.job.results, keys)


def absent_file(comparison: Comparison) -> Path:
    """Return the path of the keys whose answers are removed."""
    return comparison.folder / "absent-answers.parquet"
