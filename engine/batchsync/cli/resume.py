"""`lading resume`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lading.cli.command import command, job_names
from lading.cli.sync import left_behind, no_wait, timeout, work
from lading.errors import ExitCode
from lading.reconcile.sync import resume as resume_jobs

if TYPE_CHECKING:
    from datetime import timedelta

    from lading.cli.session import Answer, Session


@command("resume", example="lading resume\nlading resume guests --timeout 2h")
@job_names
@no_wait
@timeout
def resume(session: Session, jobs: tuple[str, ...], *, no_wait: bool, timeout: timedelta | None) -> Answer:
    """Go on with what is open, planning nothing new.

    Follows every batch that is not at its end. A stuck one goes on where it stood: whatever is in doubt is asked about
    before anything is repeated. Batches whose job is not in the jobs file are left alone and told of.
    """
    answer = work(session, jobs, resume_jobs, wait=not no_wait, timeout=timeout)
    if left_behind(session) and not jobs and answer.exit_code in (ExitCode.DONE, ExitCode.REJECTS):
        return replace(answer, exit_code=ExitCode.UNSETTLED)
    return answer
