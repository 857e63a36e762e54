"""Plan files on the command line: written by `plan`, printed by `show`, approved, and applied by `sync`."""

from __future__ import annotations

import getpass
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync import __version__
from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.offline import offline_services
from batchsync.core.plan_file import Author
from batchsync.errors import StalePlanError, UsageError
from batchsync.reconcile.apply_plan import require_applicable, require_jobs
from batchsync.reconcile.new_run import NewRunRequest
from batchsync.reconcile.plan_file import Facts, open_plan_file, pin, refuse_other_file, write_plan_file
from batchsync.reconcile.sync import sync as sync_jobs
from batchsync.report.plan import PlanReport, PlansReport
from batchsync.report.plan_file import PlanFileReport
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.reconcile.loop import WaitPolicy
    from batchsync.reconcile.plan import JobPlan
    from batchsync.reconcile.plan_file import OpenedPlanFile, Pinned
    from batchsync.reconcile.services import SelectedJob, Services
    from batchsync.reconcile.sync import JobOutcome

#: Suffix of plan files; a name with it, or with a slash, is no job.
_SUFFIX = re.compile(r".*\.plan|.*/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOut:
    """A plan file that `plan --out` writes: plans are added while the folders of their comparisons exist."""

    path: Path
    pinned: list[Pinned] = field(default_factory=list)

    def add(self, job_plan: JobPlan, report: PlanReport, services: Services) -> None:
        """Pin the rows of a plan.

        Args:
            job_plan: The plan.
            report: Its report.
            services: Where it was planned.
        """
        expected = None if report.forecast is None else report.forecast.forecast
        facts = Facts(in_flight=report.in_flight, edited=report.edited, expected=expected)
        self.pinned.append(pin(job_plan, facts, services))

    def write(self, app: App, services: Services, plans: PlansReport) -> PlanFileReport:
        """Write the file.

        Args:
            app: Clock to use.
            services: Where it was planned.
            plans: Reports of the plans.

        Returns:
            The report of the file with its plans.
        """
        author = Author(user=_user(), host=socket.gethostname(), version=__version__, at=app.clock.now())
        content = write_plan_file(self.path, author, services.store.journal_id, self.pinned)
        return PlanFileReport(path=str(self.path), content=content, plans=plans)


def plan_out(path: str | None) -> PlanOut | None:
    """Check the path of a plan file to write.

    Args:
        path: The path; None without a plan file.

    Returns:
        The plan file to write; None without one.

    Raises:
        UsageError: If no plan file can be written there.
    """
    if path is None:
        return None
    refuse_other_file(Path(path))
    return PlanOut(path=Path(path))


def refuse_out_of_strangers(path: str | None, *, untrusted: bool) -> None:
    """Refuse to write a plan file of an untrusted jobs.yaml, which is planned without state.

    Raises:
        UsageError: If both are asked for.
    """
    if path is not None and untrusted:
        raise UsageError(
            "--untrusted plans each job as its first run, which is no plan to apply",
            hint="leave out --out, or --untrusted where you trust the file",
        )


def is_plan_file(name: str, jobs: Collection[str]) -> bool:
    """Return whether a name on the command line is that of a plan file: a file that is no job, or a name like one."""
    return name not in jobs and (Path(name).is_file() or _SUFFIX.fullmatch(name) is not None)


def sync_plan_file(
    opened: OpenedPlanFile, contexts: Sequence[SelectedJob], services: Services, wait_policy: WaitPolicy
) -> Sequence[JobOutcome]:
    """Apply the plans of a plan file to jobs, after a check of all of them.

    Args:
        opened: The plan file.
        contexts: The jobs in dependency order.
        services: Where they run.
        wait_policy: How long to wait for batches in flight.

    Returns:
        The outcome of each job.

    Raises:
        StalePlanError: If one of the plans cannot be applied; nothing is sent then.
    """
    require_applicable(opened, contexts, services)
    return sync_jobs(contexts, services, wait_policy, NewRunRequest(plan_file=opened))


@contextmanager
def opened_for_sync(
    session: Session, path: Path, names: Sequence[str]
) -> Iterator[tuple[OpenedPlanFile, tuple[str, ...]]]:
    """Yield a plan file, verified, with the names of the jobs to apply.

    Args:
        session: The session of the command.
        path: The file.
        names: Names given on the command line; empty means all jobs of the plan file.

    Yields:
        The plan file and the names.
    """
    with (
        session.app() as app,
        session.journal() as journal,
        offline_services(app, journal) as services,
        opened_plan_file(path, services) as opened,
    ):
        declared = frozenset(job.name for job in session.deployment().jobs)
        yield opened, require_jobs(opened, names, declared)


def approve_plan_file(session: Session, path: Path, reason: str) -> tuple[OpenedPlanFile, tuple[PlanReport, ...]]:
    """Approve the plans of a plan file that exceed guards.

    Args:
        session: The session of the command.
        path: The file.
        reason: Why they are correct.

    Returns:
        The plan file, and the plans that were approved.

    Raises:
        UsageError: If no plan of the file exceeds a guard.
        StalePlanError: If it was made for another state folder, or was applied already.
    """
    with (
        session.app() as app,
        session.journal() as journal,
        offline_services(app, journal) as services,
        opened_plan_file(path, services) as opened,
    ):
        content = opened.content
        held = [item for item in content.plans if item.plan.breaches]
        if not held:
            hint = f"`batchsync sync --plan {path}`"
            raise UsageError(f"no plan of {path} exceeds a guard: nothing to approve", hint=hint)
        if content.state and services.store.journal_id != content.state:
            raise StalePlanError(
                f"{path} was made for another state folder", hint="name that folder with --state or BATCHSYNC_STATE"
            )
        if done := [run for item in held if (run := services.store.applied_run(content.id, item.job))]:
            raise StalePlanError(f"{path} was applied already, in run {done[0]}", hint=f"`batchsync show {done[0]}`")
        for item in held:
            app.journal.approve(item.job, item.plan.changes_digest, reason, app.clock.now())
        evaluate_alerts(session, app)
        return opened, tuple(PlanReport(plan=item.plan, approved=True) for item in held)


@contextmanager
def opened_plan_file(path: Path, services: Services) -> Iterator[OpenedPlanFile]:
    """Yield a plan file, verified, with its parts in a temporary folder.

    Args:
        path: The file.
        services: Data engine to use.

    Yields:
        The plan file.
    """
    with scratch_folder() as folder:
        yield open_plan_file(path, folder, services.plan_rows)


def _user() -> str:
    """Return the name of the user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
