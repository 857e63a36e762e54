"""The second look: the rows follow from the events, the books of every run balance, and no event was touched.

It repairs nothing. Whoever owns the file can rewrite all of it; only a chain head kept elsewhere shows that.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from lading.core import accounting
from lading.core.batch import Batch, Phase
from lading.core.lifecycle import ImpossibleEventError, evolve
from lading.core.run import RunState, settlement_of
from lading.errors import LadingError
from lading.journal import codec, schema
from lading.journal.queries import PREPARED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lading.core.run import Run
    from lading.journal.codec import Row
    from lading.journal.queries import Queries

    Ask = Callable[..., list[Row]]


def audit(journal: Queries, ask: Ask) -> tuple[str, ...]:
    """Return every disagreement, in words; nothing when all is well."""
    return (*_damage(ask), *_events(ask), *_rows(journal, ask), *_runs(journal, ask))


def _damage(ask: Ask) -> Iterator[str]:
    for row in ask("PRAGMA integrity_check(20)"):
        if row["integrity_check"] != "ok":
            yield f"the file is damaged: {row['integrity_check']}"
    for row in ask("PRAGMA foreign_key_check"):
        yield f"a row of {row['table']} belongs to a row of {row['parent']} that is not there"


def _events(ask: Ask) -> Iterator[str]:
    """The triggers are there, and each event is chained to the one before it."""
    there = {row["sql"] for row in ask("SELECT sql FROM sqlite_master WHERE type = 'trigger'")}
    if there != schema.right_shape("trigger"):
        yield "a trigger that keeps events from being changed is gone, or is another one"
    before, place = "", 0
    while page := ask("SELECT * FROM events WHERE no > ? ORDER BY no LIMIT 1000", [place]):
        for row in page:
            if row["chain"] != codec.link(before, row):
                yield f"event {row['no']} of batch {row['batch']} is not what was written, or one before it is gone"
            before, place = row["chain"], row["no"]


def _rows(journal: Queries, ask: Ask) -> Iterator[str]:
    """The row of each batch is what its events come to."""
    for row in ask("SELECT id FROM batches ORDER BY no"):
        try:
            batch = journal.batch(row["id"])
            told = _fold(journal, ask, row["id"])
        except (LadingError, ImpossibleEventError, ValueError, KeyError, TypeError) as error:
            yield f"batch {row['id']}: its events cannot be told again: {error}"
            continue
        if batch is None or told is None or _facts(batch) != _facts(told):
            yield f"batch {row['id']}: its row says {batch and batch.phase}, its events come to {told and told.phase}"


def _fold(journal: Queries, ask: Ask, batch: str) -> Batch | None:
    first = ask("SELECT payload FROM events WHERE batch = ? AND kind = ? ORDER BY no LIMIT 1", [batch, PREPARED])
    if not first:
        return None
    told = codec.read_batch(json.loads(first[0]["payload"]))
    for event in journal.events(told.id):
        told = codec.without_url(evolve(told, event))
    return told


def _facts(batch: Batch) -> Batch:
    """Return the batch without what heartbeats move: they are in no event, and speak of submitted batches only."""
    facts = replace(batch, polls=0)
    if Phase.SUBMITTED in (batch.phase, batch.stuck_from):
        # A heartbeat also ends a row of failures.
        facts = replace(facts, word="", not_before=None, failures=0, reason="")
    return facts


def _runs(journal: Queries, ask: Ask) -> Iterator[str]:
    """The equation of each run holds, and its state is that of its batches."""
    for row in ask("SELECT id FROM runs ORDER BY no"):
        try:
            run = journal.run(row["id"])
            batches = journal.batches(row["id"])
        except (LadingError, ValueError, KeyError, TypeError) as error:
            yield f"run {row['id']} cannot be read: {error}"
            continue
        yield from _books(run, batches)


def _books(run: Run, batches: tuple[Batch, ...]) -> Iterator[str]:
    try:
        settlement_of(run, batches)
    except accounting.UnbalancedError as error:
        yield f"run {run.id}: {error}"
    if run.state is RunState.HELD:
        return
    sealed = sum(one.file.rows for one in batches)
    if run.state is RunState.PREPARING:
        if not 0 < sealed < run.tally.to_send:
            yield f"run {run.id} is preparing {run.tally.to_send} records, and its batches hold {sealed}"
        return
    if sealed != run.tally.to_send:
        yield f"run {run.id} planned to send {run.tally.to_send} records, but its batches hold {sealed}"
    over = all(one.phase is Phase.DELIVERED for one in batches)
    if over != (run.state is RunState.SETTLED):
        yield f"run {run.id} is {run.state}, but {'all' if over else 'not all'} of its batches are delivered"
