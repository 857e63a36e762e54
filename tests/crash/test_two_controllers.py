"""Each tick is run once, and none is lost, by two controllers of one state folder that are killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.two_controllers import play

if TYPE_CHECKING:
    from kit.deployment import Deployment


def test_each_tick_is_run_once_by_two_controllers_with_kills(deployment: Deployment) -> None:
    played = play(deployment, kills=2, seed=7, pause=0.5)

    assert played.problems == ()
    assert played.ticks >= 4
