"""Values that the tests of the core share: one batch in each phase, one event of each kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lading.core.batch import Batch, BatchFile, BatchId, Books, Phase, RunId, Slot, Verb, Verdict
from lading.core.events import (
    Allocated,
    Announced,
    AnswersLost,
    Collected,
    Delivered,
    DidNotHappen,
    Event,
    GaveUp,
    Reopened,
    Resolved,
    Settled,
    SlotLost,
    StillRunning,
    Unanswered,
    Uploaded,
    Withdrawn,
)

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
ROWS = 10
SLOT = Slot(id="slot-1", url="https://storage.example/slot-1?signature=secret", until=NOW + timedelta(hours=1))


def a_batch(phase: Phase = Phase.PREPARED, **changes: object) -> Batch:
    """Return a batch that is consistent with its phase."""
    after_slot = phase not in (Phase.PREPARED, Phase.STUCK)
    after_upload = after_slot and phase is not Phase.ALLOCATED
    batch = Batch(
        id=BatchId("guests-000000000001"),
        run=RunId("guests-1"),
        job="guests",
        seq=1,
        file=BatchFile(path="a.gz", evidence="a.parquet", digest="d" * 64, md5="e" * 32, size=100, rows=ROWS),
        phase=phase,
        prepared_at=NOW,
        slot=SLOT if phase is Phase.ALLOCATED else (Slot(id="slot-1") if after_slot else None),
        submitted_at=NOW if after_upload else None,
        verdict=Verdict.PROCESSED if phase in (Phase.SETTLED, Phase.COLLECTED, Phase.DELIVERED) else None,
        books=Books(accepted=ROWS - 1, unknown=1) if phase in (Phase.COLLECTED, Phase.DELIVERED) else None,
        stuck_from=Phase.PREPARED if phase is Phase.STUCK else None,
    )
    return replace(batch, **changes)  # type: ignore[arg-type]  # the tests name real members


def events_for(phase: Phase) -> dict[type[Event], Event]:
    """Return one event of each kind, with the verb that would be announced in this phase."""
    verb = Verb.UPLOAD if phase is Phase.ALLOCATED else Verb.ALLOCATE
    samples: tuple[Event, ...] = (
        Announced(at=NOW, verb=verb),
        Allocated(at=NOW, slot=SLOT),
        Uploaded(at=NOW, slot=SLOT if phase is Phase.PREPARED else None),
        StillRunning(at=NOW, word="Running", look_again_at=LATER),
        Settled(at=NOW, verdict=Verdict.MIXED, word="Completed"),
        Collected(at=NOW, books=Books(accepted=7, rejected=2, unknown=1)),
        AnswersLost(at=NOW, reason="the folder is gone", look_again_at=LATER),
        Delivered(at=NOW),
        DidNotHappen(at=NOW, verb=verb, reason="429", look_again_at=LATER),
        Unanswered(at=NOW, verb=verb, reason="read timeout", look_again_at=LATER),
        SlotLost(at=NOW, reason="expired"),
        Withdrawn(at=NOW, reason="cancelled by hand"),
        GaveUp(at=NOW, reason="refused"),
        Reopened(at=NOW, reason="resumed by hand"),
        Resolved(at=NOW, delivered=True, reason="asked by telephone"),
    )
    return {type(one): one for one in samples}
