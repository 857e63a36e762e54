"""`batchsync why`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.declared import DeclaredJobs, check_known, declared
from batchsync.cli.deliveries import deliveries, record_now
from batchsync.cli.personal import mask_of, show_personal, show_values_option
from batchsync.cli.rejects import line_of
from batchsync.cli.session import Answer, Session
from batchsync.core.naming import row_manifest_key
from batchsync.errors import BatchsyncError, StateError, UnavailableError, UsageError
from batchsync.reconcile.deliver import baseline_of
from batchsync.report.why import KeyInFlight, KeyOfJob, KeyReject, WhyReport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchsync.app import App
    from batchsync.core.batch import Batch
    from batchsync.journal import Journal
    from batchsync.ports import BaselineEntry, KnownKey
    from batchsync.report.masks import Mask

_PLANNED = "`batchsync plan --limit 100` shows the first hundred keys that were never sent"


@command(
    "why",
    example='batchsync why C1007\nbatchsync why C1007 --job guests\nbatchsync why \'["SA","LDG004"]\' --job plates',
)
@click.argument("key", metavar="KEY")
@click.option("--job", metavar="JOB", help="Search this job only (default: all jobs).")
@show_values_option
@show_personal
def why(session: Session, key: str, *, job: str | None, show_values: bool, show_personal: bool) -> Answer:
    """Show the state and history of one key.

    Shows what the target holds, versions in flight, every reject with its reason, the deliveries with run, batch, time,
    version and answer, and the record as the source has it now. Write the key as `batchsync rejects` shows it; a key of
    several columns is a JSON array. Of accepted deliveries the last ones are known; all of them while their row
    manifests are kept (`retention.batch_files`). Reads only: contacts no vendor and takes no lease. Values are masked.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the key is empty or unknown.
        UnavailableError: If a job could not be searched and no other job has the key.
    """
    if not key:
        raise UsageError("the key is empty", hint="`batchsync rejects` lists rows without a key")
    with session.journal() as journal, session.app() as app:
        if job is not None:
            check_known(session, journal, job)
        known = declared(session, journal)
        mask = mask_of(session, known.jobs.values(), show=show_personal, values=show_values)
        if journal is None:
            raise UsageError(
                f"unknown key {shown_key(key, known.jobs, mask)}: no runs yet",
                hint=_advice(session),
                name="usage.never_ran",
            )
        names = [job] if job is not None else list(dict.fromkeys([*known.jobs, *journal.jobs()]))
        searched = [
            masked_key(search_key(key, known, journal, app, mask, Scope(name, *_account_id(name, known, app))), mask)
            for name in names
        ]
    shown = shown_key(key, names, mask)
    if not any(item.is_known for item in searched):
        unknown = _unknown(shown, searched, session)
        raise unknown
    answers = tuple(item for item in searched if item.is_known or item.job in known.jobs)
    return Answer(report=WhyReport(key=shown, jobs=answers, notes=known.notes))


def masked_key(found: KeyOfJob, mask: Mask) -> KeyOfJob:
    """Return the state of a key with its rejects and answers masked."""
    answers = tuple(
        item
        if item.reject is None
        else replace(
            item, reject=replace(item.reject, reason=mask.text(found.job, item.reject.reason, item.reject.key))
        )
        for item in found.deliveries
    )
    lines = tuple(replace(item, line=mask.line(item.line)) for item in found.rejects)
    return replace(found, rejects=lines, deliveries=answers)


def shown_key(key: str, jobs: Iterable[str], mask: Mask) -> str:
    """Return the key, masked if it is personal data of one of the jobs."""
    return next((masked for job in jobs if (masked := mask.key(job, key)) != key), key)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a key is searched.

    Attributes:
        name: Name of the job.
        account_id: Id of its account; None if it is not known.
        note: Why it is not known; may be empty.
        reads_source: Whether the record as the source has it now is read, which may take long.
    """

    name: str
    account_id: str | None
    note: str = ""
    reads_source: bool = True


def search_key(key: str, known: DeclaredJobs, journal: Journal, app: App, mask: Mask, scope: Scope) -> KeyOfJob:
    """Return the state of the key in one job.

    Args:
        key: The key.
        known: Declared jobs.
        journal: The journal.
        app: The application; of it only the data engine and the clock are used, unless the source is read.
        mask: What of keys and values is shown.
        scope: The job, and what is known of its account.
    """
    name, account_id = scope.name, scope.account_id
    found, batches = _look_up(key, name, account_id, journal, app)
    held = found if account_id is not None else None
    in_flight = tuple(
        KeyInFlight(batch=batch, line=found.in_flight[place])
        for batch in batches
        if (place := row_manifest_key(batch.job, batch.file)) in found.in_flight
    )
    state = KeyOfJob(
        job=name,
        known=held,
        in_flight=in_flight,
        rejects=tuple(KeyReject(at=row.at, line=line_of(row)) for row in journal.why(name, key)),
        note=scope.note,
    )
    job = known.job(name)
    names = job.all_names if job is not None else frozenset((name,))
    sent = deliveries(key, names, held, in_flight, journal, app)
    if not (state.is_known or sent) or job is None or not scope.reads_source:
        return replace(state, deliveries=sent)
    return replace(state, deliveries=sent, now=record_now(key, job, mask, held, app))


def _account_id(name: str, known: DeclaredJobs, app: App) -> tuple[str | None, str]:
    """Return the account ID of a job, or None and the reason."""
    if known.deployment is None:
        return None, ""
    job = known.job(name)
    if job is None:
        return None, "the job is no longer in the jobs file, so its account is unknown; only the journal was searched"
    try:
        return app.account_id(job), ""
    except BatchsyncError as error:
        return None, f"{error.message}: without it the account is unknown; only the journal was searched"


def _look_up(
    key: str, name: str, account_id: str | None, journal: Journal, app: App
) -> tuple[KnownKey, tuple[Batch, ...]]:
    """Return the key in the baseline, and the open batches whose row manifests were read.

    Without an account no baseline is read, and batches of all accounts are. The read is retried if another process
    replaces the files meanwhile.
    """
    before: tuple[BaselineEntry, list[str]] | None = None
    while True:
        # No account has an empty id, so this baseline is empty.
        baseline = baseline_of(name, account_id or "", journal)
        batches = tuple(batch for batch in journal.open_batches(name) if account_id in (None, batch.account_id))
        manifests = [row_manifest_key(name, batch.file) for batch in batches]
        try:
            return app.data.lookup(key, baseline, manifests), batches
        except StateError:
            if (baseline, manifests) == before:
                raise
            before = baseline, manifests


def _unknown(key: str, searched: list[KeyOfJob], session: Session) -> BatchsyncError:
    """Return the error for a key that no job has."""
    names = ", ".join(item.job for item in searched)
    unsearched = {item.note: item.job for item in searched if item.known is None and item.note}
    if unsearched:
        reasons = "; ".join(f"{job}: {note}" for note, job in unsearched.items())
        return UnavailableError(
            f"unknown key {key} in the jobs that could be searched ({names}); {reasons}", hint=_advice(session)
        )
    return UsageError(f"unknown key {key}; searched jobs: {names}", hint=_advice(session), name="usage.unknown_key")


def _advice(session: Session) -> str:
    """Return a hint on where else to search."""
    settings = session.settings()
    if not settings.mocks and (settings.state_folder / "mocks" / "journal.db").exists():
        return f"runs against mocks have their own state: add --mocks; {_PLANNED}"
    return f"write it as `batchsync rejects` shows keys; {_PLANNED}"
