"""Selectors on the command line: argument, `--exclude`, and the facts of jobs that they refer to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchsync.cli.completion import complete_selectors
from batchsync.core.batch import Phase
from batchsync.core.run import settlement_of
from batchsync.core.selection import (
    JobFacts,
    Selection,
    SelectorError,
    UnknownJobError,
    needs_journal,
    results_of,
    select,
    state_since,
)
from batchsync.errors import UsageError
from batchsync.spec.vendor_spec import load_vendor
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync.cli.session import Session
    from batchsync.core.deployment import Deployment
    from batchsync.core.job import Job
    from batchsync.core.run import Run
    from batchsync.journal import Journal
    from batchsync.reconcile.services import SelectedJob

    C = TypeVar("C", bound="Callable[..., Any]")

_HELP = "Jobs to leave out, as selectors; may be repeated."


def selectors(function: C) -> C:
    """Add the argument `[JOB]...` and the option `--exclude` to a command, as `jobs` and `exclude`.

    Returns:
        The command.
    """
    argument = click.argument("jobs", nargs=-1, metavar="[JOB]...", shell_complete=complete_selectors)
    exclude = click.option("--exclude", multiple=True, metavar="JOB", help=_HELP, shell_complete=complete_selectors)
    return argument(exclude(function))


def chosen_jobs(
    session: Session, deployment: Deployment, words: Sequence[str], exclude: Sequence[str] = ()
) -> Selection:
    """Return the jobs that the selectors of a command line select; all jobs if there are none.

    Args:
        session: The session, whose journal is read if a selector refers to runs.
        deployment: The declared jobs.
        words: Selectors.
        exclude: Selectors of jobs to leave out.

    Returns:
        At least one job, in the order of the deployment.

    Raises:
        UsageError: If a selector is invalid or matches nothing.
    """
    facts = facts_of(session, deployment, with_runs=needs_journal([*words, *exclude]))
    try:
        return select(words, facts, exclude)
    except SelectorError as error:
        name = "usage.unknown_job" if isinstance(error, UnknownJobError) else "usage.selector"
        hint = names_hint(error.word, error.known, error.kind)
        raise UsageError(error.message, hint=hint, name=name) from None


def known_jobs(
    session: Session, deployment: Deployment, words: Sequence[str], exclude: Sequence[str] = ()
) -> frozenset[str]:
    """Return the jobs that selectors select, as `chosen_jobs` does; selectors that match nothing select nothing.

    For `serve`, whose jobs may leave the jobs file.
    """
    facts = facts_of(session, deployment, with_runs=needs_journal([*words, *exclude]))

    def found(items: Sequence[str]) -> set[str]:
        names: set[str] = set()
        for item in items:
            try:
                names.update(select([item], facts).names)
            except SelectorError:
                continue
        return names

    return frozenset((found(words) if words else {item.name for item in facts}) - found(exclude))


def unsuspended(contexts: Sequence[SelectedJob], selection: Selection) -> tuple[SelectedJob, ...]:
    """Return the jobs, of which those that were named exactly run although they are suspended."""
    return tuple(
        replace(item, job=replace(item.job, suspend=False)) if item.job.name in selection.named else item
        for item in contexts
    )


def facts_of(session: Session, deployment: Deployment, *, with_runs: bool) -> tuple[JobFacts, ...]:
    """Return the facts of all declared jobs.

    Args:
        session: The session, whose journal is read.
        deployment: The declared jobs.
        with_runs: Whether selectors refer to runs, so that the journal is read.

    Returns:
        The facts in the order of the deployment.

    Raises:
        UsageError: If they do, and no state may be read.
    """
    if not with_runs:
        return tuple(_declared(job, deployment) for job in deployment.jobs)
    if session.confined:
        raise UsageError(
            "state: and result: with --untrusted", hint="omit it: --untrusted reads no state", name="usage.untrusted"
        )
    with session.journal() as journal:
        return tuple(_with_runs(job, deployment, journal) for job in deployment.jobs)


def _declared(job: Job, deployment: Deployment) -> JobFacts:
    return JobFacts(
        name=job.name,
        former_names=job.all_names - {job.name},
        tags=frozenset(job.tags),
        connection=job.connection,
        vendor=load_vendor(deployment.connections[job.connection].vendor).name,
        depends_on=job.depends_on,
        suspended=job.suspend,
    )


def _with_runs(job: Job, deployment: Deployment, journal: Journal | None) -> JobFacts:
    last = _last_run(job, journal)
    facts = replace(_declared(job, deployment), state=state_since(job, last))
    if journal is None or last is None:
        return facts
    parked = any(batch.phase is Phase.NEEDS_ATTENTION for name in job.all_names for batch in journal.open_batches(name))
    attention = parked or any(journal.unresolved(name) for name in job.all_names)
    settlement = settlement_of(last, journal.batches(last.id))
    return replace(facts, results=results_of(last, settlement, job.budget, attention=attention))


def _last_run(job: Job, journal: Journal | None) -> Run | None:
    """Return the last run of a job, under its present name if there is one."""
    if journal is None:
        return None
    names = (job.name, *(job.renamed_from or ()))
    return next((run for name in names if (run := journal.last_run(name)) is not None), None)
