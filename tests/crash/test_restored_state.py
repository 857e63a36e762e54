"""A restored state folder is older than the state at the vendor: what was sent since is found and not sent again.

The limits are documented in docs/guarantees.md.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from batchsync.core.batch import Phase, Verb
from batchsync.core.events import Uploaded
from batchsync.journal import Journal
from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment
from kit.matrix import FaultPlan, Scenario
from simulation.network import connected
from simulation.process_life import CrashPoint

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch

#: seconds after which no request of the earlier process is in flight any more
RESTORE_SECONDS = 900.0


class _BackupAtCheckpoints(CrashPoint):
    """Copies the state folder at each checkpoint."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        super().__init__()
        self._scenario, self._folder = scenario, folder
        self.copies: list[tuple[str, Path]] = []

    def checkpoint(self, name: str) -> None:
        super().checkpoint(name)
        copy = self._folder / str(len(self.copies))
        shutil.copytree(self._scenario.state, copy)
        self.copies.append((name, copy))


def _batch_of(copy: Path, job: str) -> Batch:
    with Journal.open(copy) as journal:
        return journal.batches(f"{job}-1")[0]


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_backup_of_any_checkpoint_restored_after_delivery_delivers_once(tmp_path: Path, job: str) -> None:
    """A backup is taken at each checkpoint of a delivery, and restored after the delivery."""
    scenario = Scenario(job, tmp_path / "scenario")
    scenario.restore()
    crash_point = _BackupAtCheckpoints(scenario, tmp_path / "copies")
    with connected(scenario.network):
        scenario._resume(crash_point)
    assert scenario._batch().phase is Phase.DELIVERED
    scenario.time.advance(RESTORE_SECONDS)
    found = 0
    for name, copy in crash_point.copies:
        backed_up = _batch_of(copy, job)
        if job == "vehicles" and backed_up.pending_intent is Verb.ALLOCATE:
            # This state equals that after an allocation whose response was lost; see docs/guarantees.md.
            continue
        shutil.rmtree(scenario.state)
        shutil.move(copy, scenario.state)

        ending = scenario._rest(FaultPlan("restored"), name)

        if job == "vehicles" and backed_up.allocation is None:
            # Motorweb cannot look up a batch by its reference; it reports a conflict, and the batch needs attention.
            assert (ending.batch.phase, ending.complaints) == (Phase.NEEDS_ATTENTION, []), name
            assert "409" in ending.batch.reason
            continue
        assert (ending.batch.phase, ending.batch.attempt, ending.complaints) == (Phase.DELIVERED, 1, []), name
        with Journal.open(scenario.state) as journal:
            found += any(isinstance(event, Uploaded) and event.allocation for event in journal.events(ending.batch.id))
    assert found


@pytest.mark.parametrize("lost", ["the whole folder", "since the upload"])
def test_restored_state_folder_sends_no_second_copy_to_sitecore(deployment: Deployment, lost: str) -> None:
    state, copy = deployment.folder / ".batchsync", deployment.folder / "copy"
    if lost == "since the upload":
        deployment.kill_during(CDP, "PUT", r"^/v2/batches/", "sync", "guests")
        shutil.copytree(state, copy)
    deployment.run("sync", "guests")
    expected = deployment.delivered(CDP)
    shutil.rmtree(state)
    if copy.exists():
        copy.rename(state)
        deployment.run("sync", "guests", expect=3)
        deployment.run("state", "accept", "--reason=restored from the backup")

    deployment.run("sync", "guests")

    assert deployment.delivered(CDP) == expected
    assert set(expected.values()) == {1}
    assert deployment.json("status")["open"] == []


def test_restored_state_folder_sends_no_second_copy_to_motorweb(deployment: Deployment) -> None:
    """The process killed during its upload leaves the upload in doubt; without any state, the reference is in use."""
    state, copy = deployment.folder / ".batchsync", deployment.folder / "copy"
    deployment.kill_during(BDP, "PUT", "^/_storage", "sync", "vehicles")
    shutil.copytree(state, copy)
    deployment.run("sync", "vehicles")
    expected = deployment.delivered(BDP)
    shutil.rmtree(state)
    copy.rename(state)
    deployment.run("sync", "vehicles", expect=3)
    deployment.run("state", "accept", "--reason=restored from the backup")
    deployment.run("sync", "vehicles")
    assert deployment.delivered(BDP) == expected
    shutil.rmtree(state)

    deployment.run("sync", "vehicles", expect=8)

    assert deployment.delivered(BDP) == expected
    assert set(expected.values()) == {1}


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_upload_answered_by_a_gateway_is_looked_up_by_the_next_process(deployment: Deployment, job: str) -> None:
    vendor = CDP if job == "guests" else BDP
    deployment.mocks.arm(Fault(kind="replace_answer", status=403, vendor=vendor, method="PUT", path="^/_storage"))
    deployment.run("sync", job, "--no-wait", expect=5)

    deployment.run("resume", job)

    assert set(deployment.delivered(vendor).values()) == {1}
