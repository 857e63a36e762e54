"""`batchsync plan`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from batchsync.cli.command import command
from batchsync.cli.exits import print_problems
from batchsync.cli.offline import offline_context, offline_services
from batchsync.cli.personal import mask_of, show_personal, show_values_option
from batchsync.cli.plan_files import PlanOut, plan_out, refuse_out_of_strangers
from batchsync.cli.progress import running_app
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.cli.sync import retry_rejected, sending_rejected
from batchsync.cli.untrusted import known_sources, run_untrusted, untrusted_option
from batchsync.core.forecast import PastBatches, ToSend, forecast
from batchsync.errors import BatchsyncError, ExitCode, most_severe_exit_code
from batchsync.reconcile.plan import plan as plan_job
from batchsync.reconcile.renames import baseline_before, check_rename, last_planned
from batchsync.report.forecast import ForecastReport
from batchsync.report.masks import Mask
from batchsync.report.plan import PlanReport, PlansReport, Unplanned, without_keys
from batchsync.report.records import RecordsReport
from batchsync.source import require_one_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsync.app import App
    from batchsync.core.job import Job
    from batchsync.journal import Journal
    from batchsync.reconcile.plan import JobPlan
    from batchsync.reconcile.services import JobContext, Services

#: Exit code of `--detailed-exitcode` if there is something to send. Not 2, which is a usage error.
CHANGES = 10
#: Number of past batches of a vendor that a forecast rests on.
PAST_BATCHES = 20


@command(
    "plan",
    example="batchsync plan guests\nbatchsync plan --output md > plan.md    # a comment for a pull request\n"
    "batchsync plan --out guests.plan        # then `batchsync sync --plan guests.plan` delivers exactly this",
)
@selectors
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    help="Number of keys shown of each kind of change (default: 10; 0: none).",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 10 if there is something to send, 6 if a guard blocks the plan."
)
@click.option("--out", metavar="FILE", help="Also write the plan, with its rows, to a file for `sync --plan FILE`.")
@click.option(
    "--records",
    type=click.IntRange(min=0),
    metavar="N",
    default=3,
    help="Number of records shown of each kind of change, at most `--limit` (default: 3; 0: none).",
)
@retry_rejected
@untrusted_option
@show_values_option
@show_personal
def plan(  # noqa: PLR0913 - the options of the command
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    limit: int,
    records: int,
    detailed_exitcode: bool,
    out: str | None,
    retry_rejected: bool,
    untrusted: bool,
    show_values: bool,
    show_personal: bool,
) -> Answer | int:
    """Print what a sync would send, without contacting a vendor.

    Compares each source with the baseline: adds, changes and removes with their first keys, source rows and records as
    they would be sent, the members that change (with `baseline: {keep: members}` or `records` in the job), invalid rows
    by field and rule, guards that would block the run, whether the budget would be exceeded, and what sending is
    expected to cost. Takes no lease and changes nothing. A job that cannot be planned does not stop the others. Values
    of records are masked; in Markdown and in CI they are hidden, and so are keys that are personal data.

    With --untrusted each job is planned as its first run: no state and no credential is read. Invalid rows are listed
    by field, rule and number of the row, and no key or value of a row is shown.

    With --out the plan file has the very rows of the plan, like the source: it is readable by you only. If a job cannot
    be planned, no file is written.

    Returns:
        The report to print, with the exit code; the exit code of the limited process with --untrusted.
    """
    refuse_out_of_strangers(out, untrusted=untrusted)
    file = plan_out(out)
    if untrusted and not session.confined:
        flags = ["--detailed-exitcode"] if detailed_exitcode else []
        flags += [f"--exclude={word}" for word in exclude]
        return run_untrusted(session, ["plan", "--limit", str(limit), *flags, *jobs])
    with running_app(session) as app, session.journal() as journal:
        selection = chosen_jobs(session, app.deployment, jobs, exclude)
        suspended = [job for job in app.jobs(selection.names) if job.suspend]
        chosen = [job for job in app.jobs(selection.names) if job not in suspended or job.name in selection.named]
        chosen = [sending_rejected(job) if retry_rejected else job for job in chosen]
        require_one_reader(chosen)
        # Rows that are elsewhere are read for the plan itself, which finds what a check without them cannot.
        _, notes = app.check([job for job in chosen if job.source.is_local and job.source.job is None])
        notes = (*map(suspended_note, suspended), *notes)
        if session.confined:
            chosen, more = known_sources(chosen)
            notes = (*notes, *more)
        with offline_services(app, journal) as services:
            shown = _Shown(
                keys=limit,
                records=0 if session.confined else min(limit, records),
                mask=mask_of(session, chosen, show=show_personal, values=show_values),
                past=lambda context: _past_batches(app, journal, context),
                file=file,
            )
            plans, failed = _plans(app, chosen, services, shown)
            written = None if file is None or failed else file.write(app, services, PlansReport(plans=()))
    if session.confined:
        plans = tuple(replace(item, preview=without_keys(item.preview)) for item in plans)
    else:
        plans = tuple(replace(item, preview=shown.mask.preview(item.plan.job, item.preview)) for item in plans)
    for error in failed.values():
        print_problems(error, session)
    report = PlansReport(
        plans=plans,
        unplanned=tuple(Unplanned(job=job, error=error) for job, error in failed.items()),
        notes=tuple(note for note in notes if note.partition(":")[0] not in failed),
    )
    if failed:
        if file is not None:
            session.print_line(f"warning: {out} was not written: not all jobs could be planned", role="warn")
        return Answer(report=report, exit_code=most_severe_exit_code(error.exit_code for error in failed.values()))
    code = _code(report) if detailed_exitcode else ExitCode.DONE
    return Answer(report=report if written is None else replace(written, plans=report), exit_code=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """Number of keys and records shown of each kind of change, and masks; `past` returns the past batches of a job.

    `file` receives the plans for a plan file; None if none is written.
    """

    keys: int
    records: int
    mask: Mask
    past: Callable[[JobContext], PastBatches]
    file: PlanOut | None


def suspended_note(job: Job) -> str:
    """Return the note of a suspended job in a plan."""
    return f"{job.name}: suspended: `batchsync sync {job.name}` runs it, and no other command does"


def _plans(
    app: App, jobs: Sequence[Job], services: Services, shown: _Shown
) -> tuple[tuple[PlanReport, ...], dict[str, BatchsyncError]]:
    """Plan every job; return the plans, and the errors by job."""
    plans: list[PlanReport] = []
    failed: dict[str, BatchsyncError] = {}
    for job in jobs:
        try:
            services.check(job)
            plans.append(_planned(offline_context(app, job), services, shown))
        except BatchsyncError as error:
            failed[job.name] = error
    return tuple(plans), failed


def plan_for_page(app: App, context: JobContext, services: Services) -> PlanReport:
    """Return the plan of a job with as many keys and records as the command shows by default, nothing masked.

    Args:
        app: The application, with its journal.
        context: The job; its vendor is not called.
        services: Where its source is compared; its lease is held.

    Raises:
        BatchsyncError: If the job cannot be planned.
    """
    services.check(context.job)
    shown = _Shown(keys=10, records=3, mask=Mask(), past=lambda of: _past_batches(app, app.journal, of), file=None)
    return _planned(context, services, shown)


def _planned(context: JobContext, services: Services, shown: _Shown) -> PlanReport:
    check_rename(context, services)
    job_plan = plan_job(context, services)
    job, counts = job_plan.context.job, job_plan.comparison.plan.counts
    baseline = baseline_before(context, services)
    records = services.data.review(job, context.rules, job_plan.comparison, baseline, shown.records)
    report = PlanReport(
        plan=job_plan.comparison.plan,
        records=RecordsReport(job=job.name, changed=counts.changed, records=records, mask=shown.mask),
        forecast=_forecast(job_plan, services, shown.past(context), records.bytes_per_record),
        approved=job_plan.approved,
        in_flight=len(services.store.open_batches(context.job.name)),
        edited=_mapping_changed(context, services),
        budget=context.job.budget,
        contract=context.job.source.contract,
        partial_read=job_plan.partial_read,
        preview=services.data.preview(job_plan.comparison, shown.keys),
    )
    if shown.file is not None:
        shown.file.add(job_plan, report, services)
    return report


def _forecast(
    job_plan: JobPlan, services: Services, past: PastBatches, bytes_per_record: float | None
) -> ForecastReport | None:
    """Return what sending a plan is expected to cost; records are encoded only if no past batch says their size."""
    context, comparison = job_plan.context, job_plan.comparison
    counts = comparison.plan.counts
    if not counts.to_send:
        return None
    sample = None
    if not any(batch.rows for batch in past.of_job):
        sample = services.plan_rows.encode_sample(context.job, context.rules, comparison)
    sent = ToSend(records=counts.to_send, removals=counts.removed, bytes_per_record=bytes_per_record, sample=sample)
    expected = forecast(sent, context.rules, context.policy, past)
    return None if expected is None else ForecastReport(expected)


def _past_batches(app: App, journal: Journal | None, context: JobContext) -> PastBatches:
    """Return the newest delivered batches of a job in its account, and of all jobs of its vendor."""
    if journal is None:
        return PastBatches()
    same = [other for other in app.deployment.jobs if app.rules_of(other).name == context.rules.name]
    names = {name for other in same for name in other.all_names}
    return PastBatches(
        of_job=journal.past_batches(context.job.all_names, PAST_BATCHES, context.account_id),
        of_vendor=journal.past_batches(names, PAST_BATCHES),
    )


def _mapping_changed(context: JobContext, services: Services) -> bool:
    """Return whether the mapping differs from that of the last run that sent to this account."""
    last = last_planned(context, services)
    return last is not None and last.spec_hash != context.job.spec_hash


def _code(report: PlansReport) -> int:
    if any(item.awaiting_approval for item in report.plans):
        return ExitCode.AWAITING_APPROVAL
    return CHANGES if any(item.plan.counts.to_send for item in report.plans) else ExitCode.DONE
