"""No life that a seed can draw loses a row, or hands a vendor a second copy of what it may already have.

The default suite plays 2,000 seeds in shares; `BATCHSYNC_SEEDS=360` plays fewer, and `python -m simulation --help` says
how to play any number by hand, or one seed with everything that happened in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit.shares import bring, together
from simulation.many import Sum, digests, summed
from simulation.trouble import EXPECTED

if TYPE_CHECKING:
    from concurrent.futures import Executor

SEEDS = int(os.environ.get("BATCHSYNC_SEEDS", "2000"))
SHARES = 40
#: seeds after which every fault must have struck and every state must have been reached
ENOUGH = 360
#: a seed in which a sealed file is damaged, so that an error names it
A_PATH_IN_AN_ERROR = 3010
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
    "a file was found in a slot that nobody knew to be filled",
    "the state folder was restored from a copy",
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
    "a person said that unknown rows are delivered",
    "a person said that unknown rows are to be sent again",
    "verdict processed",
    "verdict mixed",
    "verdict lost",
    "verdict cancelled",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
def test_no_seed_loses_a_row_or_sends_one_twice(
    player: Executor, tmp_path_factory: pytest.TempPathFactory, share: int
) -> None:
    """Nothing is violated; the last share holds that every kind of fault struck and every hard state was reached."""
    mine = player.submit(summed, range(1 + share, SEEDS + 1, SHARES)).result()
    assert not mine.violations
    sums = bring(together(tmp_path_factory, "simulated"), share, SHARES, mine)
    if sums is not None:
        _judge(sums)


def _judge(sums: list[Sum]) -> None:
    total = Sum()
    for item in sums:
        total.add_all(item)
    assert total.played == SEEDS
    assert total.crashes > SEEDS // 2
    if SEEDS >= ENOUGH:
        assert {name for name in EXPECTED if not total.fired[name]} == set(), "these faults never struck"
        assert {name for name in SOMETIMES if not total.sometimes[name]} == set(), "these states were never reached"


@pytest.mark.parametrize("seed", [11, A_PATH_IN_AN_ERROR])
def test_a_seed_replays_identically_alone_and_after_others(player: Executor, seed: int) -> None:
    """What a process keeps from one seed to the next, in caches or on the disk, changes nothing."""
    told = {_told(seed), _told(seed)}
    after_others = player.submit(digests, [seed - 1, seed + 1, seed]).result()
    assert told == {f"seed {seed}: nothing violated; transcript {after_others[-1][:16]}\n"}


def _told(seed: int) -> str:
    """Return what a seed says of itself in a process of its own: the digest of all that happened in it."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "simulation", "--seed", str(seed)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=100).stdout
