"""`lading rejects`."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lading.cli.command import command
from lading.cli.declared import check_known, declared
from lading.cli.session import Answer, Session
from lading.errors import EnvironmentProblem, UsageError
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
@click.option("--run", metavar="RUN", help="Of this run (default: of the last run of each job).")
@click.option("--all", "every", is_flag=True, help="Of all runs.")
@click.option("--kind", type=click.Choice(KINDS), help="Of this kind only.")
@click.option("--groups", is_flag=True, help="Count by kind, code and field instead of listing.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", default=50, help="Show no more (default: 50; 0: all)."
)
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv", help="Write all of them to a file."
)
def rejects(  # noqa: PLR0913 - its options are what a person may ask for
    session: Session,
    job: str | None,
    *,
    run: str | None,
    every: bool,
    kind: str | None,
    groups: bool,
    limit: int,
    export: Path | None,
) -> Answer:
    """Show the rows that did not get there, and why.

    invalid: we refused the row before sending; rejected: the vendor did; unknown: the vendor did not say. Values are
    masked. `batch line` counts the records of the batch file from 1.
    """
    if run is not None and every:
        raise click.UsageError("--run names one run, --all means all of them: give one of the two")
    with session.journal() as journal:
        if journal is None:
            if job is not None:
                check_known(session, journal, job)
            return Answer(report=RejectsReport(about=run or job or "all jobs", rejects=(), total=0))
        chosen = _chosen(session, journal, job, run, every=every)
        if groups:
            return Answer(report=GroupsReport(about=chosen.about, groups=_groups(journal, chosen, kind)))
        total = sum(journal.rejects_count(*scope, kind) for scope in chosen.scopes)
        found = chain.from_iterable(_all(journal, scope, kind) for scope in chosen.scopes)
        if export is not None:
            _export(export, found)
            shown: tuple[RejectLine, ...] = ()
        else:
            shown = tuple(islice(found, limit or None))
    report = RejectsReport(
        about=chosen.about,
        rejects=shown,
        total=total,
        exported=str(export or ""),
        standing=chosen.standing if kind != "invalid" else 0,
    )
    return Answer(report=report)


Scope = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Whose rejects are meant: pairs of job and run, None for any. `standing` as in the report."""

    about: str
    scopes: tuple[Scope, ...]
    standing: int = 0


def _chosen(session: Session, journal: Journal, job: str | None, run: str | None, *, every: bool) -> _Chosen:
    if run is not None:
        owner = journal.run(run).job
        if job not in (None, owner):
            raise UsageError(f"run {run} is one of job {owner}, not of {job}", hint=f"`lading history {job}`")
        return _Chosen(about=run, scopes=((owner, run),))
    if job is not None:
        check_known(session, journal, job)
    if every:
        return _Chosen(about=f"{job or 'all jobs'}, all runs", scopes=((job, None),))
    names = [job] if job is not None else list(declared(session, journal).jobs)
    last = [one for name in names if (one := journal.last_run(name))]
    if job is None and not last:
        return _Chosen(about="all jobs", scopes=((None, None),))
    return _Chosen(
        about=last[0].id if job is not None and last else job or "the last run of each job",
        scopes=tuple((one.job, str(one.id)) for one in last),
        standing=sum(one.tally.standing_rejected + one.tally.standing_unknown for one in last),
    )


def _groups(journal: Journal, chosen: _Chosen, kind: str | None) -> tuple[Group, ...]:
    """Count by reason over all scopes, the greatest count first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for scope in chosen.scopes:
        for one in journal.reject_groups(*scope, kind):
            counts[one.kind, one.code, one.field] += one.count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Group(kind=one[0], code=one[1], field=one[2], count=count) for one, count in ordered)


def line_of(row: RejectRow) -> RejectLine:
    """Return a reject of the journal as it is reported."""
    return RejectLine(job=row.job, run=row.run, batch=row.batch or "", reject=row.reject, delivered=row.delivered)


def _all(journal: Journal, scope: Scope, kind: str | None) -> Iterator[RejectLine]:
    """Yield every reject, a page in memory at a time."""
    offset = 0
    while page := journal.rejects(*scope, kind, limit=_PAGE, offset=offset):
        yield from map(line_of, page)
        offset += len(page)


def _export(path: Path, rejects: Iterator[RejectLine]) -> None:
    """Write the file whole or not at all, for our eyes only: even masked, it speaks of persons."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(EXPORT_HEADER)
            writer.writerows(one.cells() for one in rejects)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path} could not be written: {error.strerror}", hint="name a file in a folder that you may write to"
        ) from None
