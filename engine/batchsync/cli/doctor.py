"""`lading doctor`."""

from __future__ import annotations

from lading.cli.command import command
from lading.cli.session import Answer, Session
from lading.errors import ExitCode
from lading.report.checks import ChecksReport


@command("doctor", example="lading doctor\nlading doctor --mocks")
def doctor(session: Session) -> Answer:
    """Examine this machine, the state and every connection.

    One line for each check, with what to do about a problem. Secrets are looked for and never shown. Vendors are asked
    who we are and whether each target is known to them; nothing is sent.
    """
    from lading.cli.examine import examine  # noqa: PLC0415 - help examines nothing

    with session.app() as app:
        report = ChecksReport(checks=tuple(examine(app, session)))
    return Answer(report=report, exit_code=ExitCode.ENVIRONMENT if report.problems else ExitCode.DONE)
