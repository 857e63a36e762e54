"""`batchsync vendors verify`: one small test batch at an account, and what its answers say about the known facts."""

from __future__ import annotations

import csv
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli.command import command
from batchsync.cli.completion import complete_connections
from batchsync.cli.consent import confirm
from batchsync.cli.durations import Duration
from batchsync.cli.exits import print_problems
from batchsync.cli.new_files import write_files
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.cli.vendors_ask import connection_of
from batchsync.core.guards import Guards
from batchsync.core.verification import FactVerdict, judge
from batchsync.errors import ExitCode, UnavailableError, UsageError, VendorError
from batchsync.interrupts import TimeLimitReached
from batchsync.ports import ObservableVendor
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import sync
from batchsync.report.text_format import pluralize
from batchsync.report.verification import JudgedFact, VerificationReport
from batchsync.util.files import os_error_reason
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from batchsync.app import App
    from batchsync.core.connection import Connection
    from batchsync.core.job import Job
    from batchsync.core.vendor_details import KnownFact
    from batchsync.core.verification import Observation, Probe
    from batchsync.reconcile.sync import JobOutcome
    from batchsync.settings import Settings

#: Maximum number of rows of a test batch.
ROWS_MAX = 25
#: Ends of a job after which the vendor has answered in full.
_ANSWERED = frozenset({ExitCode.DONE, ExitCode.REJECTS, ExitCode.NEEDS_ATTENTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class _TestBatch:
    """The job that makes the test batch, and what the question to a person says of it."""

    job: Job
    rows: int
    origin: str


@command(
    "verify",
    example="batchsync vendors verify sitecore\n"
    "batchsync vendors verify motorweb --rows vehicles.csv --yes -o md > report.md",
)
@click.argument("connection", metavar="CONNECTION", shell_complete=complete_connections)
@click.option(
    "--rows",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help=f"CSV file with the columns of the vendor's sample file, at most {ROWS_MAX} rows (default: the sample).",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of the target, such as service=NAME, instead of the sample's; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the test batch is sent.")
@click.option("--timeout", type=Duration(), metavar="TIME", help="Maximum time, as in 45s, 30m or 2h.")
def verify(
    session: Session,
    connection: str,
    *,
    rows: Path | None,
    targets: tuple[str, ...],
    yes: bool,
    timeout: timedelta | None,
) -> Answer:
    """Send one small test batch, and confirm or refute what is known of the vendor.

    Asks for consent first: the rows really arrive at the account, and nothing removes them. They are those of the
    vendor's sample (`batchsync init` writes it), or your own. Then the vendor is asked a few questions that change
    nothing. Each known fact is confirmed, refuted or not seen; differences name members and forms, so that the report
    has no secret and no value and can be shared (-o md, -o json).

    The batch is followed in a temporary state folder: the jobs of jobs.yaml and their state do not know of it, and an
    interrupted command leaves it to the vendor. Exit 0: nothing was refuted; 9: a fact was refuted; 5: the batch was
    not finished within --timeout; 2: no consent; 3: the vendor cannot be reached; 8: the batch needs attention.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no such connection, no consent, or the rows do not fit.
        UnavailableError: If the vendor cannot be reached.
    """
    with session.app() as outer, scratch_folder() as folder:
        declared = connection_of(outer, connection)
        details = spec.load_vendor_details(declared.vendor)
        batch = _test_batch(declared, folder, rows, targets, f"{session.now():%Y%m%dt%H%M%S%f}")
        outer.refuse_mismatch(batch.job)
        confirm(
            f"Send {pluralize(batch.rows, 'row')} of {batch.origin} to {details.rules.title} at {declared.base_url} "
            f"(mode {batch.job.mode})? Nothing removes them there",
            yes=yes,
            otherwise="nothing was sent",
        )
        observations: list[Observation] = []
        with running_app(session, using=_trial(outer, batch.job, folder)) as app:
            # Its state folder is temporary, so that no command continues.
            app.interrupts.notice = "interrupted; a test batch that was sent stays with the vendor"
            app.interrupts.hint = f"`batchsync vendors verify {shlex.quote(connection)}` sends another one"
            outcome = _observed_run(app, declared, details.facts, observations, timeout)
        facts = tuple(JudgedFact(fact=item, judgement=judge(item.check, observations)) for item in details.facts)
    if outcome is not None:
        print_problems(outcome.error, session)
        if outcome.error is not None and not observations:
            raise outcome.error
    report = VerificationReport(
        vendor=details.rules.name,
        settings=dict(outer.rules_of_connection(declared).chosen),
        sent=batch.rows,
        state="not finished" if outcome is None else outcome.exit_code.name.lower().replace("_", " "),
        facts=facts,
    )
    return Answer(report=report, exit_code=_exit_code(outcome, facts))


def _exit_code(outcome: JobOutcome | None, facts: Sequence[JudgedFact]) -> ExitCode:
    """Return the exit code: how the batch ended, if it was not answered in full; else whether a fact was refuted."""
    code = ExitCode.UNSETTLED if outcome is None else outcome.exit_code
    if code not in (ExitCode.DONE, ExitCode.REJECTS):
        return code
    refuted = any(item.judgement.verdict is FactVerdict.REFUTED for item in facts)
    return ExitCode.TESTS_FAILED if refuted else ExitCode.DONE


def _test_batch(
    declared: Connection, folder: Path, rows: Path | None, targets: Sequence[str], stamp: str
) -> _TestBatch:
    """Write the sample of a vendor to a folder, with other rows if some are given; return the job that sends it.

    The name of the job has the time, so that no earlier batch has the same idempotency key.
    """
    if not spec.has_starter(declared.vendor):
        raise UsageError(
            f"{declared.name}: vendor {declared.vendor} has no sample to send",
            hint=f"vendors with a sample: {', '.join(spec.starter_vendors())}",
        )
    texts = dict(spec.starter_files([declared.vendor], folder))
    (sample,) = [name for name in texts if name.endswith(".csv")]
    header, _ = _table(texts[sample])
    if rows is not None:
        try:
            texts[sample] = rows.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = os_error_reason(error) if isinstance(error, OSError) else "not UTF-8"
            raise UnavailableError(f"{rows}: {reason}", hint="name a CSV file in UTF-8") from None
    found, count = _table(texts[sample])
    if missing := [name for name in header if name not in found]:
        raise UsageError(f"{rows}: column {', '.join(missing)} is missing", hint=f"columns: {', '.join(header)}")
    if not 0 < count <= ROWS_MAX:
        raise UsageError(f"{rows}: {pluralize(count, 'row')}", hint=f"a test batch has 1 to {ROWS_MAX} rows")
    write_files({folder / name: text for name, text in texts.items()})
    # Without an environment, no folder of a vendor is read.
    environ = os.environ if "/" in declared.vendor else None
    (job,) = spec.load(folder / "jobs.yaml", environ=environ).jobs
    # The sink locks the folder of the results; this one is locked as a scratch folder.
    results = job.with_results(lambda _: str(folder / "results" / "results.csv")).results
    job = replace(
        job,
        name=f"verify-{stamp}",
        connection=declared.name,
        target={**job.target, **dict(_pair(item) for item in targets)},
        results=results,
        guards=Guards(),
        schedule=None,
    )
    return _TestBatch(job=job, rows=count, origin=str(rows) if rows is not None else "the vendor's sample")


def _table(text: str) -> tuple[list[str], int]:
    """Return the header of a CSV file, and the number of its rows."""
    header, *rows = [*csv.reader(text.splitlines())] or [[]]
    return header, sum(1 for row in rows if row)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--target {text}: no key and value", hint="--target service=NAME")
    return name, value


def _trial(outer: App, job: Job, folder: Path) -> App:
    """Return an application for one job, with a state folder of its own that needs no backup and no anchor."""
    settings: Settings = outer.settings
    own = type(settings)(**settings.model_dump() | {"state": folder / "state", "anchors": Path("off")})
    declared = replace(outer.deployment, jobs=(job,), state_required=False, backup=None)
    return type(outer)(own, deployment=declared)


def _observed_run(
    app: App,
    declared: Connection,
    facts: Sequence[KnownFact],
    observations: list[Observation],
    timeout: timedelta | None,
) -> JobOutcome | None:
    """Send the test batch and make the probes; return how the job ended, or None if time was up before."""
    vendor = app.vendor_of(declared)
    if not isinstance(vendor, ObservableVendor):
        raise UsageError(f"{declared.name}: the client of this vendor cannot be observed", hint="`batchsync vendors`")
    vendor.observe(observations.append)
    (job,) = app.deployment.jobs
    outcome = None
    with suppress(TimeLimitReached), app.interrupts.time_limit(timeout):
        services = app.services()
        until = services.clock.now() + timeout if timeout is not None else None
        (outcome,) = sync((app.context(job),), services, WaitPolicy(wait=True, until=until))
        if outcome.exit_code in _ANSWERED:
            for probe in dict.fromkeys(item.check.probe for item in facts if item.check and item.check.probe):
                _probe(vendor, probe)
    return outcome


def _probe(vendor: ObservableVendor, probe: Probe) -> None:
    """Ask the vendor; a question that gets no answer shows nothing."""
    with suppress(VendorError):
        vendor.probe(probe)
