"""`batchsync doctor` reports a state folder that cannot be written, with the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.cli.doctor_checks import examine_state, is_writable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("exists", [True, False])
def test_unwritable_state_folder_is_reported(tmp_path: Path, *, exists: bool) -> None:
    folder = tmp_path / "state"
    if exists:
        folder.mkdir(mode=0o500)
    checked: list[Path] = []

    def deny(path: Path) -> bool:
        checked.append(path)
        return False

    access, free_space = examine_state(folder, deny)
    nearest = folder if exists else tmp_path
    assert (checked, access.ok, free_space.ok) == ([nearest], False, True)
    assert access.found == f"cannot write to {nearest} (mode {'0500' if exists else '0700'})"
    assert access.fix == f"give yourself write access to {nearest}, or choose another folder with --state"


def test_state_path_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert [is_writable(tmp_path), is_writable(tmp_path / "file"), is_writable(tmp_path / "none")] == [
        True,
        False,
        False,
    ]
    (access, _) = examine_state(tmp_path / "file" / "state")
    assert access.found.startswith(f"cannot write to {tmp_path / 'file'} ")
