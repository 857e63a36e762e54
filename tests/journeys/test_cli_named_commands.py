"""Each command that a message about a batch names is run here, and changes the state as the message says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import CDP

if TYPE_CHECKING:
    from kit.deployment import Deployment

#: Refusals for good: of the allocation, so that nothing was sent, and of the poll, so that the vendor has the file. A
#: vendor that denies the file for long: its outcome is unknown.
REFUSED = {
    "nothing sent": Fault(kind="status", status=400, vendor=CDP, method="PUT", path=r"^/v2/batches/", times=0),
    "file sent": Fault(kind="status", status=400, vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", times=0),
    "outcome unknown": Fault(
        kind="status", status=404, vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", times=0
    ),
}
#: Commands by state of the batch, as their words after `batchsync`, with BATCH for its id, and the exit code of a later
#: `sync`: rows that are given up in their run and sent again by the next are beyond the budget of the first.
NAMED: dict[str, dict[str, int]] = {
    "nothing sent": {"resume guests": 0, "cancel BATCH": 4},
    "file sent": {"resume guests": 0, "resolve BATCH --delivered": 0, "resolve BATCH --resend": 4},
    "outcome unknown": {"collect BATCH": 0, "resolve BATCH --delivered": 0, "resolve BATCH --resend": 0},
}


def parked(deployment: Deployment, state: str) -> str:
    """Let the batch of guests need attention, or end with an unknown outcome; return its id."""
    deployment.mocks.arm(REFUSED[state])
    deployment.run("sync", "guests", expect=8)
    deployment.mocks.disarm()
    status = deployment.json("status", expect=8)
    if state == "outcome unknown":
        (job,) = [job for job in status["jobs"] if job["unresolved"]]
        return str(job["unresolved"][0])
    (batch,) = status["open"]
    assert batch["phase"] == "needs_attention"
    return str(batch["batch"])


@pytest.mark.parametrize("state", NAMED)
def test_status_names_exactly_these_commands(state: str, deployment: Deployment) -> None:
    batch = parked(deployment, state)
    steps = deployment.json("status", expect=8)["next"]
    named = [words.replace(batch, "BATCH") for step in steps for words in re.findall(r"`batchsync ([^`]+)`", step)]
    assert named == list(NAMED[state])


@pytest.mark.parametrize(("state", "command"), [(state, command) for state in NAMED for command in NAMED[state]])
def test_named_command_changes_the_state(state: str, command: str, deployment: Deployment) -> None:
    batch = parked(deployment, state)
    before = deployment.json("status", expect=8)
    deployment.run(*command.replace("BATCH", batch).split())
    status = deployment.json("status", expect=0)
    assert (status["open"], status["jobs"]) != (before["open"], before["jobs"])
    assert not [item for item in status["open"] if item["phase"] == "needs_attention"]
    deployment.run("sync", "guests", expect=NAMED[state][command])
    assert deployment.json("status")["open"] == []
    assert len(deployment.delivered(CDP)) == 29


@pytest.mark.parametrize("state", ["nothing sent", "file sent"])
def test_rejects_are_named_only_where_they_are_listed(state: str, deployment: Deployment) -> None:
    guests = deployment.folder / "guests.csv"
    guests.write_text("\n".join(guests.read_text(encoding="utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    parked(deployment, state)
    assert deployment.json("rejects", "guests")["rejects"] == []
    for command in ("status", "show"):
        assert "batchsync rejects" not in deployment.run(command, "guests", expect=8 if command == "status" else 0)
