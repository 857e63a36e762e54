"""`batchsync explain`."""

from __future__ import annotations

import click

from batchsync.cli.command import command
from batchsync.cli.completion import complete_codes
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.error_codes import ErrorReport, ErrorsReport
from batchsync.util.error_codes import error_codes, find_code
from batchsync.util.suggestions import did_you_mean


@command("explain", example="batchsync explain BS-Y012\nbatchsync explain    # all codes")
@click.argument("code", required=False, metavar="[CODE]", shell_complete=complete_codes)
def explain(_session: Session, code: str | None) -> Answer:
    """Explain an error code, such as BS-Y012.

    Messages show the code of an error in brackets. Its number never changes. Reads no files; without a code all codes
    are listed.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no such code.
    """
    if code is None:
        return Answer(report=ErrorsReport(tuple(error_codes().values())))
    entry = find_code(code)
    if entry is None:
        known = [*error_codes(), *(item.name for item in error_codes().values())]
        hint = f"{did_you_mean(code.strip(), known)} `batchsync explain` lists all codes".strip()
        raise UsageError(f'unknown error code "{code}"', hint=hint, name="usage.unknown_code")
    return Answer(report=ErrorReport(entry))
