"""`batchsync resume`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.cli.command import command
from batchsync.cli.monitoring import metrics_file
from batchsync.cli.selection import selectors
from batchsync.cli.sync import Limits, left_behind, no_wait, timeout, work
from batchsync.errors import ExitCode, most_severe_exit_code
from batchsync.reconcile.sync import resume as resume_jobs

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from batchsync.cli.session import Answer, Session


@command("resume", example="batchsync resume\nbatchsync resume guests --timeout 2h")
@selectors
@no_wait
@timeout
@metrics_file
def resume(
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    no_wait: bool,
    timeout: timedelta | None,
    metrics_file: Path | None,
) -> Answer:
    """Resume open batches; plan nothing new.

    Follows every open batch to its end. A batch that needs attention resumes where it stopped: calls in doubt are
    verified before anything is repeated. Batches whose job is not in the jobs file are reported and not touched.

    Returns:
        The report to print, with the exit code.
    """
    answer = work(session, (jobs, exclude), resume_jobs, Limits(wait=not no_wait, timeout=timeout), metrics_file)
    if left_behind(session) and not (jobs or exclude):
        return replace(answer, exit_code=most_severe_exit_code((answer.exit_code, ExitCode.UNSETTLED)))
    return answer
