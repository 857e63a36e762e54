"""Report of a plan file for `batchsync show`: its plans as they were made, and what moved since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.cli.offline import offline_context, offline_services
from batchsync.cli.personal import mask_by_job
from batchsync.cli.plan_files import opened_plan_file
from batchsync.core.plan_moved import declared_digest, sending_digest
from batchsync.errors import BatchsyncError
from batchsync.ports import BaselineEntry, PartialRead
from batchsync.reconcile.apply_plan import moved_reasons
from batchsync.reconcile.renames import baseline_before
from batchsync.report.forecast import ForecastReport
from batchsync.report.plan import PlanReport, PlansReport
from batchsync.report.plan_file import PlanFileReport
from batchsync.report.records import RecordsReport

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.core.plan_file import PinnedPlan
    from batchsync.reconcile.plan_file import OpenedPlanFile
    from batchsync.reconcile.services import JobContext, Services
    from batchsync.report.masks import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownParts:
    """What is shown of a plan file: number of keys and records of each kind of change, and what is not masked."""

    keys: int
    records: int
    personal: bool
    values: bool


@dataclass(slots=True, kw_only=True)
class _Reviewed:
    """The plans of a file on their way to its report."""

    app: App
    services: Services
    opened: OpenedPlanFile
    shown: ShownParts
    mask: Mask
    moved: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def report(self, item: PinnedPlan) -> PlanReport:
        """Return the report of a plan; what moved since it was made is collected."""
        comparison = self.opened.comparison_of(item.job)
        preview = self.services.data.preview(comparison, self.shown.keys)
        part = item.partial
        return PlanReport(
            plan=item.plan,
            forecast=None if item.expected is None else ForecastReport(item.expected),
            approved=item.approved or self.services.store.approved(item.job, item.plan.changes_digest),
            in_flight=item.in_flight,
            edited=item.edited,
            budget=item.budget,
            partial_read=PartialRead(job=item.job, column=part[0], start=part[1], full_at=None) if part else None,
            preview=self.mask.preview(item.job, preview),
            records=self._records(item),
        )

    def _records(self, item: PinnedPlan) -> RecordsReport:
        """Return the first records of a plan, if its job is still as it was when the plan was made."""
        nothing = RecordsReport(job=item.job, mask=self.mask)
        try:
            job = next((job for job in self.app.deployment.jobs if job.name == item.job), None)
            if job is None:
                self.moved.append((item.job, "jobs.yaml has no such job any more"))
                return nothing
            context = offline_context(self.app, job)
            reasons = moved_reasons(context, self.opened, self.services)
            self.moved += [(item.job, reason) for reason in reasons if "applied already" not in reason]
            if (item.declared, item.sending) != (declared_digest(job), sending_digest(context.rules, job)):
                return nothing
            return self._reviewed(item, context, moved=bool(reasons))
        except BatchsyncError as error:
            self.notes.append(f"{item.job}: whether its plan can be applied is not known here: {error.message}")
            return nothing

    def _reviewed(self, item: PinnedPlan, context: JobContext, *, moved: bool) -> RecordsReport:
        """Return the first records of a plan. What moved since cannot be compared with what the target held."""
        job, services = context.job, self.services
        services.plan_rows.use_template(self.opened.folder_of(item.job), None)
        nothing_known = BaselineEntry(job=job.name, account_id=context.account_id)
        baseline = nothing_known if moved else baseline_before(context, services)
        comparison = self.opened.comparison_of(item.job)
        records = services.data.review(job, context.rules, comparison, baseline, self.shown.records)
        return RecordsReport(job=item.job, changed=item.plan.counts.changed, records=records, mask=self.mask)


def plan_file_report(session: Session, path: Path, shown: ShownParts) -> PlanFileReport:
    """Return the report of a plan file, whether or not it can still be applied.

    Args:
        session: The session of the command.
        path: The file.
        shown: What is shown of it.
    """
    with (
        session.app() as app,
        session.journal() as journal,
        offline_services(app, journal) as services,
        opened_plan_file(path, services) as opened,
    ):
        content = opened.content
        personal = {item.job: item.personal for item in content.plans}
        mask = mask_by_job(session, personal, show=shown.personal, values=shown.values)
        reviewed = _Reviewed(app=app, services=services, opened=opened, shown=shown, mask=mask)
        plans = tuple(reviewed.report(item) for item in content.plans)
        applied = ((item.job, services.store.applied_run(content.id, item.job)) for item in content.plans)
        return PlanFileReport(
            path=str(path),
            content=content,
            plans=PlansReport(plans=plans, notes=tuple(reviewed.notes)),
            moved=tuple(reviewed.moved),
            applied=tuple((job, run) for job, run in applied if run),
        )
