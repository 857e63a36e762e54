"""A state folder that was moved: the journal has the earlier paths of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness import NO_WAIT, THROTTLED, WAIT, Harness

from batchsync.core.batch import Phase

if TYPE_CHECKING:
    from kit.deployment import Deployment


@pytest.mark.parametrize("phase", [Phase.ALLOCATED, Phase.SUBMITTED])
def test_batches_of_a_moved_state_folder_are_continued(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    with Harness.opened(deployment) as harness:
        if phase is Phase.ALLOCATED:
            harness.arm("guests", times=0, **THROTTLED)
        harness.sync("guests", NO_WAIT)
        harness.clear_faults()
        assert harness.batch("guests").phase is phase
        before = harness.app.settings.state_folder
    after = deployment.folder / "moved" / "mocks"
    after.parent.mkdir()
    before.rename(after)
    monkeypatch.setenv("BATCHSYNC_STATE", str(after.parent))

    with Harness.opened(deployment) as harness:
        assert harness.app.settings.state_folder == after
        assert str(before) in harness.batch("guests").file.path
        assert harness.sync("guests", WAIT).error is None
        assert harness.batch("guests").phase is Phase.DELIVERED
        assert harness.delivered_once("guests")
    assert not before.exists()
