"""`batchsync doctor` says what is wrong before a sync finds out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.cli.doctor_checks import examine_state, is_writable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("there", [True, False])
def test_unwritable_state_folder_is_a_problem(tmp_path: Path, *, there: bool) -> None:
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
    assert first.found == f"cannot write to {nearest} (mode {'0500' if there else '0700'})"
    assert first.fix == f"give yourself write access to {nearest}, or name another folder with --state"


def test_state_path_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert [is_writable(tmp_path), is_writable(tmp_path / "file"), is_writable(tmp_path / "none")] == [
        True,
        False,
        False,
    ]
    (first, _) = examine_state(tmp_path / "file" / "state")
    assert first.found.startswith(f"cannot write to {tmp_path / 'file'} ")
