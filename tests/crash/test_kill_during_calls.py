"""`kill -9` of the real command during every kind of vendor call: the same command finishes, every row arrives once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = [
    pytest.param(CDP, "PUT", r"^/v2/batches/", "guests", id="sitecore-allocate"),
    pytest.param(CDP, "PUT", r"^/_storage", "guests", id="sitecore-upload"),
    pytest.param(CDP, "GET", r"^/v2/batches/inspect/", "guests", id="sitecore-poll"),
    pytest.param(BDP, "POST", r"/batches$", "vehicles", id="motorweb-allocate"),
    pytest.param(BDP, "PUT", r"^/_storage", "vehicles", id="motorweb-upload"),
    pytest.param(BDP, "GET", r"/batches/[^/]+/reports$", "vehicles", id="motorweb-poll"),
    pytest.param(BDP, "GET", r"/errors", "vehicles", id="motorweb-collect-errors"),
    pytest.param(BDP, "GET", r"/reports$", "vehicles", id="motorweb-collect-report"),
    pytest.param(BDP, "GET", r"^/_storage", "vehicles", id="motorweb-collect-results"),
]


@pytest.mark.parametrize("command", [["resume"], ["sync"]], ids=["resume", "sync"])
@pytest.mark.parametrize(("vendor", "method", "path", "job"), CALLS)
def test_kill_during_call_loses_and_repeats_no_row(
    deployment: Deployment, vendor: str, method: str, path: str, job: str, command: Sequence[str]
) -> None:
    deployment.kill_during(vendor, method, path, "sync", job)

    deployment.run(*command)

    counts = deployment.delivered(vendor)
    assert set(counts.values()) == {1}
    assert len(counts) == {CDP: 29, BDP: 20}[vendor]
    assert _settlement(deployment, job)["unknown"] == 0
    assert deployment.json("sync", job) is not None
    assert deployment.delivered(vendor) == counts, "a second sync sent something"


def test_row_counts_equal_vendor_ledger_after_kill(deployment: Deployment) -> None:
    deployment.kill_during(BDP, "PUT", r"^/_storage", "sync", "vehicles")

    deployment.run("resume")

    settlement = _settlement(deployment, "vehicles")
    outcomes = [entry["outcome"] for entry in deployment.mocks.ledger(BDP)]
    assert settlement["accepted"] == outcomes.count("accepted") == 19
    assert settlement["rejected"] == outcomes.count("rejected") == 1


def test_kill_before_first_request_sends_every_row_once(deployment: Deployment) -> None:
    deployment.mocks.arm(Fault(kind="reset", vendor=CDP, method="PUT", path=r"^/_storage", times=0))
    deployment.kill_when(lambda: any(fault["hits"] for fault in deployment.mocks.faults()), "sync", "guests")
    deployment.mocks.disarm()

    deployment.run("resume")

    counts = deployment.delivered(CDP)
    assert len(counts) == 29
    assert set(counts.values()) == {1}


def test_repeated_kills_end_in_balanced_row_counts(deployment: Deployment) -> None:
    for vendor, method, path, job in [
        (CDP, "PUT", r"^/v2/batches/", "guests"),
        (CDP, "PUT", r"^/_storage", "guests"),
        (CDP, "GET", r"^/v2/batches/inspect/", "guests"),
        (BDP, "POST", r"/batches$", "vehicles"),
        (BDP, "PUT", r"^/_storage", "vehicles"),
        (BDP, "GET", r"/reports$", "vehicles"),
    ]:
        deployment.kill_during(vendor, method, path, "sync", job)

    deployment.run("sync")

    assert set(deployment.delivered(CDP).values()) == {1}
    assert set(deployment.delivered(BDP).values()) == {1}


def _settlement(deployment: Deployment, job: str) -> dict[str, int]:
    """Return the settlement of the run that sent the job's rows."""
    runs = deployment.json("history", job)["runs"]
    return next(run["settlement"] for run in runs if run["settlement"]["batches"])
