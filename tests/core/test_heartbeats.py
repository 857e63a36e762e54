"""Heartbeats (`StillRunning`) are not stored as events, so a replay without them has to result in the same batch."""

from __future__ import annotations

from dataclasses import replace

from core_samples import a_batch, events_for
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.batch import Batch, Phase
from batchsync.core.events import Event, StillRunning
from batchsync.core.lifecycle import ImpossibleEventError, evolve
from batchsync.journal.audit import without_heartbeats

#: Events of every kind, those that depend on a verb with each verb.
SAMPLES = tuple(
    event for phase in (Phase.PREPARED, Phase.ALLOCATED, Phase.UPLOADED) for event in events_for(phase).values()
)


def after(batch: Batch, event: Event) -> Batch | None:
    """Return the batch after an event; None if the event is impossible."""
    try:
        return evolve(batch, event)
    except ImpossibleEventError:
        return None


@given(chosen=st.lists(st.floats(min_value=0, max_value=1, exclude_max=True), max_size=30))
def test_replay_without_heartbeats_results_in_the_same_batch(chosen: list[float]) -> None:
    batch = replayed = a_batch()
    for share in chosen:
        possible = [event for event in SAMPLES if after(batch, event) is not None]
        if not possible:
            break
        event = possible[int(share * len(possible))]
        if isinstance(event, StillRunning) and batch.phase is Phase.FINISHED:
            # Asked for results that are not ready, the vendor reports no new status.
            event = replace(event, vendor_status=batch.vendor_status)
        batch = evolve(batch, event)
        if not isinstance(event, StillRunning):
            replayed = evolve(replayed, event)
        assert without_heartbeats(batch) == without_heartbeats(replayed)
