"""`lading why`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import Declared, check_known, declared
from lading.cli.rejects import line_of
from lading.cli.session import Answer, Session
from lading.errors import EnvironmentProblem, LadingError, StateError, UsageError
from lading.ports import Baseline
from lading.reconcile.context import Folders
from lading.report.why import KeyInFlight, KeyOfJob, KeyReject, WhyReport

if TYPE_CHECKING:
    from lading.app import App
    from lading.core.batch import Batch
    from lading.journal import Journal
    from lading.ports import KnownKey

_PLANNED = "`lading plan --limit 100` shows the first hundred keys of what was never sent"


@command("why", example='lading why C1007\nlading why C1007 --job guests\nlading why \'["SA","LDG004"]\' --job plates')
@click.argument("key", metavar="KEY")
@click.option("--job", metavar="JOB", help="Ask this job only (default: all of them).")
def why(session: Session, key: str, *, job: str | None) -> Answer:
    """Show what is known of one key, and why.

    What the target is known to hold, whether a version is under way now, and every time that the row was refused, by us
    or by the vendor, with the reason. The key is written as `lading rejects` shows it; one of several columns is a JSON
    array. Reads only: contacts no vendor and takes no lease.
    """
    if not key:
        raise UsageError("a key is never empty", hint="`lading rejects` lists the rows that have none")
    with session.journal() as journal, session.app() as app:
        if job is not None:
            check_known(session, journal, job)
        known = declared(session, journal)
        if journal is None:
            raise UsageError(f"no job knows the key {key}: nothing was run yet", hint=_advice(session))
        names = [job] if job is not None else list(dict.fromkeys([*known.jobs, *journal.jobs()]))
        asked = [_ask(key, name, known, journal, app) for name in names]
    if not any(one.knows for one in asked):
        raise _unknown(key, asked, session)
    told = tuple(one for one in asked if one.knows or one.job in known.jobs)
    return Answer(report=WhyReport(key=key, jobs=told, notes=known.notes))


def _ask(key: str, name: str, known: Declared, journal: Journal, app: App) -> KeyOfJob:
    """Return what one job knows of the key."""
    identity, note = _identity(name, known, app)
    found, batches = _looked_up(key, name, identity, journal, app)
    return KeyOfJob(
        job=name,
        known=found if identity is not None else None,
        in_flight=tuple(
            KeyInFlight(batch=one, line=found.lines[place])
            for one in batches
            if (place := Path(one.file.evidence)) in found.lines
        ),
        rejects=tuple(KeyReject(at=row.at, line=line_of(row)) for row in journal.why(name, key)),
        note=note,
    )


def _identity(name: str, known: Declared, app: App) -> tuple[str | None, str]:
    """Return the account that a job sends to, or None and why it is not known."""
    if known.deployment is None:
        return None, ""
    if name not in known.jobs:
        return None, "the job is no longer in the jobs file, so its account is not known; only the journal was asked"
    try:
        return app.identity(known.jobs[name]), ""
    except LadingError as error:
        return None, f"{error.message}: without it the account is not known; only the journal was asked"


def _looked_up(
    key: str, name: str, identity: str | None, journal: Journal, app: App
) -> tuple[KnownKey, tuple[Batch, ...]]:
    """Return what the state files say of the key, and the open batches whose evidence was read.

    Without an account no baseline is read, and batches of every account are. Another process may replace the files
    between our question and the reading; then we ask again.
    """
    folders = Folders(state=app.settings.state_folder)
    before: list[Path] | None = None
    while True:
        entry = journal.baseline(name, identity) if identity is not None else None
        baseline = folders.baseline(entry) if entry else Baseline()
        batches = tuple(one for one in journal.open_batches(name) if identity in (None, one.identity))
        evidence = [Path(one.file.evidence) for one in batches]
        pointers = [*evidence, *baseline.paths]
        try:
            return app.data.lookup(key, baseline, evidence), batches
        except StateError:
            if pointers == before:
                raise
            before = pointers


def _unknown(key: str, asked: list[KeyOfJob], session: Session) -> LadingError:
    """Return the error for a key that no job knows, as far as the jobs could be asked."""
    names = ", ".join(one.job for one in asked)
    unasked = {one.note: one.job for one in asked if one.known is None and one.note}
    if unasked:
        reasons = "; ".join(f"{job}: {note}" for note, job in unasked.items())
        return EnvironmentProblem(
            f"no job that could be asked knows the key {key} (asked: {names}); {reasons}", hint=_advice(session)
        )
    return UsageError(f"no job knows the key {key}; asked: {names}", hint=_advice(session))


def _advice(session: Session) -> str:
    """Return where else the key may be looked for."""
    settings = session.settings()
    if not settings.mocks and (settings.state_folder / "mocks" / "journal.db").exists():
        return f"runs against the mocks have a memory of their own: add --mocks; {_PLANNED}"
    return f"write it as `lading rejects` shows keys; {_PLANNED}"
