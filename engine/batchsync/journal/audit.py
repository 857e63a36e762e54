"""Consistency check of the journal: rows follow from events, every run's counts balance, events are unchanged.

It only reports. The owner of the file can rewrite all of it, chain included; only a chain head stored elsewhere would
reveal that.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsync.core import accounting
from batchsync.core.batch import Batch, Phase
from batchsync.core.lifecycle import ImpossibleEventError, evolve
from batchsync.core.run import RunState, settlement_of
from batchsync.errors import BatchsyncError
from batchsync.journal import codec, schema
from batchsync.journal.chain import PREPARED
from batchsync.journal.schema_fourth import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.core.run import Run
    from batchsync.journal.codec import Row
    from batchsync.journal.queries import Queries

    Query = Callable[..., list[Row]]


def audit(journal: Queries, query: Query) -> tuple[str, ...]:
    """Return a description of every inconsistency; empty if there is none.

    Args:
        journal: The open journal.
        query: Runs a SELECT or PRAGMA on the journal's connection and returns its rows as dicts.
    """
    return (*_check_file(query), *_check_chain(query), *_check_batches(journal, query), *_check_runs(journal, query))


def _check_file(query: Query) -> Iterator[str]:
    for row in query("PRAGMA integrity_check(20)"):
        if row["integrity_check"] != "ok":
            yield f"the file is damaged: {row['integrity_check']}"
    for row in query("PRAGMA foreign_key_check"):
        yield f"a row of {row['table']} refers to a missing row of {row['parent']}"


def _check_chain(query: Query) -> Iterator[str]:
    """Report missing triggers, and events that are not chained to their predecessor."""
    triggers = {row["sql"] for row in query("SELECT sql FROM sqlite_master WHERE type = 'trigger'")}
    if triggers != schema.expected_shape("trigger"):
        yield "a trigger that makes events append-only or checks counts is missing or was changed"
    redacted = codec.redactions(query("SELECT * FROM events WHERE kind = ?", [REDACTED]))
    pruned = query("SELECT last, chain FROM pruned_events ORDER BY last DESC")
    before, number = "", 0
    while page := query("SELECT * FROM events WHERE no > ? ORDER BY no LIMIT 1000", [number]):
        for row in page:
            while pruned and pruned[-1]["last"] < row["no"]:
                gap = pruned.pop()
                before = gap["chain"] if gap["last"] > number else before
            if not codec.is_linked(before, row, redacted):
                yield f"event {row['no']} of batch {row['batch']} was changed, or an event before it is missing"
            before, number = row["chain"], row["no"]


def _check_batches(journal: Queries, query: Query) -> Iterator[str]:
    """Report batches whose row differs from the replay of their events."""
    for row in query("SELECT id FROM batches ORDER BY no"):
        try:
            batch = journal.batch(row["id"])
            replayed = _replay(journal, query, row["id"])
        except (BatchsyncError, ImpossibleEventError, ValueError, KeyError, TypeError) as error:
            yield f"batch {row['id']}: its events cannot be replayed: {error}"
            continue
        if batch is None or replayed is None or without_heartbeats(batch) != without_heartbeats(replayed):
            phases = f"its row is {batch and batch.phase}, its replayed events result in {replayed and replayed.phase}"
            yield f"batch {row['id']}: {phases}"


def _replay(journal: Queries, query: Query, batch: str) -> Batch | None:
    """Return the batch that results from the events, or None if the first event is missing."""
    first = query("SELECT payload FROM events WHERE batch = ? AND kind = ? ORDER BY no LIMIT 1", [batch, PREPARED])
    if not first:
        return None
    replayed = codec.read_batch(json.loads(first[0]["payload"]))
    for event in journal.events(replayed.id):
        replayed = codec.without_url(evolve(replayed, event))
    return replayed


def without_heartbeats(batch: Batch) -> Batch:
    """Return the batch without the fields that heartbeats update (`StillRunning`), which are not stored as events."""
    facts = replace(batch, polls=0)
    if {Phase.SUBMITTED, Phase.FINISHED} & {batch.phase, batch.parked_from}:
        # A heartbeat also resets the failure counts.
        facts = replace(facts, not_before=None, failures=0, foreign_answers=0, reason="")
    if Phase.SUBMITTED in (batch.phase, batch.parked_from):
        facts = replace(facts, vendor_status="")
    return facts


def _check_runs(journal: Queries, query: Query) -> Iterator[str]:
    """Report runs whose settlement does not balance or whose state contradicts their batches."""
    for row in query("SELECT id FROM runs ORDER BY no"):
        try:
            run = journal.run(row["id"])
            batches = journal.batches(row["id"])
        except (BatchsyncError, ValueError, KeyError, TypeError) as error:
            yield f"run {row['id']} cannot be read: {error}"
            continue
        yield from _check_run(run, batches)


def _check_run(run: Run, batches: tuple[Batch, ...]) -> Iterator[str]:
    try:
        settlement_of(run, batches)
    except accounting.UnbalancedError as error:
        yield f"run {run.id}: {error}"
    if run.state is RunState.AWAITING_APPROVAL:
        return
    finalized = sum(batch.file.rows for batch in batches)
    if run.state is RunState.PREPARING:
        if not 0 < finalized < run.counts.to_send:
            yield f"run {run.id} is preparing {run.counts.to_send} records, and its batches contain {finalized}"
        return
    if finalized != run.counts.to_send:
        yield f"run {run.id} planned to send {run.counts.to_send} records, but its batches contain {finalized}"
    all_delivered = all(batch.phase is Phase.DELIVERED for batch in batches)
    if all_delivered != (run.state is RunState.SETTLED):
        yield f"run {run.id} is {run.state}, but {'all' if all_delivered else 'not all'} of its batches are delivered"
