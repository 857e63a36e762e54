"""What the pages of a run and of a batch show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Phase
from batchsync.core.run import RunState
from batchsync.report.text_format import moment
from batchsync.web.bars import Timeline, timeline
from batchsync.web.jobs_view import run_views

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.journal import Approval, Journal
    from batchsync.ports.overview import StoredEvent
    from batchsync.web.jobs_view import Deployed
    from batchsync.web.summary import RunView

#: Batches on one page of a run.
BATCHES = 50
#: Members of an event that pages show, in this order; others are ids, digests and paths of files.
_SHOWN = ("verb", "reason", "verdict", "vendor_status", "counts", "delivered", "retry_at", "expired", "foreign")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """An event of a batch as pages show it: number, time, kind, and its details as words."""

    no: int
    at: datetime
    kind: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch as pages show it.

    Attributes:
        batch: The batch.
        version: Number of its newest event; forms carry it.
        events: Its events.
        timeline: Its place on the time line of the run.
        may_be_resolved: Whether a person may say what became of it, or of some of its rows.
        may_be_collected: Whether the vendor can be asked again about its rows.
    """

    batch: Batch
    version: int
    events: tuple[EventView, ...]
    timeline: Timeline

    @property
    def may_be_resolved(self) -> bool:
        """Whether a person may say what became of it, or of some of its rows."""
        return self.batch.phase is Phase.NEEDS_ATTENTION or unresolved(self.batch) > 0

    @property
    def may_be_collected(self) -> bool:
        """Whether the vendor can be asked again about some of its rows."""
        return self.batch.phase is Phase.DELIVERED and unresolved(self.batch) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run.

    Attributes:
        view: The run.
        approval: The approval of its plan, if any.
        awaits: Whether it may be approved: its plan is stopped, not approved, and the newest of the job.
        batches: Batches of this page, in order.
        more: Sequence number after which the next page begins; 0 if there is none.
        begin: Time at the left end of the time lines.
        end: Time at their right end.
    """

    view: RunView
    approval: Approval | None
    awaits: bool
    batches: tuple[BatchView, ...]
    more: int
    begin: datetime
    end: datetime


def run_page(journal: Journal, name: str, after: int, deployed: Deployed) -> RunPage:
    """Return what the page of a run shows.

    Args:
        journal: The journal.
        name: Id of the run.
        after: Sequence number after which its batches are listed; 0 for the first page.
        deployed: What is known of the jobs besides.

    Raises:
        UsageError: If there is no such run.
    """
    run = journal.run(name)
    view = run_views(journal, [run], deployed)[run.id]
    approval = journal.approval(run.job, run.plan)
    batches = journal.batch_page(run.id, after, BATCHES + 1)
    end = run.settled_at or max(deployed.now, run.created_at)
    newest = journal.last_run(run.job)
    return RunPage(
        view=view,
        approval=approval,
        awaits=run.state is RunState.AWAITING_APPROVAL
        and approval is None
        and newest is not None
        and newest.id == name,
        batches=batch_views(journal, batches[:BATCHES], run.created_at, end),
        more=batches[BATCHES - 1].seq if len(batches) > BATCHES else 0,
        begin=run.created_at,
        end=end,
    )


def batch_views(journal: Journal, batches: tuple[Batch, ...], begin: datetime, end: datetime) -> tuple[BatchView, ...]:
    """Return batches as pages show them.

    Args:
        journal: The journal.
        batches: The batches.
        begin: Time at the left end of their time lines.
        end: Time at the right end.
    """
    events = journal.events_of([batch.id for batch in batches])
    return tuple(
        BatchView(
            batch=batch,
            version=max((event.no for event in events[batch.id]), default=0),
            events=tuple(map(_event_view, events[batch.id])),
            timeline=timeline(events[batch.id], begin, end),
        )
        for batch in batches
    )


def batch_view(journal: Journal, name: str, now: datetime) -> BatchView | None:
    """Return one batch as its page shows it; None if there is none of this id."""
    batch = journal.batch(name)
    if batch is None:
        return None
    run = journal.run(batch.run)
    (view,) = batch_views(journal, (batch,), run.created_at, run.settled_at or max(now, run.created_at))
    return view


def _event_view(event: StoredEvent) -> EventView:
    content = event.content if event.kind != "Prepared" else {}
    found = {name: content[name] for name in _SHOWN if content.get(name) not in (None, "", False, {})}
    details = "; ".join(f"{name.replace('_', ' ')}: {_words(value)}" for name, value in found.items())
    return EventView(no=event.no, at=event.at, kind=event.kind, details=details)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items() if count)
    return str(value)


def span_words(page: RunPage) -> str:
    """Return the time span of the time lines in words."""
    return f"{moment(page.begin)} to {moment(page.end)}"
