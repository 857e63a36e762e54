"""What the page of rejects shows, and its exports."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import LISTED_OUTCOMES
from batchsync.ports.overview import RejectSearch
from batchsync.report.rejects import EXPORT_HEADER, RejectLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from batchsync.journal import Journal, RejectGroup, RejectRow
    from batchsync.web.reader import JournalReader

#: Rejects on one page, and in one part of an export.
PAGE, CHUNK = 100, 2_000
#: Value of `run` that means all runs.
ALL = "all"
_NUMBER = re.compile(r"[0-9]{1,18}")
KINDS = tuple(outcome.value for outcome in LISTED_OUTCOMES)


def parse_search(query: Mapping[str, str]) -> RejectSearch:
    """Return the search of a query string; what is not valid restricts nothing."""
    after, kind = query.get("after", ""), query.get("kind", "")
    return RejectSearch(
        job=query.get("job", ""),
        run=query.get("run", ""),
        kind=kind if kind in KINDS else "",
        code=query.get("code"),
        field=query.get("field"),
        key=query.get("key", ""),
        after=int(after) if _NUMBER.fullmatch(after) else 0,
    )


def query_of(search: RejectSearch) -> dict[str, str]:
    """Return the members of a search that restrict something, for links and hidden fields."""
    named = {name: getattr(search, name) for name in ("job", "run", "kind", "key")}
    exact = {"code": search.code, "field": search.field}
    return {name: value for name, value in named.items() if value} | {
        name: value for name, value in exact.items() if value is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsPage:
    """Rejects by reason, and one page of them.

    Attributes:
        search: What was asked for.
        groups: Rejects of job and run by reason.
        total: Number of rejects in these groups.
        lines: Rejects of this page, masked.
        more: Number of the reject after which the next page begins; 0 if there is none.
        runs: Newest runs of the job, for the choice of one.
    """

    search: RejectSearch
    groups: tuple[RejectGroup, ...]
    total: int
    lines: tuple[RejectLine, ...]
    more: int
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRejects:
    """Number of rejects of the newest run of a job."""

    job: str
    run: str
    rejects: int


def overview_page(journal: Journal) -> tuple[JobRejects, ...]:
    """Return the numbers of rejects of the newest run of each job, largest first."""
    last = journal.last_runs().values()
    found = [JobRejects(job=run.job, run=run.id, rejects=journal.rejects_count(run=run.id)) for run in last]
    return tuple(sorted(found, key=lambda item: -item.rejects))


def rejects_page(journal: Journal, search: RejectSearch, mask: Callable[[RejectLine], RejectLine]) -> RejectsPage:
    """Return what the page of rejects shows.

    Args:
        journal: The journal.
        search: Which rejects.
        mask: Masks a reject.

    Returns:
        The page; of the newest run of the job if none is named, and of all its runs if `run` is `all`.
    """
    if not search.run and (last := journal.last_run(search.job)) is not None:
        search = replace(search, run=last.id)
    shown, search = search, replace(search, run="") if search.run == ALL else search
    # The id of a run is enough, and with the job SQLite would read all rejects of the job.
    groups = journal.reject_groups(None if search.run else search.job, search.run or None, search.kind or None)
    rows = journal.found_rejects(search, PAGE + 1)
    return RejectsPage(
        search=shown,
        groups=groups,
        total=sum(group.count for group in groups),
        lines=tuple(mask(line_of(row)) for _, row in rows[:PAGE]),
        more=rows[PAGE - 1][0] if len(rows) > PAGE else 0,
        runs=tuple(run.id for run in journal.history(search.job, 20)) if search.job else (),
    )


def line_of(row: RejectRow) -> RejectLine:
    """Return a reject of the journal as a line of a report."""
    return RejectLine(job=row.job, run=row.run, batch=row.batch or "", reject=row.reject, delivered=row.delivered)


async def export(
    reader: JournalReader, search: RejectSearch, mask: Callable[[RejectLine], RejectLine], ending: str
) -> AsyncIterator[bytes]:
    """Yield an export of rejects in parts; each part is a query of its own, so that memory stays bounded.

    Args:
        reader: Reads the journal.
        search: Which rejects.
        mask: Masks a reject.
        ending: csv or json.
    """
    search = replace(search, run="") if search.run == ALL else search
    if ending == "csv":
        yield _csv([EXPORT_HEADER])
    first = True
    while rows := await reader.read(partial(_part, search=search)):
        lines = [mask(line_of(row)) for _, row in rows]
        if ending == "csv":
            yield _csv([line.cells() for line in lines])
        else:
            listed = ",\n".join(json.dumps(line.data()) for line in lines)
            yield f"{'[' if first else ','}\n{listed}".encode()
        first = False
        search = replace(search, after=rows[-1][0])
    if ending == "json":
        yield b"[]\n" if first else b"\n]\n"


def _part(journal: Journal, search: RejectSearch) -> list[tuple[int, RejectRow]]:
    """Return the next part of an export."""
    return journal.found_rejects(search, CHUNK)


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
