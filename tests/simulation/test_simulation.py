"""No seed loses a row, or sends a vendor a second copy of a row that it may already have.

The default suite plays 400 seeds in shares; `BATCHSYNC_SEEDS=2000` plays more. `python -m simulation --help` shows
how to play any number of seeds, or one seed with its transcript.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kit.shared_work import merge_share, shared_folder
from simulation.fault_plan import FAULT_KINDS
from simulation.seeds import Summary, digests, summarize

if TYPE_CHECKING:
    from concurrent.futures import Executor

SEEDS = int(os.environ.get("BATCHSYNC_SEEDS", "400"))
SHARES = 40
#: number of seeds after which every kind of fault must have hit and every state must have been reached
ALL_STATES_AFTER = 360
#: a seed in which a batch file is damaged, so that an error message contains its path
SEED_WITH_PATH_IN_ERROR = 3010
#: seeds that found defects (docs/guarantees.md); with later kinds of faults some play other histories now
DEFECT_SEEDS = [98, 6564, 312651, 315234, 315342, 901954, 902032, 912281]
#: states that are hard to reach; a few hundred seeds reach each of them many times
HARD_STATES = {
    "resumed after an upload that was not journaled",
    "resumed in doubt about an upload that did not arrive",
    "resumed in doubt about an allocation",
    "resumed with an allocation without its URL",
    "resumed a submitted batch",
    "resumed a batch in phase finished",
    "resumed a batch in phase collected",
    "resumed a batch in phase needs_attention",
    "resumed a run that was being prepared",
    "a preparation was aborted",
    "died at start_run",
    "died at add_batch",
    "died at record",
    "died at deliver",
    "died at sink.deliver",
    "died at vendor.upload",
    "an allocation was lost",
    "a file was found in an allocation that counted as empty",
    "the state folder was restored from a copy",
    "late request arrived: sitecore-cdp PUT",
    "late request arrived: motorweb-bdp POST",
    "a row was rejected by the vendor",
    "a rejected row was not sent again",
    "a rejected row was sent again after a change",
    "a newer version of a row was deferred behind an older version in flight",
    "the spec was edited with batches in flight",
    "a batch file was damaged",
    "status_by reports",
    "status_by batch",
    "errors_by json",
    "errors_by csv",
    "a job was renamed",
    "a job was renamed with batches in flight",
    "died at take_over",
    "a lease holder was stopped",
    "a lease holder was stopped and unlocked",
    "a batch that needs attention was resumed",
    "unknown rows were resolved as delivered",
    "unknown rows were resolved as to be sent again",
    "verdict processed",
    "verdict mixed",
    "verdict lost",
    "verdict cancelled",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
def test_seeds_lose_and_repeat_no_row(player: Executor, tmp_path_factory: pytest.TempPathFactory, share: int) -> None:
    """No invariant is violated; the last share checks that all faults hit and all hard states were reached."""
    own = player.submit(summarize, range(1 + share, SEEDS + 1, SHARES)).result()
    assert not own.violations
    summaries = merge_share(shared_folder(tmp_path_factory, "simulated"), share, SHARES, own)
    if summaries is not None:
        _check_coverage(summaries)


def _check_coverage(summaries: list[Summary]) -> None:
    total = Summary()
    for item in summaries:
        total.add_all(item)
    assert total.played == SEEDS
    assert total.crashes > SEEDS // 2
    if SEEDS >= ALL_STATES_AFTER:
        assert {name for name in FAULT_KINDS if not total.hit[name]} == set(), "these faults never hit a request"
        assert {name for name in HARD_STATES if not total.reached[name]} == set(), "these states were never reached"


def test_seeds_that_found_defects_lose_and_repeat_no_row(player: Executor) -> None:
    assert not player.submit(summarize, DEFECT_SEEDS).result().violations


@pytest.mark.parametrize("seed", [11, SEED_WITH_PATH_IN_ERROR])
def test_seed_replays_identically_alone_and_after_others(player: Executor, seed: int) -> None:
    """State that a process keeps between seeds, in caches or on disk, has no effect."""
    alone = {_play_alone(seed), _play_alone(seed)}
    after_others = player.submit(digests, [seed - 1, seed + 1, seed]).result()
    assert alone == {f"seed {seed}: nothing violated; transcript {after_others[-1][:16]}\n"}


def _play_alone(seed: int) -> str:
    """Play a seed in a new process; return its output, which contains the digest of the transcript."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "simulation", "--seed", str(seed)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=100).stdout
