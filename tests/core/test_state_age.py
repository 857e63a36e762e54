"""A journal is older than its mark if it lacks anything that the mark says, and not otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchsync.core.state_age import JournalMark, OlderState, older_state

MARK = JournalMark(folder="/state", serial=10, event=4, chain="c4", acceptance="")


@pytest.mark.parametrize("serial", [10, 11, 99])
@pytest.mark.parametrize("copy_serial", [None, 10])
def test_journal_that_contains_its_mark_is_not_older(serial: int, copy_serial: int | None) -> None:
    journal = replace(MARK, serial=serial, folder="/moved")

    assert older_state(journal, MARK, holds_event=True, holds_acceptance=True, copy_serial=copy_serial) is None


@pytest.mark.parametrize(
    ("serial", "holds_event", "holds_acceptance"), [(9, True, True), (10, False, True), (99, True, False)]
)
def test_journal_that_lacks_anything_of_its_mark_is_older(
    serial: int, *, holds_event: bool, holds_acceptance: bool
) -> None:
    journal = replace(MARK, serial=serial)

    found = older_state(journal, MARK, holds_event=holds_event, holds_acceptance=holds_acceptance, copy_serial=None)

    assert found == OlderState(serial=serial, newest=10, other="")


def test_copy_that_was_used_beyond_the_mark_counts() -> None:
    """The anchor lags behind the original, as after a run with anchors switched off."""
    journal = replace(MARK, serial=11, folder="/copy")

    found = older_state(journal, MARK, holds_event=True, holds_acceptance=True, copy_serial=12)

    assert found == OlderState(serial=11, newest=12, other="/state")
