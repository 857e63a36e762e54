"""After an upgrade that makes other fingerprints, unchanged records are not sent, and what cannot be compared waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness import WAIT

from batchsync.core.run import RunState
from batchsync.data.batchfile import encode
from batchsync.data.record import examine
from batchsync.data.record.fingerprint import former_fingerprints
from batchsync.reconcile.sync import sync
from kit.deployment import CDP

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.run import Run

ROWS = 29


@pytest.fixture
def upgraded(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Return a deployment whose guests were delivered by a release with fingerprints of version 1."""

    def of_version_1(*arguments: Any) -> Any:
        return former_fingerprints(*arguments).alias("batchsync:fingerprint")

    with monkeypatch.context() as older:
        for module in (examine, encode):
            older.setattr(module, "fingerprints", of_version_1)
        harness.sync("guests", WAIT)
    assert len(harness.deployment.delivered(CDP)) == ROWS
    return harness


def edit(harness: Harness, file: str, old: str, new: str) -> None:
    path = harness.deployment.folder / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), "utf-8")


def edited(harness: Harness) -> dict[str, Any]:
    """Return changes of the job as an edit of its mapping makes them."""
    job = harness.context("guests").job
    return {"spec_hash": "e" * 64, "mapping_hash": "e" * 64, "removal_hash": job.removal_hash}


def run_of(harness: Harness, **changes: Any) -> Run:
    """Sync the job with changed fields; return its run."""
    sync([harness.context("guests", **changes)], harness.services, WAIT)
    return harness.app.journal.history("guests")[0]


@pytest.mark.parametrize("changed", [False, True], ids=["nothing to send", "a change to send"])
def test_first_run_renews_the_baseline(upgraded: Harness, *, changed: bool) -> None:
    before = upgraded.services.store.baseline("guests", upgraded.context("guests").account_id)
    if changed:
        edit(upgraded, "guests.csv", "guest 2,", "guest two,")
    upgraded.sync("guests", WAIT)
    assert upgraded.services.store.baseline("guests", upgraded.context("guests").account_id) != before
    assert sum(upgraded.deployment.delivered(CDP).values()) == ROWS + changed

    run = run_of(upgraded, **edited(upgraded))
    assert (run.state, run.counts.to_send) == (RunState.SETTLED, 0)
    assert sum(upgraded.deployment.delivered(CDP).values()) == ROWS + changed


def test_edit_at_the_same_time_awaits_approval(upgraded: Harness) -> None:
    for _ in range(2):
        run = run_of(upgraded, **edited(upgraded))
        assert run.state is RunState.AWAITING_APPROVAL
        assert f"{ROWS} of {ROWS} changed records cannot be compared" in run.reason
    assert sum(upgraded.deployment.delivered(CDP).values()) == ROWS

    upgraded.app.journal.approve("guests", run.plan, "reviewed", upgraded.services.clock.now())
    run = run_of(upgraded, **edited(upgraded))
    assert run.counts.changed == ROWS
    assert sum(upgraded.deployment.delivered(CDP).values()) == 2 * ROWS
    run = run_of(upgraded, **edited(upgraded))
    assert run.counts.to_send == 0
