"""Settings and state of lading, the former name, are refused instead of being ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchsync.cli.session import refuse_former_names
from batchsync.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["LADING_STATE", "LADING_FILE", "LADING_MOCKS"])
def test_variable_of_former_name_is_refused_with_its_new_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name} is set") as refused:
        refuse_former_names(tmp_path / "jobs.yaml", {"PATH": "/bin", name: ""})
    assert name.replace("LADING", "BATCHSYNC") in refused.value.hint


def test_state_folder_of_former_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".lading").mkdir()
    with pytest.raises(UsageError, match=r"\.lading is state of lading"):
        refuse_former_names(tmp_path / "jobs.yaml", {})


def test_environment_without_former_names_is_accepted(tmp_path: Path) -> None:
    refuse_former_names(tmp_path / "jobs.yaml", {"BATCHSYNC_STATE": "x"})
