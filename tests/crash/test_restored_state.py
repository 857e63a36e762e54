"""A state folder restored from a backup knows less than the vendor: what was sent since is found and not sent again.

What cannot be found out stands in docs/guarantees.md.
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
from kit.matrix import Plan, Scenario
from simulation.life import Fuse
from simulation.wire import plugged

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch

#: seconds after which no request of the life before is under way any more
RESTORING = 900.0


class _Copying(Fuse):
    """Copies the state folder at each checkpoint, and lets the process live on."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        super().__init__()
        self._scenario, self._folder = scenario, folder
        self.copies: list[tuple[str, Path]] = []

    def checkpoint(self, name: str) -> None:
        super().checkpoint(name)
        copy = self._folder / str(len(self.copies))
        shutil.copytree(self._scenario.state, copy)
        self.copies.append((name, copy))


def _known(copy: Path, job: str) -> Batch:
    with Journal.open(copy) as journal:
        return journal.batches(f"{job}-1")[0]


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_backup_of_any_moment_restored_after_the_delivery_delivers_once(tmp_path: Path, job: str) -> None:
    """Each checkpoint of a whole delivery is the moment of a backup, which is restored when everything is delivered."""
    scenario = Scenario(job, tmp_path / "world")
    scenario.restore()
    fuse = _Copying(scenario, tmp_path / "copies")
    with plugged(scenario.network):
        scenario._resume(fuse)
    assert scenario._batch().phase is Phase.DELIVERED
    scenario.time.pass_by(RESTORING)
    found = 0
    for name, copy in fuse.copies:
        then = _known(copy, job)
        if job == "vehicles" and then.pending_intent is Verb.ALLOCATE:
            # Nothing tells this from an allocation whose answer was lost: see docs/guarantees.md.
            continue
        shutil.rmtree(scenario.state)
        shutil.move(copy, scenario.state)

        ending = scenario._rest(Plan("restored"), name)

        if job == "vehicles" and then.allocation is None:
            # Motorweb names no batch by our reference: it says that there is one, and a person must look.
            assert (ending.batch.phase, ending.complaints) == (Phase.NEEDS_ATTENTION, []), name
            assert "409" in ending.batch.reason
            continue
        assert (ending.batch.phase, ending.batch.attempt, ending.complaints) == (Phase.DELIVERED, 1, []), name
        with Journal.open(scenario.state) as journal:
            found += any(isinstance(event, Uploaded) and event.allocation for event in journal.events(ending.batch.id))
    assert found


@pytest.mark.parametrize("lost", ["the whole folder", "since the upload"])
def test_sitecore_gets_no_second_copy_when_the_state_folder_is_restored(deployment: Deployment, lost: str) -> None:
    state, copy = deployment.folder / ".batchsync", deployment.folder / "copy"
    if lost == "since the upload":
        deployment.kill_during(CDP, "PUT", r"^/v2/batches/", "sync", "guests")
        shutil.copytree(state, copy)
    deployment.run("sync", "guests")
    once = deployment.delivered(CDP)
    shutil.rmtree(state)
    if copy.exists():
        copy.rename(state)

    deployment.run("sync", "guests")

    assert deployment.delivered(CDP) == once
    assert set(once.values()) == {1}
    assert deployment.json("status")["open"] == []


def test_motorweb_gets_no_second_copy_when_the_state_folder_is_restored(deployment: Deployment) -> None:
    """Killed in its upload, the process left a slot in doubt; without any state, the reference is found in use."""
    state, copy = deployment.folder / ".batchsync", deployment.folder / "copy"
    deployment.kill_during(BDP, "PUT", "^/_storage", "sync", "vehicles")
    shutil.copytree(state, copy)
    deployment.run("sync", "vehicles")
    once = deployment.delivered(BDP)
    shutil.rmtree(state)
    copy.rename(state)
    deployment.run("sync", "vehicles")
    assert deployment.delivered(BDP) == once
    shutil.rmtree(state)

    deployment.run("sync", "vehicles", expect=3)

    assert deployment.delivered(BDP) == once
    assert set(once.values()) == {1}


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_gateway_answer_after_the_upload_is_asked_about_by_the_next_process(deployment: Deployment, job: str) -> None:
    vendor = CDP if job == "guests" else BDP
    deployment.mocks.arm(Fault(kind="replace_answer", status=403, vendor=vendor, method="PUT", path="^/_storage"))
    deployment.run("sync", job, "--no-wait", expect=5)

    deployment.run("resume", job)

    assert set(deployment.delivered(vendor).values()) == {1}
