"""`lading doctor` says what is wrong before a sync finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.cli.examine import examine_state, may_write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("there", [True, False])
def test_a_state_folder_that_cannot_be_written_or_made_is_a_problem(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "state"
    if there:
        folder.mkdir(mode=0o500)
    asked: list[Path] = []

    def never(one: Path) -> bool:
        asked.append(one)
        return False

    first, free = examine_state(folder, never)
    nearest = folder if there else tmp_path
    assert (asked, first.ok, free.ok) == ([nearest], False, True)
    assert first.said == f"nothing can be written to {nearest} (mode {'0500' if there else '0700'})"
    assert first.fix == f"give yourself write access to {nearest}, or name another folder with --state"


def test_what_is_no_folder_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert [may_write(tmp_path), may_write(tmp_path / "file"), may_write(tmp_path / "none")] == [True, False, False]
    (first, _) = examine_state(tmp_path / "file" / "state")
    assert first.said.startswith(f"nothing can be written to {tmp_path / 'file'} ")
