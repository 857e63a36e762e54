"""`batchsync rejects`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchsync.cli import export as exporting
from batchsync.cli.command import command
from batchsync.cli.completion import complete_jobs, complete_runs
from batchsync.cli.declared import check_known, declared
from batchsync.cli.personal import mask_of, show_personal
from batchsync.cli.session import Answer, Session
from batchsync.core.row_outcome import BATCH_OUTCOMES, LISTED_OUTCOMES, RowOutcome
from batchsync.errors import ExitCode, UsageError
from batchsync.report.rejects import Group, GroupsReport, RejectLine, RejectsReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.journal import Journal, RejectRow

_STDOUT = Path("-")


@command(
    "rejects",
    example="batchsync rejects guests\nbatchsync rejects guests --groups\nbatchsync rejects --export rejects.csv",
)
@click.argument("job", required=False, metavar="[JOB]", shell_complete=complete_jobs)
@click.option(
    "--run",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Rejects of this run (default: the last run of each job).",
)
@click.option("--all", "every", is_flag=True, help="Rejects of all runs.")
@click.option(
    "--kind", type=click.Choice([outcome.value for outcome in LISTED_OUTCOMES]), help="Rejects of this kind only."
)
@click.option("--groups", is_flag=True, help="Count by kind, code and field instead of listing.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", default=50, help="Maximum number of rows (default: 50; 0: all)."
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE.csv",
    help="Write all rows as CSV to a file, or with `-` to stdout. Overwrites only an earlier export.",
)
@show_personal
def rejects(  # noqa: PLR0913 - one parameter per option
    session: Session,
    job: str | None,
    *,
    run: str | None,
    every: bool,
    kind: str | None,
    groups: bool,
    limit: int,
    export: Path | None,
    show_personal: bool,
) -> Answer | ExitCode:
    """Show rejected and invalid rows, with reasons.

    invalid: refused by batchsync before sending; rejected: refused by the vendor; unknown: no outcome reported.
    superseded: lost against another row of its key, as source.duplicates declares; listed with --kind only. Values are
    masked; in Markdown and in CI, so are keys that are personal data. `source row` counts the rows of the source from
    1, without its header; `batch line` the records of the batch file from 1.

    Returns:
        The report to print, or the exit code if the rows were written to stdout.

    Raises:
        UsageError: If options contradict each other, or the run or job is unknown.
    """
    if run is not None and every:
        raise click.UsageError("--run names one run, --all means all of them: give one of the two")
    if groups and export is not None:
        raise click.UsageError("--groups counts, --export writes every row: give one of the two")
    if export == _STDOUT and session.output != "text":
        raise click.UsageError(f"--export - writes CSV to stdout, --output {session.output} something else there")
    with session.journal() as journal:
        if journal is None:
            if job is not None:
                check_known(session, journal, job)
            chosen, total, superseded = _Chosen(about=run or job or "all jobs", scopes=()), 0, 0
            found: Iterator[RejectLine] = iter(())
        else:
            chosen = _chosen(session, journal, job, run, every=every)
            if groups:
                return Answer(report=GroupsReport(about=chosen.about, groups=_groups(journal, chosen, kind)))
            total = sum(journal.rejects_count(*scope, kind) for scope in chosen.scopes)
            unlisted = (RowOutcome.SUPERSEDED,) if kind is None else ()
            superseded = sum(journal.rejects_count(*scope, item) for scope in chosen.scopes for item in unlisted)
            mask = mask_of(session, declared(session, journal).jobs.values(), show=show_personal)
            found = chain.from_iterable(map(line_of, journal.rejects(*scope, kind)) for scope in chosen.scopes)
            # A file that is named is written for those who may read it.
            found = map(mask.line, found) if export in (None, _STDOUT) else found
        if export == _STDOUT:
            exporting.to_stdout(found)
            return ExitCode.DONE
        if export is not None:
            exporting.to_file(export, found)
        shown = tuple(islice(found, limit or None)) if export is None else ()
    report = RejectsReport(
        about=chosen.about,
        rejects=shown,
        total=total,
        exported=str(export or ""),
        current=chosen.current if kind is None or RowOutcome(kind).traits.of_batch else 0,
        superseded=superseded,
    )
    return Answer(report=report)


Scope = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Selected rejects: pairs of job and run, None for any; `current` as in the report."""

    about: str
    scopes: tuple[Scope, ...]
    current: int = 0


def _chosen(session: Session, journal: Journal, job: str | None, run: str | None, *, every: bool) -> _Chosen:
    if run is not None:
        owner = journal.run(run).job
        if job not in (None, owner):
            raise UsageError(f"run {run} belongs to job {owner}, not to {job}", hint=f"`batchsync history {job}`")
        return _Chosen(about=run, scopes=((owner, run),))
    if job is not None:
        check_known(session, journal, job)
    if every:
        return _Chosen(about=f"{job or 'all jobs'}, all runs", scopes=((job, None),))
    names = [job] if job is not None else list(declared(session, journal).jobs)
    last = [newest for name in names if (newest := journal.last_run(name))]
    if job is None and not last:
        return _Chosen(about="all jobs", scopes=((None, None),))
    return _Chosen(
        about=last[0].id if job is not None and last else job or "the last run of each job",
        scopes=tuple((item.job, str(item.id)) for item in last),
        current=sum(item.counts.outcomes.sum_of(BATCH_OUTCOMES) for item in last),
    )


def _groups(journal: Journal, chosen: _Chosen, kind: str | None) -> tuple[Group, ...]:
    """Count by reason over all scopes, in descending order of count."""
    counts: Counter[tuple[RowOutcome, str, str]] = Counter()
    for scope in chosen.scopes:
        for group in journal.reject_groups(*scope, kind):
            counts[group.kind, group.code, group.field] += group.count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Group(kind=entry[0], code=entry[1], field=entry[2], count=count) for entry, count in ordered)


def line_of(row: RejectRow) -> RejectLine:
    """Return a reject of the journal as a report line."""
    return RejectLine(job=row.job, run=row.run, batch=row.batch or "", reject=row.reject, delivered=row.delivered)
