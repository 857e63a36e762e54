"""Every checkpoint of the smallest scenario, under every fault plan and doubt policy: each life ends the same way.

A process lives under a plan once, and at each of its checkpoints everything is taken that a SIGKILL would leave there:
the bytes on the disk, the hour, the requests under way. From each of these worlds another process goes on until rest.
Two deaths that leave the same world (the same files byte by byte, the same rows in the journal after SQLite has
recovered it, the same hour and requests) have the same future, which is lived once; a test lives it again and compares.

The default suite takes every checkpoint of every plan, about 22,000 deaths; `BATCHSYNC_MATRIX=9` takes one in nine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from batchsync.core.policy import OnUnknownOutcome
from kit.lives import by_exception, lived, share_of_plans, twice
from kit.matrix import Plan
from kit.plans import doubts, plans

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: one in so many checkpoints of a faulty life, from a different first one for each plan
STRIDE = int(os.environ.get("BATCHSYNC_MATRIX", "1"))
SHARES = 8
PLAIN = Plan("none")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("doubt", [None, *OnUnknownOutcome], ids=lambda one: str(one or "as-the-vendor-says"))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_at_every_checkpoint_without_faults(player: Executor, job: str, doubt: OnUnknownOutcome | None) -> None:
    told = player.submit(lived, job, doubt, [PLAIN]).result()
    assert not told.wrong
    assert told.deaths > 50


@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_under_every_fault_plan(player: Executor, job: str, share: int) -> None:
    told = player.submit(share_of_plans, job, share, SHARES, STRIDE).result()
    assert not told.wrong
    assert told.struck, "no plan of this share struck anything"
    assert told.deaths > 300 // STRIDE


@pytest.mark.timeout(600)
@pytest.mark.parametrize("doubt", list(OnUnknownOutcome))
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_in_doubt_under_every_policy(player: Executor, job: str, doubt: OnUnknownOutcome) -> None:
    told = player.submit(lived, job, doubt, list(doubts(job)), STRIDE).result()
    assert not told.wrong
    assert told.struck >= 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["none", "upload lands after 30.0"])
@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_equal_states_after_crash_have_equal_endings(player: Executor, job: str, name: str) -> None:
    """To the last row, byte and request: what the matrix lives once would have been lived twice the same."""
    plan = next(item for item in (PLAIN, *plans(job)) if item.name == name)
    deaths, worlds, differences = player.submit(twice, job, plan).result()
    assert not differences
    assert worlds < deaths


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_crash_by_exception_ends_like_kill(player: Executor, job: str) -> None:
    assert not player.submit(by_exception, job, 9).result()
