"""Batches of unknown outcome are not resent; they are resolved manually."""

from __future__ import annotations

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment


@pytest.mark.parametrize(("option", "sent_again"), [("--delivered", 0), ("--resend", 29)])
def test_batch_of_unknown_outcome_is_resolved_manually(deployment: Deployment, option: str, sent_again: int) -> None:
    batch = _lost_after_upload(deployment)
    before = len(deployment.mocks.ledger(CDP))
    assert deployment.json("show", "guests", expect=0)["runs"][0]["settlement"]["unknown"] == 29

    deployment.run("resolve", batch, option, "--reason", "asked by telephone")
    deployment.mocks.disarm()
    deployment.run("sync", "guests")

    assert len(deployment.mocks.ledger(CDP)) - before == sent_again
    assert deployment.json("show", "guests")["runs"][0]["settlement"]["unknown"] == 0


def test_unknown_batch_is_not_resent_automatically(deployment: Deployment) -> None:
    _lost_after_upload(deployment)
    before = len(deployment.mocks.ledger(CDP))
    deployment.mocks.disarm()

    deployment.run("sync", "guests", expect=8)

    assert len(deployment.mocks.ledger(CDP)) == before


def test_status_and_serve_once_end_with_needs_attention(deployment: Deployment) -> None:
    """Cron and CI notice a batch that only a person can resolve, even if nothing is due."""
    (deployment.folder / "jobs.yaml").write_text(
        (deployment.folder / "jobs.yaml")
        .read_text("utf-8")
        .replace("  guests:\n", '  guests:\n    schedule: {cron: "0 6 * * *"}\n'),
        "utf-8",
    )
    assert deployment.json("status", expect=0) is not None
    batch = _lost_after_upload(deployment)

    assert deployment.json("status", "guests", expect=8)["jobs"][0]["unresolved"] == [batch]
    deployment.run("status", "vehicles", expect=0)
    deployment.run("serve", "--once", "guests", expect=8)

    deployment.run("resolve", batch, "--delivered", "--reason", "asked by telephone")
    deployment.run("status", expect=0)
    deployment.run("serve", "--once", "guests", expect=0)


def test_resolve_of_known_outcome_is_refused(deployment: Deployment) -> None:
    deployment.run("sync", "vehicles")
    batch = deployment.json("history", "vehicles")["runs"][0]["batches"][0]["batch"]

    deployment.run("resolve", batch, "--delivered", expect=2)

    assert {entry["delivery"] for entry in deployment.mocks.ledger(BDP)} == {1}


def test_removal_of_absent_record_is_accepted(deployment: Deployment) -> None:
    """The guests were deleted by another client: the vendor answers 404 to each removal, which counts as accepted."""
    deployment.run("sync", "guests")
    deployment.mocks.reset()
    sources = deployment.folder / "guests.csv"
    lines = sources.read_text("utf-8").splitlines(keepends=True)
    sources.write_text("".join(lines[:1] + lines[3:]), "utf-8")

    deployment.run("sync", "guests")

    assert [entry["outcome"] for entry in deployment.mocks.ledger(CDP)] == ["rejected", "rejected"]
    settlement = deployment.json("show", "guests")["runs"][0]["settlement"]
    assert (settlement["removed"], settlement["accepted"], settlement["rejected"]) == (2, 2, 0)
    assert deployment.json("sync", "guests") is not None
    assert len(deployment.mocks.ledger(CDP)) == 2, "a further sync sends nothing"


def _lost_after_upload(deployment: Deployment) -> str:
    """Let the vendor accept a batch and then deny it with 404; return the id of the batch."""
    deployment.mocks.arm(
        Fault(kind="status", vendor=CDP, method="GET", path=r"^/v2/batches/inspect/.", status=404, times=0)
    )
    deployment.run("sync", "guests", expect=8)
    return str(deployment.json("history", "guests")["runs"][0]["batches"][0]["batch"])
