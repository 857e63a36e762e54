"""`batchsync doctor`."""

from __future__ import annotations

from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import ExitCode
from batchsync.report.checks import ChecksReport


@command("doctor", example="batchsync doctor\nbatchsync doctor --mocks")
def doctor(session: Session) -> Answer:
    """Check this machine, the state folder and every connection.

    Prints one line per check, with a fix for each problem. Secrets are checked and never shown. Vendors are queried
    for the account and each target; nothing is sent.

    Returns:
        The report to print, with the exit code.
    """
    from batchsync.cli.doctor_checks import examine  # noqa: PLC0415 - help examines nothing

    with session.app() as app:
        report = ChecksReport(checks=tuple(examine(app, session)))
    return Answer(report=report, exit_code=ExitCode.ENVIRONMENT if report.problems else ExitCode.DONE)
