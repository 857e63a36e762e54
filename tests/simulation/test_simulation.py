"""No life that a seed can draw loses a row, or hands a vendor a second copy of what it may already have.

The default suite plays some hundred seeds; `LADING_SEEDS=2000` plays more, and `python -m simulation --help` says how
to play any number by hand, or one seed with everything that happened in it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from simulation.many import Sum, reports
from simulation.trouble import EXPECTED

SEEDS = int(os.environ.get("LADING_SEEDS", "360"))
#: states that are hard to reach, each of which a few hundred seeds reach many times over
SOMETIMES = {
    "resumed after the upload, before it was recorded",
    "resumed in doubt about an upload that did not arrive",
    "resumed in doubt about an allocation",
    "resumed with a slot and without its URL",
    "resumed a submitted batch",
    "resumed a batch that is settled",
    "resumed a batch that is collected",
    "resumed a batch that is stuck",
    "resumed a run that was being prepared",
    "a run was cut short",
    "died at start_run",
    "died at add_batch",
    "died at record",
    "died at deliver",
    "died at sink.deliver",
    "died at vendor.upload",
    "a slot was lost",
    "late arrival landed: sitecore-cdp PUT",
    "late arrival landed: motorweb-bdp POST",
    "a row was refused by the vendor",
    "a refused row was not sent again",
    "a refused row was sent again after it changed",
    "a newer version waits for an older one in flight",
    "the spec was edited with batches in flight",
    "a sealed file was damaged",
    "a holder was stopped",
    "a holder was stopped and unlocked",
    "a person resumed a stuck batch",
    "verdict processed",
    "verdict mixed",
    "verdict lost",
    "verdict cancelled",
}


@pytest.mark.timeout(900)
def test_no_seed_loses_a_row_or_sends_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is violated, every kind of fault struck, and every hard state was reached."""
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    total = Sum()
    for report in reports(range(1, SEEDS + 1), jobs=min(4, os.cpu_count() or 1), size=5):
        total.add(report)
    assert not total.violations
    assert total.crashes > SEEDS // 2
    assert {name for name in EXPECTED if not total.fired[name]} == set(), "these faults never struck"
    assert {name for name in SOMETIMES if not total.sometimes[name]} == set(), "these states were never reached"


def test_a_seed_replays_identically_in_another_process() -> None:
    told = {_told(seed) for seed in ("11", "11")}
    assert len(told) == 1
    assert "nothing violated" in told.pop()


def _told(seed: str) -> str:
    """Return what a seed says of itself: the digest of all that happened in it."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "simulation", "--seed", seed]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=100).stdout
