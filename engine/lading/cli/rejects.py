"""`lading rejects`."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import check_known
from lading.cli.session import Answer, Session
from lading.report.rejects import EXPORT_HEADER, Group, GroupsReport, RejectLine, RejectsReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.journal import Journal, RejectRow

_PAGE = 5_000
KINDS = ("invalid", "rejected", "unknown")


@command(
    "rejects", example="lading rejects guests\nlading rejects guests --groups\nlading rejects --export rejects.csv"
)
@click.argument("job", required=False, metavar="[JOB]")
@click.option("--run", metavar="RUN", help="Of this run (default: of the last run of the job).")
@click.option("--kind", type=click.Choice(KINDS), help="Of this kind only.")
@click.option("--groups", is_flag=True, help="Count by kind, code and field instead of listing.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", default=50, help="Show no more (default: 50; 0 shows all)."
)
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv", help="Write all of them to a file."
)
def rejects(  # noqa: PLR0913 - its options are what a person may ask for
    session: Session,
    job: str | None,
    run: str | None,
    kind: str | None,
    *,
    groups: bool,
    limit: int,
    export: Path | None,
) -> Answer:
    """Show the rows that did not get there, and why.

    invalid: we refused the row before sending; rejected: the vendor did; unknown: the vendor did not say. Values are
    masked. `batch line` counts the records of the batch file from 1.
    """
    with session.journal() as journal:
        if run is not None and journal is not None:
            job = journal.run(run).job
        elif job is not None:
            check_known(session, journal, job)
            last = journal.last_run(job) if journal else None
            run = last.id if last else None
        about = run or job or "all jobs"
        if journal is None:
            return Answer(report=RejectsReport(about=about, rejects=(), total=0))
        if groups:
            found = tuple(
                Group(kind=one.kind, code=one.code, field=one.field, count=one.count)
                for one in journal.reject_groups(job, run, kind)
            )
            return Answer(report=GroupsReport(about=about, groups=found))
        total = journal.rejects_count(job, run, kind)
        if export is not None:
            _export(export, _all(journal, job, run, kind))
            return Answer(report=RejectsReport(about=about, rejects=(), total=total, exported=str(export)))
        shown = tuple(_line(one) for one in journal.rejects(job, run, kind, limit=limit or -1))
        return Answer(report=RejectsReport(about=about, rejects=shown, total=total))


def _line(row: RejectRow) -> RejectLine:
    return RejectLine(job=row.job, run=row.run, batch=row.batch or "", reject=row.reject)


def _all(journal: Journal, job: str | None, run: str | None, kind: str | None) -> Iterator[RejectLine]:
    """Yield every reject, a page in memory at a time."""
    offset = 0
    while page := journal.rejects(job, run, kind, limit=_PAGE, offset=offset):
        yield from map(_line, page)
        offset += len(page)


def _export(path: Path, rejects: Iterator[RejectLine]) -> None:
    """Write the file whole or not at all, for our eyes only: even masked, it speaks of persons."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(EXPORT_HEADER)
            writer.writerows(one.cells() for one in rejects)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
